"""What an application makes of its settings. Nothing is connected."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actorq import ActorQ
from actorq.errors import ContentDisallowed, ImproperlyConfigured, OperationalError, SettingIgnored
from actorq.settings.annotations import annotations_of
from actorq.tasks.options import expiry_time_s, start_time_s
from actorq.wire.records import SUCCESS, Outcome


@pytest.fixture
def app() -> ActorQ:
    app = ActorQ("tests", "tcp://127.0.0.1:1")

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="mul", time_limit=2, queue="slow", serializer="json")
    def mul(x: int, y: int) -> int:
        return x * y

    return app


# -- the constructor ---------------------------------------------------------------------------------------------


def test_the_constructor_takes_what_celerys_does() -> None:
    app = ActorQ(
        "proj",
        broker=["tcp://a:1", "tcp://b:1"],
        include=["proj.tasks"],
        config_source={"task_time_limit": 5},
        changes={"task_acks_late": False},
        loader=None,
        autofinalize=True,
    )
    assert app.url == "tcp://a:1,tcp://b:1" and app.conf.include == ("proj.tasks",)
    assert app.conf.task_time_limit == 5.0 and not app.conf.task_acks_late


def test_what_has_no_use_here_is_said() -> None:
    with pytest.warns(SettingIgnored, match="coordinator keeps results"):
        ActorQ("proj", backend="redis://localhost")
    with pytest.warns(SettingIgnored, match="cannot be exchanged"):
        ActorQ("proj", amqp="proj.amqp:AMQP")


def test_a_broker_is_refused_at_once() -> None:
    with pytest.raises(ImproperlyConfigured, match="redis:// is a broker"):
        ActorQ("proj", broker="redis://localhost:6379/0")


def test_an_argument_that_nobody_knows_is_refused_with_a_hint() -> None:
    with pytest.raises(TypeError, match="'brokr': did you mean 'broker'"):
        ActorQ("proj", brokr="tcp://a:1")


def test_url_and_key_come_from_the_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORQ_KEY", "/environment/key")
    monkeypatch.setenv("ACTORQ_URL", "tcp://environment:1")
    app = ActorQ("proj")
    assert (app.url, app.key) == ("tcp://environment:1", "/environment/key")
    app.config_from_object({"broker_url": "tcp://file:1"})
    assert app.url == "tcp://file:1"
    assert ActorQ("proj", "tcp://program:1").url == "tcp://program:1"


# -- where settings come from ------------------------------------------------------------------------------------


def test_a_namespace_may_be_the_applications() -> None:
    app = ActorQ("proj", namespace="CELERY", config_source={"CELERY_TASK_TIME_LIMIT": 5, "DEBUG": True})
    assert app.conf.task_time_limit == 5.0


def test_an_environment_variable_may_name_the_module(monkeypatch: pytest.MonkeyPatch, app: ActorQ) -> None:
    monkeypatch.delenv("PROJ_CONFIG", raising=False)
    app.config_from_envvar("PROJ_CONFIG", silent=True)
    with pytest.raises(ImproperlyConfigured, match="PROJ_CONFIG is not set"):
        app.config_from_envvar("PROJ_CONFIG")
    monkeypatch.setenv("PROJ_CONFIG", "no_such_module")
    with pytest.raises(ImportError):
        app.config_from_envvar("PROJ_CONFIG", force=True)


def test_defaults_hold_where_nobody_says_anything(app: ActorQ) -> None:
    app.add_defaults({"task_time_limit": 5})
    assert app.conf.task_time_limit == 5.0


def test_who_connects_hears_that_the_settings_are_read_and_were_read(app: ActorQ) -> None:
    heard: list[Any] = []

    @app.on_configure.connect
    def configure(sender: Any, **_: Any) -> None:
        heard.append(("before", sender))
        app.conf.task_default_queue = "configured"

    @app.on_after_configure.connect
    def configured(sender: Any, source: Any, **_: Any) -> None:
        heard.append(("after", source.task_default_queue))

    assert app.conf.task_default_queue == "configured"
    assert app.conf.task_acks_late
    assert heard == [("before", app), ("after", "configured")]


def test_a_forked_child_is_told(app: ActorQ) -> None:
    reading, writing = os.pipe()

    @app.on_after_fork.connect
    def forked(sender: Any, **_: Any) -> None:
        os.write(writing, b"forked" if sender is app else b"?")

    if not os.fork():
        os._exit(0)
    assert os.read(reading, 10) == b"forked"
    os.wait()
    os.close(reading)
    os.close(writing)


# -- tasks -------------------------------------------------------------------------------------------------------


def test_a_task_that_says_nothing_has_the_options_of_the_settings(app: ActorQ) -> None:
    app.conf.update(
        task_default_queue="q",
        task_default_priority=7,
        task_serializer="json",
        task_time_limit=60,
        task_soft_time_limit=50,
        task_acks_late=False,
        task_ignore_result=True,
        task_max_deliveries=5,
    )
    spec = app.tasks["add"].spec
    assert (spec.queue, spec.priority, spec.serializer) == ("q", 7, "json")
    assert (spec.time_limit_s, spec.soft_time_limit_s) == (60.0, 50.0)
    assert (spec.acks_late, spec.ignore_result, spec.max_deliveries) == (False, True, 5)


def test_a_tasks_own_options_go_before_the_settings(app: ActorQ) -> None:
    app.conf.update(task_default_queue="q", task_soft_time_limit=50, task_serializer="yaml")
    spec = app.tasks["mul"].spec
    assert (spec.queue, spec.serializer, spec.time_limit_s) == ("slow", "json", 2.0)
    assert spec.soft_time_limit_s == 0.0  # 50 s would never be reached.


def test_a_change_holds_for_the_next_call(app: ActorQ) -> None:
    assert app.tasks["add"].spec.queue == "default"
    app.conf.task_default_queue = "q"
    assert app.tasks["add"].spec.queue == "q"


def test_a_call_by_name_has_the_options_of_the_settings(app: ActorQ) -> None:
    app.conf.update(task_default_queue="q", task_publish_retry=False)
    assert app._spec_by_name("elsewhere").queue == "q"
    assert app._spec_by_name("mul").queue == "slow"


def test_annotations_change_tasks_without_touching_their_code(app: ActorQ) -> None:
    app.conf.task_annotations = {"*": {"priority": 1, "max_retries": 9}, "add": {"priority": 2, "queue": "a"}}
    add, mul = app.tasks["add"], app.tasks["mul"]
    assert (add.spec.priority, add.spec.queue) == (2, "a")
    assert (mul.spec.priority, mul.spec.queue) == (1, "slow")
    assert add.max_retries == 9

    @app.task(name="late")
    def late() -> None: ...

    assert late.max_retries == 9 and late.spec.priority == 1
    app.conf.task_annotations = {"add": {"queue": "b"}}
    assert (add.spec.priority, add.spec.queue, add.max_retries) == (4, "b", 3)


class Annotation:
    def annotate(self, task: Any) -> dict[str, Any] | None:
        return {"priority": 3} if task.name == "add" else None

    def annotate_any(self) -> dict[str, Any]:
        return {"time_limit": 9}


def test_annotations_may_be_objects_and_names_of_them_and_lists(app: ActorQ) -> None:
    add, mul = app.tasks["add"], app.tasks["mul"]
    annotations = [{"*": {"time_limit": 8}}, Annotation()]
    assert annotations_of(add, annotations) == {"time_limit": 9, "priority": 3}
    assert annotations_of(mul, annotations) == {"time_limit": 9}
    assert annotations_of(add, f"{__name__}:Annotation") == {"time_limit": 9, "priority": 3}
    for wrong in ("no.such:thing", {"add": 3}):
        with pytest.raises(ImproperlyConfigured, match="task_annotations"):
            annotations_of(add, wrong)


def test_a_mesh_that_accepts_json_only_is_sent_json(app: ActorQ) -> None:
    # Programs for Celery say accept_content=["json"] and leave the rest to its default.
    app.conf.accept_content = ("json",)
    assert app.tasks["add"].spec.serializer == "json"
    assert app.serializers.accept_content == {"json"}


def test_tasks_that_say_no_rate_have_that_of_the_settings(app: ActorQ) -> None:
    app.tasks["mul"].options["rate_limit"] = "1/m"
    app.conf.task_default_rate_limit = "30/s"
    rates = {name: (app.tasks[name].spec.rate, app.tasks[name].spec.rate_period_s) for name in ("add", "mul")}
    assert rates == {"add": (30.0, 1.0), "mul": (1.0, 60.0)}
    app.conf.worker_disable_rate_limits = True
    assert not app.tasks["add"].spec.is_limited and not app.tasks["mul"].spec.is_limited
    with pytest.raises(ImproperlyConfigured, match="task_default_rate_limit"):
        app.conf.task_default_rate_limit = "fast"


def test_results_of_other_kinds_are_not_opened(app: ActorQ) -> None:
    outcome = Outcome("1", 1, SUCCESS, b"5", "json")
    assert app.open_outcome(outcome) == 5
    app.conf.result_accept_content = ("msgpack",)
    with pytest.raises(ContentDisallowed, match="'json' is not accepted here"):
        app.open_outcome(outcome)


@pytest.mark.parametrize(
    ("settings", "budget_s"),
    [
        ({}, 5.0),
        ({"task_publish_timeout": 2}, 2.0),
        ({"task_publish_retry": False}, 0.0),
        ({"task_publish_retry_policy": {"max_retries": 3, "interval_start": 0.5, "interval_step": 0}}, 1.5),
        ({"task_publish_retry_policy": {"max_retries": None}}, float("inf")),
    ],
)
def test_the_settings_say_for_how_long_a_call_tries_to_reach_the_mesh(
    app: ActorQ, settings: dict[str, Any], budget_s: float
) -> None:
    app.conf.update(settings)
    assert app._session_settings().publish_timeout_s == budget_s


def test_without_publish_retry_a_call_fails_at_once(app: ActorQ) -> None:
    app.conf.task_publish_retry = False
    with app, pytest.raises(OperationalError):
        app.tasks["add"].delay(1, 2)


# -- time --------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2030, 6, 1, 12)


@pytest.mark.parametrize(
    ("given", "zone", "hour"),
    [
        (NOON, BERLIN, 10),
        (NOON, timezone.utc, 12),
        (NOON.replace(tzinfo=timezone.utc), BERLIN, 12),
        ("2030-06-01T12:00:00", BERLIN, 10),
        ("2030-06-01T12:00:00Z", BERLIN, 12),
        ("2030-06-01T12:00:00+01:00", BERLIN, 11),
    ],
)
def test_a_time_without_a_zone_is_in_the_applications(given: Any, zone: Any, hour: int) -> None:
    meant_s = datetime(2030, 6, 1, hour, tzinfo=timezone.utc).timestamp()
    assert start_time_s(None, given, 0.0, zone) == expiry_time_s(given, 0.0, zone) == meant_s


def test_without_a_zone_it_is_local_time() -> None:
    assert start_time_s(None, NOON, 0.0) == NOON.timestamp()


def test_the_applications_time_is_in_its_zone(app: ActorQ) -> None:
    app.conf.timezone = "Europe/Berlin"
    assert app.timezone == BERLIN
    assert app.now().utcoffset() in (timedelta(hours=1), timedelta(hours=2))
