"""`app.conf`: where settings come from, which goes first, and how they are shown."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator
from datetime import timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actorq.errors import ImproperlyConfigured, SettingIgnored
from actorq.settings import Conf, Settings
from actorq.settings.sources import from_environment, read_source


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})


@pytest.fixture
def conf() -> Conf:
    return Conf()


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    made = types.ModuleType("their_config")
    sys.modules["their_config"] = made
    yield made
    del sys.modules["their_config"]


def load(conf: Conf, given: Any, silent: bool = False, namespace: str | None = None) -> Conf:
    conf.add_source(partial(read_source, given, silent, namespace))
    return conf


# -- reading and changing ----------------------------------------------------------------------------------------


def test_settings_are_attributes_and_items(conf: Conf) -> None:
    assert conf.task_default_queue == conf["task_default_queue"] == "default"
    conf.task_default_queue = "fast"
    conf["task_time_limit"] = 5
    assert conf.get("task_default_queue") == "fast" and conf.task_time_limit == 5.0
    assert "task_time_limit" in conf and "task_tame_limit" not in conf
    assert dict(conf)["worker_concurrency"] is None and len(conf) == len(dict(conf))


def test_update_takes_a_mapping_and_keywords(conf: Conf) -> None:
    conf.update({"task_time_limit": 5}, task_acks_late=False)
    assert (conf.task_time_limit, conf.task_acks_late) == (5.0, False)


def test_if_one_of_several_cannot_be_none_is_set(conf: Conf) -> None:
    with pytest.raises(ImproperlyConfigured):
        conf.update(task_default_queue="fast", task_time_limit="soon")
    assert conf.task_default_queue == "default"


def test_none_is_the_default_again(conf: Conf) -> None:
    conf.task_default_priority = 9
    conf.update(task_default_priority=None)
    assert conf.task_default_priority == 4


def test_what_the_program_said_can_be_taken_back(conf: Conf) -> None:
    load(conf, {"task_default_queue": "file"})
    conf.task_default_queue = "program"
    del conf["task_default_queue"]
    assert conf.task_default_queue == "file"


def test_a_misspelt_setting_is_refused_with_the_nearest_one(conf: Conf) -> None:
    # With Celery it is accepted in silence, and does nothing.
    with pytest.raises(ImproperlyConfigured, match=r"'task_time_limt': did you mean 'task_time_limit'\?"):
        conf.task_time_limt = 5
    with pytest.raises(AttributeError, match="did you mean 'task_time_limit'"):
        conf.task_time_limt  # noqa: B018 - it is read.
    with pytest.raises(ImproperlyConfigured, match=r"CELERY_TASK_TIME_LIMT.*did you mean 'task_time_limit'"):
        load(conf, {"CELERY_TASK_TIME_LIMT": 5}).task_time_limit  # noqa: B018


def test_a_value_that_cannot_be_names_the_setting_and_the_place(conf: Conf) -> None:
    load(conf, {"worker_concurrency": "many"})
    with pytest.raises(ImproperlyConfigured, match=r"worker_concurrency \(config_from_object\): .*'many'"):
        conf.worker_concurrency  # noqa: B018


def test_a_soft_limit_above_the_hard_one_is_refused(conf: Conf) -> None:
    conf.task_time_limit = 5
    assert conf.task_time_limit == 5.0
    with pytest.raises(ImproperlyConfigured, match="never be reached"):
        conf.task_soft_time_limit = 6


def test_a_change_is_told_once_the_settings_were_read() -> None:
    told: list[str] = []
    conf = Conf(lambda: told.append("before"), lambda: told.append("after"), lambda: told.append("changed"))
    conf.task_time_limit = 5
    assert told == []
    assert conf.task_time_limit == 5.0 and conf.task_acks_late
    conf.update(task_time_limit=6, task_acks_late=False)
    assert told == ["before", "after", "changed"]


def test_who_is_told_that_settings_are_read_may_read_and_change_them() -> None:
    def configure() -> None:
        assert made.task_default_queue == "default"
        made.task_default_queue = "late"

    made = Conf(before_load=configure)
    assert made.task_default_queue == "late"


# -- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BROKER_URL", "url"),
        ("CELERY_BROKER_URL", "url"),
        ("CELERY_ACCEPT_CONTENT", "accept_content"),
        ("CELERY_TASK_SERIALIZER", "task_serializer"),
        ("CELERY_RESULT_SERIALIZER", "result_serializer"),
        ("CELERY_TASK_RESULT_EXPIRES", "result_expires"),
        ("CELERY_IGNORE_RESULT", "task_ignore_result"),
        ("CELERY_ALWAYS_EAGER", "task_always_eager"),
        ("CELERY_EAGER_PROPAGATES_EXCEPTIONS", "task_eager_propagates"),
        ("CELERY_ACKS_LATE", "task_acks_late"),
        ("CELERY_DEFAULT_QUEUE", "task_default_queue"),
        ("CELERY_QUEUES", "task_queues"),
        ("CELERY_ROUTES", "task_routes"),
        ("CELERY_ANNOTATIONS", "task_annotations"),
        ("CELERY_MESSAGE_COMPRESSION", "task_compression"),
        ("CELERY_DISABLE_RATE_LIMITS", "worker_disable_rate_limits"),
        ("CELERY_ENABLE_REMOTE_CONTROL", "worker_enable_remote_control"),
        ("CELERY_SEND_EVENTS", "worker_send_task_events"),
        ("CELERY_SEND_TASK_SENT_EVENT", "task_send_sent_event"),
        ("CELERY_IMPORTS", "imports"),
        ("CELERY_INCLUDE", "include"),
        ("CELERY_TIMEZONE", "timezone"),
        ("CELERY_ENABLE_UTC", "enable_utc"),
        ("CELERYD_CONCURRENCY", "worker_concurrency"),
        ("CELERYD_MAX_TASKS_PER_CHILD", "worker_max_tasks_per_child"),
        ("CELERYD_TASK_TIME_LIMIT", "task_time_limit"),
        ("CELERYD_TASK_SOFT_TIME_LIMIT", "task_soft_time_limit"),
        ("CELERYD_POOL", "worker_pool"),
        ("CELERYD_LOG_FORMAT", "worker_log_format"),
        ("CELERYBEAT_SCHEDULE", "beat_schedule"),
    ],
)
def test_names_are_understood_as_celery_once_had_them(old: str, new: str) -> None:
    from actorq.settings.names import canonical

    assert canonical(old) == canonical(new.upper()) == new


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("broker_pool_limit", "no broker"),
        ("BROKER_HEARTBEAT", "no broker"),
        ("CELERY_RESULT_BACKEND", "the coordinator keeps results"),
        ("redis_max_connections", "the coordinator keeps results"),
        ("CELERYD_PREFETCH_MULTIPLIER", "prefetch none"),
        ("task_protocol", "one protocol"),
        ("event_queue_ttl", "AMQP"),
        ("security_certificate", "actorq key new"),
    ],
)
def test_settings_that_make_no_sense_here_are_accepted_with_one_warning_that_says_why(name: str, why: str) -> None:
    conf = Conf()

    def say_it_three_times() -> None:
        conf.update({name: 1})
        load(conf, {name: 2}).task_time_limit  # noqa: B018
        conf.update({name: 3})

    with pytest.warns(SettingIgnored, match=why) as told:
        say_it_three_times()
    assert len(told) == 1
    assert conf[name] == 3


def test_settings_without_an_effect_yet_say_so() -> None:
    with pytest.warns(SettingIgnored, match="beat_schedule has no effect yet") as told:
        Conf().update(beat_schedule={"nightly": {"task": "proj.clean", "schedule": 3600}})
    assert len(told) == 1


def test_the_url_may_be_called_as_celery_calls_it(conf: Conf) -> None:
    conf.broker_url = ["tcp://a:5570", "tcp://b:5570"]
    assert conf.broker_url == conf.url == "tcp://a:5570,tcp://b:5570"


@pytest.mark.parametrize("url", ["redis://localhost:6379/0", "amqp://guest@localhost//", "memory://", "sqs://"])
def test_a_broker_is_refused_with_what_to_do_instead(conf: Conf, url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"is a broker.*actorq coordinator.*local://"):
        conf.broker_url = url


# -- sources and what goes first -----------------------------------------------------------------------------------


def test_the_program_goes_before_files_they_before_the_environment_and_that_before_defaults(
    conf: Conf, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["task_default_queue", "result_serializer", "task_serializer", "result_compression"]
    monkeypatch.setattr("os.environ", {f"ACTORQ_{name.upper()}": "environment" for name in names[:3]})
    conf.add_defaults(lambda: dict.fromkeys(names, "defaults"))
    load(conf, dict.fromkeys(names[:2], "file"))
    conf.task_default_queue = "program"
    assert [conf[name] for name in names] == ["program", "file", "environment", "defaults"]


def test_of_two_files_the_later_one_holds(conf: Conf) -> None:
    load(load(conf, {"task_time_limit": 1, "task_acks_late": False}), {"task_time_limit": 2})
    assert (conf.task_time_limit, conf.task_acks_late) == (2.0, False)


def test_a_module_is_read_at_the_first_use(conf: Conf, module: types.ModuleType) -> None:
    load(conf, "their_config")
    module.__dict__.update(task_time_limit=5, Path=Path, os=sys, helper=len, AGE=3, _task=1)
    assert conf.task_time_limit == 5.0


def test_a_module_may_have_what_it_likes_but_no_misspelt_settings(conf: Conf, module: types.ModuleType) -> None:
    module.__dict__.update(task_tiem_limit=5)
    with pytest.raises(ImproperlyConfigured, match="did you mean 'task_time_limit'"):
        load(conf, "their_config").task_time_limit  # noqa: B018


def test_with_a_namespace_only_such_names_are_settings(conf: Conf, module: types.ModuleType) -> None:
    module.__dict__.update(CELERY_TASK_TIME_LIMIT=5, CELERY_BROKER_URL="tcp://a:1", task_acks_late=False, DEBUG=True)
    load(conf, module, namespace="CELERY")
    assert (conf.task_time_limit, conf.url, conf.task_acks_late) == (5.0, "tcp://a:1", True)


def test_an_object_is_read_by_its_attributes(conf: Conf) -> None:
    class Config:
        task_time_limit = 5
        colour = "blue"

    assert load(conf, Config).task_time_limit == 5.0


def test_a_module_that_is_not_there_is_an_error_unless_it_is_to_be_silent(conf: Conf) -> None:
    assert load(conf, "no_such_module", silent=True).task_acks_late
    with pytest.raises(ImportError):
        load(conf, "no_such_module").task_acks_late  # noqa: B018


def test_a_toml_file_has_settings_in_groups(conf: Conf, tmp_path: Path) -> None:
    path = tmp_path / "conf.toml"
    path.write_text(
        'url = "tcp://a:1"\n[worker]\nconcurrency = 4\n[task]\ntime_limit = 5\n[task_routes]\n"a.*" = { queue = "a" }\n'
    )
    load(conf, str(path))
    assert (conf.url, conf.worker_concurrency, conf.task_time_limit) == ("tcp://a:1", 4, 5.0)
    assert conf.task_routes == {"a.*": {"queue": "a"}}


def test_a_file_that_is_no_toml_says_so(conf: Conf, tmp_path: Path) -> None:
    path = tmp_path / "conf.toml"
    path.write_text("task_time_limit: 5")
    with pytest.raises(ImproperlyConfigured, match=r"conf.toml is no TOML file"):
        load(conf, str(path)).task_time_limit  # noqa: B018


def test_the_environment_has_text() -> None:
    source = from_environment(
        {
            "ACTORQ_TASK_TIME_LIMIT": "1.5",
            "ACTORQ_TASK_ACKS_LATE": "no",
            "ACTORQ_IMPORTS": "a, b",
            "ACTORQ_TASK_ROUTES": '{"a.*": {"queue": "a"}}',
            "ACTORQ_KEY": "",
            "TASK_ACKS_LATE": "nonsense",
        }
    )
    assert source.values == {
        "task_time_limit": 1.5,
        "task_acks_late": False,
        "imports": ("a", "b"),
        "task_routes": {"a.*": {"queue": "a"}},
    }


def test_variables_that_are_no_settings_are_left_alone_unless_they_look_like_one() -> None:
    others = {
        "ACTORQ_TEST_NODES": "1",
        "ACTORQ_SURROUNDING_MESH": "1 ipc://x",
        "ACTORQ_PORT": "tcp://10.0.0.1:5570",
        "ACTORQ_WORKER_SERVICE_HOST": "10.0.0.1",
        "ACTORQ_WORKER_PORT_5570_TCP_ADDR": "10.0.0.1",
    }
    assert from_environment(others).values == {}
    with pytest.raises(ImproperlyConfigured, match="did you mean 'worker_concurrency'"):
        from_environment({"ACTORQ_WORKER_CONCURENCY": "4"})


def test_one_setting_under_two_names_is_refused_if_they_differ(conf: Conf) -> None:
    load(conf, {"task_time_limit": 5, "CELERYD_TASK_TIME_LIMIT": 5})
    assert conf.task_time_limit == 5.0
    with pytest.raises(ImproperlyConfigured, match="task_time_limit and CELERYD_TASK_TIME_LIMIT"):
        load(conf, {"task_time_limit": 5, "CELERYD_TASK_TIME_LIMIT": 6}).task_time_limit  # noqa: B018


# -- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("result_expires", timedelta(hours=1), 3600.0),
        ("result_expires", "60", 60.0),
        ("imports", ["a", "b", "a"], ("a", "b")),
        ("worker_concurrency", "4", 4),
        ("worker_pool", "prefork", "processes"),
        ("worker_pool", "eventlet", "gevent"),
        ("task_default_priority", 9, 9),
        ("task_acks_late", "off", False),
        ("key", Path("/a/key"), "/a/key"),
        ("worker_log_level", "info", "INFO"),
    ],
)
def test_values_are_converted(conf: Conf, name: str, given: Any, kept: Any) -> None:
    conf[name] = given
    assert conf[name] == kept and type(conf[name]) is type(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("result_expires", -1),
        ("result_expires", float("nan")),
        ("task_time_limit", True),
        ("worker_concurrency", 0),
        ("worker_concurrency", 1.5),
        ("worker_pool", "swimming"),
        ("task_default_priority", 10),
        ("task_acks_late", "perhaps"),
        ("imports", 3),
        ("beat_schedule", [1]),
        ("timezone", "Mars/Olympus"),
        ("task_publish_retry_policy", {"max_retires": 3}),
        ("task_publish_retry_policy", {"max_retries": "x"}),
        ("worker_log_level", "LOUD"),
        ("url", "nowhere"),
        ("task_annotations", [{}, 3]),
    ],
)
def test_values_that_cannot_be_are_refused(conf: Conf, name: str, value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        conf[name] = value


def test_the_zone_is_utc_unless_told_otherwise(conf: Conf) -> None:
    assert conf.zone is timezone.utc
    conf.enable_utc = False
    assert conf.zone is None
    conf.timezone = "Europe/Berlin"
    assert conf.zone == ZoneInfo("Europe/Berlin")


# -- showing -----------------------------------------------------------------------------------------------------


def test_what_was_changed_is_shown_without_secrets(conf: Conf) -> None:
    conf.update(key="/a/key", task_time_limit=5, task_routes={"a": {"password": "x", "queue": "q"}})
    conf.update(task_default_routing_key="r", beat_schedule={"a": {"kwargs": {"url": "redis://me:secret@host/0"}}})
    assert conf.table() == {
        "key": "********",
        "task_time_limit": 5.0,
        "task_routes": {"a": {"password": "********", "queue": "q"}},
        "task_default_routing_key": "r",
        "beat_schedule": {"a": {"kwargs": {"url": "redis://me:********@host/0"}}},
    }
    assert conf.table(censored=False)["key"] == "/a/key"
    assert "task_time_limit: 5.0" in conf.humanize().splitlines()
    assert "secret" not in repr(conf)
    assert len(conf.table(with_defaults=True)) == len(conf)


def test_keys_do_not_travel(conf: Conf) -> None:
    conf.update(key="/a/key", task_time_limit=5, task_routes={"a": "b"})
    assert dict(conf.portable()) == {
        "url": "tcp://127.0.0.1:5570",
        "accept_content": ("msgpack", "json", "cloudpickle"),
        "task_time_limit": 5.0,
    }


def test_every_setting_is_documented() -> None:
    import ast
    import inspect
    import textwrap

    (table,) = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body
    assert isinstance(table, ast.ClassDef)
    body = table.body[1:]
    for field, doc in zip(body[::2], body[1::2], strict=True):
        assert isinstance(field, ast.AnnAssign), ast.unparse(field)
        assert isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant), ast.unparse(field)


def test_defaults_are_values_that_could_be_given() -> None:
    from actorq.settings.table import NAMES, converted

    for name in NAMES:
        default = getattr(Settings(), name)
        assert default is None or converted(name, default, "default") == default


def test_reading_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Conf().task_acks_late
