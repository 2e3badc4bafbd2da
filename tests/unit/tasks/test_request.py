"""What a task knows of its own call, and what calls that it makes know of it."""

from __future__ import annotations

import logging
from contextvars import copy_context
from datetime import datetime, timezone
from typing import Any

import pytest

from actorq import current_task, get_task_logger
from actorq.context import current
from actorq.errors import EncodeError, ImproperlyConfigured, MessageTooLarge
from actorq.tasks.options import split_options
from actorq.tasks.request import Request, child_of, extra_of
from actorq.wire.payload import loads
from actorq.wire.records import Call, CallSpec, Extra
from tests.unit.tasks.support import Run, make_app, run_call

app = make_app()
SEEN: dict[str, Any] = {}
FIELDS = [
    "id",
    "args",
    "kwargs",
    "root_id",
    "parent_id",
    "group",
    "group_index",
    "chord",
    "chain",
    "callbacks",
    "errbacks",
    "retries",
    "eta",
    "expires",
    "is_eager",
    "called_directly",
    "hostname",
    "delivery_info",
    "reply_to",
    "correlation_id",
    "headers",
    "properties",
    "origin",
    "timelimit",
    "shadow",
    "ignore_result",
    "replaced_task_nesting",
    "stamps",
    "stamped_headers",
    "children",
    "loglevel",
    "logfile",
    "argsrepr",
    "kwargsrepr",
    "task",
]


@app.task(bind=True, time_limit=9, queue="fast")
def look(self: Any, *args: Any, **kwargs: Any) -> None:
    SEEN.clear()
    SEEN.update({name: getattr(self.request, name) for name in FIELDS})


def seen(extra: Extra | None = None, *args: Any, **kwargs: Any) -> dict[str, Any]:
    assert run_call(look, *args, extra=extra, **kwargs).state == "SUCCESS"
    return dict(SEEN)


def test_a_call_knows_what_it_is_and_where_it_runs() -> None:
    request = seen(None, 1, x=2)
    assert (request["id"], request["root_id"], request["parent_id"]) == ("call-1", "call-1", None)
    assert (request["args"], request["kwargs"]) == ([1], {"x": 2})
    assert (request["retries"], request["called_directly"], request["is_eager"]) == (0, False, False)
    assert (request["hostname"], request["task"]) == ("worker@test", look.name)
    assert request["timelimit"] == (9, None)
    assert request["delivery_info"] == {"exchange": "", "routing_key": "fast", "priority": 4, "redelivered": False}
    assert request["chord"] is None and request["children"] is None


def test_it_knows_where_it_belongs_to_and_what_it_was_given() -> None:
    options = {
        "headers": {"trace": "t"},
        "shadow": "s",
        "argsrepr": "***",
        "root_id": "r",
        "parent_id": "p",
        "group_id": "g",
        "group_index": 2,
        "stamped_headers": ["tenant"],
        "tenant": "acme",
    }
    request = seen(extra_of(split_options(options)[1], None))
    assert (request["root_id"], request["parent_id"], request["group"], request["group_index"]) == ("r", "p", "g", 2)
    assert (request["headers"], request["shadow"], request["argsrepr"]) == ({"trace": "t"}, "s", "***")
    assert (request["stamps"], request["stamped_headers"]) == ({"tenant": ["acme"]}, ["tenant"])


def test_times_are_text_in_iso_8601() -> None:
    moment = datetime(2030, 1, 1, tzinfo=timezone.utc)
    call = Call("c", 1, app.serializers.encode_call("msgpack", (), {}), moment.timestamp(), moment.timestamp() + 60)
    run_call(look, run=Run(call, look.spec))
    assert (SEEN["eta"], SEEN["expires"]) == ("2030-01-01T00:00:00+00:00", "2030-01-01T00:01:00+00:00")


def test_what_is_set_on_it_stays_for_the_call() -> None:
    @app.task(bind=True, name="remember")
    def remember(self: Any) -> Any:
        before, self.request.mark = self.request.mark, "set"
        return [before, self.request.mark, self.request.get("nothing", "default")]

    assert run_call(remember).value == [None, "set", "default"]
    assert run_call(remember).value == [None, "set", "default"]


def test_a_task_that_is_called_directly_has_a_request_of_its_own() -> None:
    @app.task(name="outer_of_look")
    def outer() -> list[Any]:
        assert look.request.called_directly and look.request.id is None
        look(1, y=2)
        inner = dict(SEEN)
        return [inner["called_directly"], inner["id"], inner["args"], inner["kwargs"], outer.request.id]

    assert run_call(outer).value == [True, None, (1,), {"y": 2}, "call-1"]
    assert outer.request.id is None and outer.request.called_directly


def test_an_unknown_field_is_none_as_in_celery() -> None:
    assert Request().whatever is None
    with pytest.raises(AttributeError):
        Request().__whatever__  # noqa: B018


# -- calls that a task makes ---------------------------------------------------------------------------------------


def test_a_call_made_in_a_task_belongs_to_it() -> None:
    run = Run(Call("child", 1, b"", extra=Extra(root="root", parent="x")), CallSpec("t"))
    assert child_of(run) == Extra(root="root", parent="child")
    assert child_of(Run(Call("first", 1, b""), CallSpec("t"))) == Extra(root="first", parent="first")
    assert child_of(Run(Call("", 0, b""), CallSpec(""))) is None and child_of(None) is None


def test_unless_it_is_not_to() -> None:
    inherited = Extra(root="root", parent="parent")
    assert extra_of({}, inherited) is inherited
    assert extra_of({"add_to_parent": False}, inherited) is None
    assert extra_of({"parent_id": "other"}, inherited) == Extra(root="root", parent="other")
    extra = extra_of({"headers": {"a": 1}}, inherited)
    assert extra is not None and extra.root == "root" and loads(extra.request) == {"headers": {"a": 1}}


def test_what_cannot_be_sent_is_refused_at_the_call() -> None:
    with pytest.raises(EncodeError):
        extra_of({"headers": {"a": object()}}, None)
    with pytest.raises(ImproperlyConfigured, match="root_id"):
        extra_of({"root_id": "x" * 300}, None)
    with pytest.raises(ImproperlyConfigured, match="group_index"):
        extra_of({"group_index": "first"}, None)


def test_options_for_a_broker_are_ignored_with_one_warning() -> None:
    with pytest.warns(UserWarning, match="delivery_mode, producer"):
        assert split_options({"producer": 1, "delivery_mode": 2, "countdown": 3}) == ({}, {"countdown": 3})


# -- what a task says while it runs --------------------------------------------------------------------------------


def test_a_task_tells_how_far_it_is() -> None:
    @app.task(bind=True, name="tell")
    def tell(self: Any) -> None:
        self.update_state(state="LOADING", meta={"row": 1})
        self.progress(1, 4, "quarter")
        self.update_state(task_id=self.request.id, state="DONE")

    notes = run_call(tell).run.notes
    assert [(note.id, note.attempt, note.state, loads(note.meta)) for note in notes] == [
        ("call-1", 1, "LOADING", {"row": 1}),
        ("call-1", 1, "PROGRESS", {"done": 1, "total": 4, "message": "quarter"}),
        ("call-1", 1, "DONE", None),
    ]
    tell()  # Nobody waits for a direct call.


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"state": "X", "task_id": "other"}, ImproperlyConfigured),
        ({"state": None}, ImproperlyConfigured),
        ({"state": "X", "meta": object()}, EncodeError),
        ({"state": "X", "meta": "x" * 100_000}, MessageTooLarge),
    ],
)
def test_what_cannot_be_told_is_an_error_in_the_task(words: dict[str, Any], error: type[Exception]) -> None:
    @make_app().task(bind=True, name="tell_wrongly")
    def tell(self: Any) -> None:
        self.update_state(**words)

    assert isinstance(run_call(tell).error, error)


def test_a_task_can_look_whether_it_is_cancelled() -> None:
    @app.task(bind=True, name="look_around")
    def look_around(self: Any) -> bool:
        return bool(self.is_cancelled())

    assert run_call(look_around, cancelled=True).value is True
    assert run_call(look_around).value is False
    assert look_around() is False


# -- from anywhere -----------------------------------------------------------------------------------------------


def test_the_current_task_is_the_one_that_runs() -> None:
    @app.task(name="who")
    def who() -> list[Any]:
        return [current_task.name, current_task.request.id]  # type: ignore[union-attr]

    assert run_call(who).value == ["who", "call-1"]
    assert not current_task


def test_records_of_a_task_logger_say_whose_they_are(caplog: pytest.LogCaptureFixture) -> None:
    logger = get_task_logger("my.module")
    assert logger is get_task_logger("my.module") and len(logger.filters) == 1

    def write() -> None:
        current.set(Run(Call("c", 1, b""), CallSpec("t")))
        logger.warning("inside")

    copy_context().run(write)
    logger.warning("outside")
    inside, outside = caplog.records
    assert (inside.name, inside.task_name, inside.task_id) == ("actorq.task.my.module", "t", "c")  # type: ignore[attr-defined]
    assert (outside.task_name, outside.task_id) == ("", "")  # type: ignore[attr-defined]
    assert isinstance(logger, logging.Logger)
