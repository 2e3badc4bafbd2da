"""Defining tasks, and what bad definitions and calls are told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from actorq import ActorQ
from actorq.errors import BadAddress, DuplicateTaskNameWarning, ImproperlyConfigured, NotRegistered, OperationalError
from actorq.tasks.options import expiry_time_s, start_time_s
from tests.support import free_address


@pytest.fixture
def app() -> ActorQ:
    """Not connected: nothing is until the first call."""
    return ActorQ("tasks", free_address())


def test_a_task_is_named_after_its_module_and_function(app: ActorQ) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    assert add.name.endswith("add")
    assert app.tasks[add.name] is add
    assert add(2, 3) == 5
    assert add.request.called_directly


def test_the_first_task_of_a_name_stays(app: ActorQ) -> None:
    def one() -> int:
        return 1

    first = app.task(name="same")(one)
    assert app.task(name="same")(one) is first
    with pytest.warns(DuplicateTaskNameWarning, match="'same'"):
        assert app.task(name="same")(lambda: 2) is first


def test_a_bound_task_gets_itself(app: ActorQ) -> None:
    @app.task(bind=True, name="whoami")
    def whoami(self: object) -> object:
        return self

    assert whoami() is whoami


def test_a_misspelt_option_is_refused_with_the_nearest_one(app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'priority'"):
        app.task(priorty=3)(lambda: None)
    task = app.task(name="t")(lambda: None)
    with pytest.raises(ImproperlyConfigured, match="did you mean 'countdown'"):
        task.apply_async(countdwn=3)


def test_headers_are_a_dict(app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="headers is a dict"):
        app.task(name="t")(lambda: None).apply_async(headers=["trace"])


@pytest.mark.parametrize("priority", [12, -1, 2.5, "high", True])
def test_a_priority_out_of_range_is_refused_with_the_range(app: ActorQ, priority: Any) -> None:
    task = app.task(name="t")(lambda: None)
    with pytest.raises(ImproperlyConfigured, match=f"priority is a number from 0 to 9.*not {priority!r}"):
        task.apply_async(priority=priority)
    with pytest.raises(ImproperlyConfigured, match="priority"):
        app.task(name="u", priority=priority)(lambda: None)


def test_an_empty_queue_is_refused_also_where_settings_route_calls(app: ActorQ) -> None:
    task = app.task(name="t")(lambda: None)
    with pytest.raises(ImproperlyConfigured, match="queue is empty"):
        task.apply_async(queue="")
    with pytest.raises(ImproperlyConfigured, match="queue is empty"):
        app.task(name="u", queue="")(lambda: None)
    app.conf.task_routes = {"other": {"queue": "other"}}
    with pytest.raises(ImproperlyConfigured, match="queue is empty"):
        task.apply_async(queue="")
    with pytest.raises(ImproperlyConfigured, match="queue is empty"):
        task.apply_async(queue="", exchange="news")


def test_a_value_that_cannot_be_is_refused_with_the_name_of_its_option(app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="max_deliveries: Expected `int` >= 1"):
        app.task(name="t", max_deliveries=0)(lambda: None)


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 10},
        {"priority": -1},
        {"max_deliveries": 0},
        {"queue": 5},
        {"serializer": "yamll"},
        {"compression": "gzipp"},
    ],
)
def test_an_impossible_value_is_refused_at_the_definition(app: ActorQ, options: dict[str, Any]) -> None:
    define: Any = app.task
    with pytest.raises(ImproperlyConfigured):
        define(name="t", **options)(lambda: None)


def test_a_soft_limit_above_the_hard_one_is_refused(app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="soft_time_limit"):
        app.task(name="t", soft_time_limit=10, time_limit=5)(lambda: None)


def test_an_unknown_name_is_answered_with_the_nearest_one(app: ActorQ) -> None:
    app.task(name="proj.add")(lambda: None)
    with pytest.raises(NotRegistered, match=r"did you mean 'proj\.add'"):
        app.tasks["proj.ad"]


def test_an_unreachable_mesh_says_what_was_tried_and_what_to_do(app: ActorQ) -> None:
    task = app.task(name="t")(lambda: None)
    with pytest.raises(OperationalError, match=r"tried tcp://127\.0\.0\.1.*actorq up"):
        task.apply_async(publish_timeout=0.2)
    with pytest.raises(OperationalError):
        task.apply_async(retry=False)
    with pytest.raises(OperationalError):
        task.apply_async(retry_policy={"max_retries": 2, "interval_step": 0.1})
    with pytest.raises(ImproperlyConfigured, match="interval_stp"):
        task.apply_async(retry_policy={"interval_stp": 0.1})
    app.close()


@pytest.mark.parametrize("url", ["localhost", "http://x:1", "tcp://host", "tcp://:5570", ","])
def test_a_url_of_the_wrong_form_says_the_right_one(url: str) -> None:
    with pytest.raises(BadAddress, match=r"tcp://"):
        _ = ActorQ("tasks", url).session


def test_times_are_absolute_on_the_wire() -> None:
    moment = datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert start_time_s(None, moment, 0.0) == moment.timestamp()
    assert start_time_s(5, None, 100.0) == 105.0
    assert start_time_s(None, None, 100.0) == start_time_s(0, None, 100.0) == 0.0
    assert expiry_time_s(10, 100.0) == 110.0
    assert expiry_time_s(moment + timedelta(hours=1), 0.0) == moment.timestamp() + 3600
    with pytest.raises(ImproperlyConfigured):
        start_time_s(1, moment, 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "soon"])
def test_a_time_that_is_no_time_is_refused(value: float) -> None:
    with pytest.raises(ImproperlyConfigured, match="countdown"):
        start_time_s(value, None, 0.0)
    with pytest.raises(ImproperlyConfigured, match="eta"):
        start_time_s(None, value, 0.0)
    with pytest.raises(ImproperlyConfigured, match="expires"):
        expiry_time_s(value, 0.0)


def test_a_moment_before_1970_is_in_the_past() -> None:
    long_ago = datetime(1960, 1, 1, tzinfo=timezone.utc)
    assert start_time_s(None, long_ago, 0.0) == 0.0
    assert 0.0 < expiry_time_s(long_ago, 0.0) < 10.0


def test_a_time_limit_that_is_no_time_is_refused_at_the_definition(app: ActorQ) -> None:
    for limit in (float("nan"), float("inf"), "long"):
        with pytest.raises(ImproperlyConfigured, match="limit"):
            app.task(name="t", time_limit=limit)(lambda: None)
