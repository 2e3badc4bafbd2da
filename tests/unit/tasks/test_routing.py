"""`task_routes` and `task_queues` in all their forms, and which of several options says where a call goes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from actorq import Broadcast, Exchange, Queue, worker_direct
from actorq.errors import ImproperlyConfigured, QueueNotFound
from actorq.policies.queues import Queues
from actorq.tasks.router import Amqp, RoutingDefaults
from actorq.tasks.routes import Routes


def route_by_name(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
    """A route that is named in settings."""
    return {"queue": name.upper()}


class ClassRoute:
    """A route in the old form of Celery."""

    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return "of class" if task == "a" else None


def find(routes: Any, name: str, *args: Any) -> dict[str, Any]:
    return Routes(routes).find(name, args, {}, {})[0]


def amqp(**settings: Any) -> Amqp:
    made = RoutingDefaults(**settings)
    return Amqp(lambda: made)


def sent(amqp: Amqp, name: str = "tasks.add", own: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    return amqp.route(given, name, own=own)[0]


# -- routes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("routes", [
    {"feed.tasks.*": {"queue": "feeds"}, "web.*": "web"},
    ({"feed.tasks.*": {"queue": "feeds"}}, {"web.*": "web"}),
    [("feed.tasks.*", {"queue": "feeds"}), ("web.*", "web")],
    ([("feed.tasks.*", {"queue": "feeds"}), (re.compile(r"web\..*"), {"queue": "web"})],),
    ("feed.tasks.*", {"queue": "feeds"}),
], ids=["dict", "dicts", "pairs", "list of pairs", "one pair"])  # fmt: skip
def test_routes_are_patterns_with_options_in_several_forms(routes: Any) -> None:
    assert find(routes, "feed.tasks.fetch") == {"queue": "feeds"}
    assert find(routes, "other.tasks.fetch") == {}
    assert find(routes, "web.get") in ({"queue": "web"}, {}), "the last form has one pattern only"


def test_the_first_route_that_says_something_counts_and_a_name_goes_before_patterns() -> None:
    assert find({"a.*": "glob", "a.b": "name"}, "a.b") == {"queue": "name"}
    assert find([{"a.*": "first"}, {"a.b": "second"}], "a.b") == {"queue": "first"}
    assert find([lambda *_, **__: None, {"a.b": "second"}], "a.b") == {"queue": "second"}


def test_a_function_sees_the_call_and_may_return_options_a_name_or_nothing() -> None:
    seen: list[Any] = []

    def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
        seen.append((name, args, kwargs, options, task))
        return None if name == "none" else "queue" if name == "name" else {"queue": "q", "priority": 7}

    routes = Routes(route)
    assert routes.find("name", (1,), {"k": 2}, {"priority": 3}, "task") == ({"queue": "queue"}, False)
    assert routes.find("none", (), {}, {}) == ({}, False)
    assert routes.find("other", (), {}, {}) == ({"queue": "q", "priority": 7}, False)
    assert seen[0] == ("name", (1,), {"k": 2}, {"priority": 3}, "task")


def test_a_route_does_not_depend_on_the_call_unless_a_function_is_asked() -> None:
    routes = Routes([{"a": "static"}, lambda *_, **__: "dynamic"])
    assert routes.find("a", (), {}, {})[1] is True
    assert routes.find("b", (), {}, {})[1] is False


def test_routes_may_be_named_and_of_a_class() -> None:
    assert find("tests.unit.tasks.test_routing.route_by_name", "a") == {"queue": "A"}
    assert find("tests.unit.tasks.test_routing:ClassRoute", "a") == {"queue": "of class"}
    assert find(ClassRoute(), "b") == {}
    with pytest.raises(ImproperlyConfigured, match="cannot be imported"):
        Routes("no.such.route")
    with pytest.raises(ImproperlyConfigured, match="use a dict"):
        Routes(5)
    with pytest.raises(ImproperlyConfigured, match="has to be a dict"):
        find(lambda *_, **__: 5, "a")


# -- where a call goes ---------------------------------------------------------------------------------------------


def test_options_of_the_call_go_before_those_of_the_task_and_these_before_routes() -> None:
    routed = amqp(task_routes={"*": {"queue": "route", "priority": 1}})
    assert sent(routed) == {"queue": "route", "priority": 1}
    assert sent(routed, own={"queue": "task"}) == {"queue": "task", "priority": 1}
    assert sent(routed, own={"queue": "task"}, queue="call", priority=9) == {"queue": "call", "priority": 9}
    assert sent(routed, own={"priority": 3}) == {"queue": "route"}


def test_an_address_of_the_call_takes_the_place_of_a_queue_from_elsewhere() -> None:
    routed = amqp(task_routes={"*": {"queue": "route"}})
    assert sent(routed, own={"queue": "task"}, exchange="logs", routing_key="a.b") == {
        "queue": "", "exchange": "logs", "routing_key": "a.b", "routing_headers": ()
    }  # fmt: skip


def test_from_the_default_exchange_the_routing_key_names_the_queue() -> None:
    assert sent(amqp(), routing_key="fast")["queue"] == "fast"
    assert sent(amqp(task_default_queue="main"))["queue"] == "main"
    own = amqp(task_default_queue="main", task_default_exchange="tasks", task_default_routing_key="task.default")
    assert sent(own, exchange="tasks", routing_key="task.default")["queue"] == "main"
    assert sent(own, exchange="tasks")["queue"] == "main"


def test_headers_that_an_exchange_can_look_at_are_part_of_the_address() -> None:
    found = sent(amqp(), exchange=Exchange("files", "headers"), headers={"format": "pdf", "pages": 3, "x": [1]})
    assert found["routing_headers"] == (("format", "pdf"), ("pages", 3))


def test_a_queue_that_is_not_known_is_made_unless_that_is_forbidden() -> None:
    assert sent(amqp(task_queues=[Queue("a")]), queue="new")["queue"] == "new"
    strict = amqp(task_queues=[Queue("a"), Queue("feeds")], task_create_missing_queues=False)
    assert sent(strict, queue="feeds")["queue"] == "feeds"
    with pytest.raises(QueueNotFound, match="did you mean 'feeds'"):
        sent(strict, queue="feds")
    # A worker's own queue is always there.
    assert sent(strict, queue=worker_direct("worker-1@host"))["queue"] == "worker-1@host.dq"


def test_a_call_for_a_broadcast_queue_goes_to_all_who_consume_it() -> None:
    assert sent(amqp(task_queues=[Broadcast("reload")]), queue="reload") == {"queue": "", "exchange": "reload"}


def test_without_settings_there_is_nothing_to_find_out() -> None:
    assert amqp().has_nothing_to_say({}, {"queue": "fast", "priority": 3})
    assert not amqp().has_nothing_to_say({}, {"routing_key": "fast"})
    assert not amqp().has_nothing_to_say({"queue": Queue("fast")}, {})
    assert not amqp(task_routes={"a": "b"}).has_nothing_to_say({}, {})
    assert amqp(task_default_queue="main").has_nothing_to_say({}, {}), "the task's own spec has it"


def test_settings_that_are_set_later_count() -> None:
    settings = RoutingDefaults()
    app = Amqp(lambda: settings)
    assert list(app.queues) == ["default"]
    settings.task_queues = [Queue("a")]
    settings.task_routes = {"*": "a"}
    assert list(app.queues) == ["a"] and sent(app) == {"queue": "a"}


# -- queues --------------------------------------------------------------------------------------------------------


def test_queues_are_a_list_or_a_dict() -> None:
    listed = Queues([Queue("a", Exchange("logs", "topic"), "a.#"), "b"])
    said = Queues({"a": {"exchange": "logs", "exchange_type": "topic", "routing_key": "a.#"}, "b": None, "c": Queue()})
    assert list(listed) == ["a", "b"] and list(said) == ["a", "b", "c"]
    for queues in (listed, said):
        assert queues["a"].exchange == Exchange("logs", "topic") and queues["a"].routing_key == "a.#"
        assert queues.declarations() == [
            ["exchange", ["logs"], {"type": "topic"}], ["binding", ["logs", "a", "a.#"], {"headers": {}}]
        ]  # fmt: skip


def test_a_worker_takes_all_queues_or_those_that_are_selected_and_not_deselected() -> None:
    assert list(Queues().consume_from) == ["default"]
    assert list(Queues(["a", "b"]).consume_from) == ["a", "b"]
    queues = Queues(["a", "b", "c"])
    queues.deselect(["b"])
    assert list(queues.consume_from) == ["a", "c"] and "b" in queues
    queues.select(["c", "new"])
    assert list(queues.consume_from) == ["c", "new"]
    with pytest.raises(QueueNotFound):
        Queues(["a"]).deselect(["b"])
    with pytest.raises(QueueNotFound):
        Queues(["a"], create_missing=False).select(["b"])


def test_an_exchange_of_no_known_type_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'topic'"):
        Exchange("a", "topik")
