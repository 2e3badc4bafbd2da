"""What is announced of calls: when they are submitted, and around their runs."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest

from actorq import Task, signals
from actorq.dispatch import Signal
from actorq.errors import Ignore, Reject, Retry, Terminated
from actorq.wire.payload import encode_call
from actorq.wire.records import FAILURE, REVOKED, Call, CallSpec
from actorq.worker import announcing
from actorq.worker.endings import Ending
from actorq.worker.jobs import Jobs
from tests.unit.tasks.support import make_app, run_call

app = make_app()


@app.task(name="add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="fail")
def fail() -> None:
    raise ValueError("no")


@app.task(name="stop")
def stop(error: str) -> None:
    raise {
        "retry": Retry(exc=ValueError("no"), when=3),
        "ignore": Ignore(),
        "reject": Reject("no"),
        "revoked": Ending(REVOKED, Terminated("revoked")),
        "limit": Ending(FAILURE, Terminated("too long")),
        "back": Ending(None, Terminated("elsewhere")),
    }[error]


SIGNALS = [each for each in vars(signals).values() if isinstance(each, Signal)]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Receivers inside of tests are forgotten with these, once somebody looks."""
    yield
    gc.collect()
    for signal in SIGNALS:
        if signal.receivers:
            signal.send(None)


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The signals of tasks that were sent, with what they brought."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def listen(signal: Signal, **named: Any) -> None:
        sent.append((signal.name, named))

    names = [name for name in dir(signals) if name.startswith("task_") or name.endswith("_publish")]
    for name in names:
        getattr(signals, name).connect(listen)
    yield sent
    for name in names:
        getattr(signals, name).disconnect(listen)


def names(heard: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in heard]


# -- around a run ------------------------------------------------------------------------------------------------


def test_a_call_that_returns_is_announced_before_and_after(heard: list[tuple[str, dict[str, Any]]]) -> None:
    assert run_call(add, 1, y=2).value == 3
    assert names(heard) == ["task_prerun", "task_success", "task_postrun"]
    prerun, success, postrun = (named for _, named in heard)
    assert prerun == {"sender": add, "task": add, "task_id": "call-1", "args": [1], "kwargs": {"y": 2}}
    assert success["result"] == 3 and success["runtime"] >= 0
    assert (postrun["retval"], postrun["state"]) == (3, "SUCCESS")


def test_a_failure_brings_the_exception_and_its_traceback(heard: list[tuple[str, dict[str, Any]]]) -> None:
    assert run_call(fail).state == "FAILURE"
    assert names(heard) == ["task_prerun", "task_failure", "task_postrun"]
    failure = heard[1][1]
    assert isinstance(failure["exception"], ValueError) and failure["task_id"] == "call-1"
    assert isinstance(failure["traceback"], TracebackType)
    assert "raise ValueError" in failure["einfo"].traceback
    assert heard[2][1]["state"] == "FAILURE"


@pytest.mark.parametrize(
    ("error", "signal", "state"),
    [
        ("retry", ["task_retry"], "RETRY"),
        ("ignore", [], "IGNORED"),
        ("reject", ["task_rejected"], "REJECTED"),
        ("revoked", ["task_revoked"], "REVOKED"),
        ("limit", ["task_failure"], "FAILURE"),
        ("back", [], None),
    ],
)
def test_how_else_a_call_ends_is_announced(
    heard: list[tuple[str, dict[str, Any]]], error: str, signal: list[str], state: str | None
) -> None:
    try:
        run_call(stop, error)
    except Ending:
        pass
    assert names(heard) == ["task_prerun", *signal, "task_postrun"]
    assert heard[-1][1]["state"] == state
    if error == "revoked":
        assert heard[1][1]["terminated"] and not heard[1][1]["expired"]
        assert heard[1][1]["request"].id == "call-1"
    if error == "retry":
        assert str(heard[1][1]["reason"]) == "Retry in 3s: ValueError('no')"


def test_receivers_come_around_the_hooks_of_the_task(heard: list[tuple[str, dict[str, Any]]]) -> None:
    class Hooked(Task[Any, Any]):
        def before_start(self, *_: Any) -> None:
            heard.append(("before_start", {}))

        def on_success(self, *_: Any) -> None:
            heard.append(("on_success", {}))

        def after_return(self, *_: Any) -> None:
            heard.append(("after_return", {}))

    task: Any = app.task(name="hooked", base=Hooked)(lambda: 1)
    run_call(task)
    expected = ["task_prerun", "before_start", "on_success", "after_return", "task_success", "task_postrun"]
    assert names(heard) == expected


def test_who_names_a_task_hears_of_no_other() -> None:
    heard: list[str] = []

    @signals.task_prerun.connect(sender=add)
    def listen(task: Any, **_: Any) -> None:
        heard.append(task.name)

    run_call(fail)
    run_call(add, 1, 2)
    assert heard == ["add"]


def test_what_a_receiver_raises_changes_nothing() -> None:
    @signals.task_prerun.connect
    def broken(**_: Any) -> None:
        raise RuntimeError("no")

    assert run_call(add, 1, 2).value == 3
    signals.task_prerun.disconnect(broken)  # The log keeps it.


def test_a_call_that_nobody_wants_to_hear_of_takes_the_fast_way() -> None:
    job = Jobs(app).make(add.spec, None)
    job.resolve()
    assert job.run == job._run_plain
    receive: Callable[..., None] | None = lambda **_: None  # noqa: E731
    signals.task_prerun.connect(receive)
    assert job.run == job._run_traced
    del receive
    gc.collect()
    signals.task_prerun.send(None)
    assert job.run == job._run_plain


def test_a_function_by_value_is_known_by_its_name(heard: list[tuple[str, dict[str, Any]]]) -> None:
    make = announcing.announced(None, CallSpec("by.value"), None)
    assert make is not None
    trace = make(Call("call-1", 1, b""), [], {})
    trace.start()
    assert heard[0][1]["task"].name == "by.value"


def test_a_call_whose_task_is_not_here_or_whose_arguments_cannot_be_read_is_announced(
    heard: list[tuple[str, dict[str, Any]]],
) -> None:
    jobs = Jobs(app)
    unknown = jobs.make(CallSpec("nobody"), None)
    unknown.resolve()
    with pytest.raises(KeyError):
        unknown.run(Call("call-1", 1, encode_call([], {})))
    known = jobs.make(add.spec, None)
    known.resolve()
    with pytest.raises(Exception, match="msgpack"):
        known.run(Call("call-2", 1, b"\xc1"))
    assert names(heard) == ["task_unknown", "task_internal_error"]
    assert (heard[0][1]["name"], heard[0][1]["id"], heard[1][1]["task_id"]) == ("nobody", "call-1", "call-2")


def test_a_call_that_came_too_late_is_announced_as_expired(heard: list[tuple[str, dict[str, Any]]]) -> None:
    announcing.expired(add.spec, Call("call-1", 1, b""))
    assert names(heard) == ["task_revoked"]
    assert heard[0][1]["expired"] and heard[0][1]["request"].id == "call-1"


# -- submitting --------------------------------------------------------------------------------------------------


class FakeSession:
    """Takes calls, and sends none."""

    is_over = False
    max_body_bytes = 0

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.plans: list[Any] = []
        self.settings: Any = app._session_settings()
        self._numbers = itertools.count()

    def number(self, spec: CallSpec) -> int:
        return 1

    def new_id(self) -> str:
        return f"new-{next(self._numbers)}"

    def submit(self, result: Any, call: Call, *_: Any) -> None:
        self.calls.append(call)

    def submit_plan(self, plan: Any, *_: Any) -> None:
        self.plans.append(plan)

    def close(self) -> None: ...


@pytest.fixture
def session() -> Iterator[FakeSession]:
    session: Any = FakeSession()
    app._session = session
    yield session
    app._session = None
    app._forget_routes()


def test_a_call_is_announced_before_it_is_submitted_and_after(
    heard: list[tuple[str, dict[str, Any]]], session: FakeSession
) -> None:
    result = add.delay(1, y=2)
    assert names(heard) == ["before_task_publish", "after_task_publish"]
    before = heard[0][1]
    assert before["sender"] == "add" and before["routing_key"] == "default"
    assert before["body"] == ((1,), {"y": 2}, {})
    assert before["headers"]["id"] == result.id == session.calls[0].id
    add.apply_async((1, 2), task_id="mine", queue="fast")
    assert (heard[2][1]["headers"]["id"], heard[2][1]["routing_key"]) == ("mine", "fast")


def test_headers_that_a_receiver_adds_come_to_the_task(session: FakeSession) -> None:
    # So traces go on from the client into the worker.
    @signals.before_task_publish.connect
    def inject(headers: dict[str, Any], **_: Any) -> None:
        headers["traceparent"] = "00-1-2-01"

    @app.task(name="traced", bind=True)
    def traced(self: Any) -> Any:
        return [self.request.headers, self.request.traceparent]

    traced.apply_async(headers={"own": 1})
    extra = session.calls[0].extra
    assert run_call(traced, extra=extra).value == [{"own": 1, "traceparent": "00-1-2-01"}, "00-1-2-01"]


def test_the_fast_way_asks_nobody_and_is_left_when_somebody_connects(session: FakeSession) -> None:
    add.delay(1, 2)
    assert add.route is not None
    heard: list[str] = []

    @signals.after_task_publish.connect
    def listen(headers: dict[str, Any], **_: Any) -> None:
        heard.append(headers["id"])

    assert add.route is None
    result = add.delay(1, 2)
    assert heard == [result.id] and add.route is None
    signals.after_task_publish.disconnect(listen)
    add.delay(1, 2)
    assert len(heard) == 1 and add.route is not None


def test_each_call_of_a_workflow_is_announced(heard: list[tuple[str, dict[str, Any]]], session: FakeSession) -> None:
    last = (add.s(1, 2) | add.s(3)).apply_async()
    assert names(heard) == ["before_task_publish"] * 2 + ["after_task_publish"] * 2
    told = [named["headers"]["id"] for _, named in heard]
    assert told[:2] == told[2:] == [last.parent.id, last.id]
    assert [node.call.id for node in session.plans[0].nodes] == told[:2]
