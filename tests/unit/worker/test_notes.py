"""What running calls say of themselves, and calls that go on: from the pool to the coordinator and to the client."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actorq.errors import Ignore, Retry
from actorq.wire import messages as m
from actorq.wire.records import FAILURE, REPLACED, REVOKED, SUCCESS, CallSpec, Extra, Note, Outcome
from actorq.worker import lines
from actorq.worker.base import NOTES_KEPT
from tests.unit.worker import core_support
from tests.unit.worker.core_support import ME, REPLY_TO
from tests.unit.worker.support import PlainTask, call_of, jobs_of
from tests.unit.worker.test_pool import Bench as PoolBench


class Bench(core_support.Bench):
    """Also keeps what is told to clients."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []

    def note(self, task_id: str, state: str, attempt: int = 1) -> None:
        """A running call says something; nothing is sent yet."""
        call = self.core.held.get(task_id) or call_of()
        self.core.noted([(call, call.client, Note(task_id, attempt, state))])

    def say(self) -> list[str]:
        """What the coordinator is told, by state."""
        effects = self.core.finish()
        self.told += [(to.session, note.state) for to, notes in effects.told.items() for note in notes]
        self.said += effects.sends[self.peer]
        return [note.state for message in self.take(m.Noted) for note in message.notes]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.deliver("a", "b")
    bench.start()
    return bench


def test_a_note_goes_to_the_coordinator_and_straight_to_the_client(bench: Bench) -> None:
    bench.note("a", "PROGRESS")
    assert bench.say() == ["PROGRESS"]
    assert bench.told == [(REPLY_TO[ME].session, "PROGRESS")]
    assert bench.say() == []


def test_notes_of_calls_that_are_not_held_any_more_go_nowhere(bench: Bench) -> None:
    bench.note("a", "OLD", attempt=2)
    bench.end("b")
    bench.note("b", "LATE")
    assert bench.say() == [] and bench.told == []


def test_of_the_notes_of_one_turn_the_last_of_each_state_counts(bench: Bench) -> None:
    call = bench.core.held["a"]
    notes = [Note("a", 1, state, bytes([number])) for number, state in enumerate(["X", "Y", "X"])]
    bench.core.noted([(call, ME, note) for note in notes])
    bench.step()
    (message,) = bench.take(m.Noted)
    assert [(note.state, note.meta) for note in message.notes] == [("X", b"\2"), ("Y", b"\1")]


def test_a_node_out_of_touch_drops_them(bench: Bench) -> None:
    """They would be old news when the connection is back, and must not add up until then."""
    bench.lose()
    bench.note("a", "PROGRESS")
    assert bench.say() == [] and bench.told == []
    bench.connect()
    assert bench.say() == []


def test_a_client_out_of_reach_is_told_nothing(bench: Bench) -> None:
    bench.core.unreachable(REPLY_TO[ME])
    bench.note("a", "PROGRESS")
    assert bench.say() == ["PROGRESS"] and bench.told == []


def test_a_replaced_call_is_reported_to_the_coordinator_only(bench: Bench) -> None:
    bench.core.ended([Outcome("a", 1, REPLACED, b""), Outcome("b", 1, SUCCESS, b"")])
    bench.step()
    assert [outcome.id for report in bench.take(m.Finished) for outcome in report.outcomes] == ["a", "b"]
    assert bench.results == [(REPLY_TO[ME].session, "b")]


def test_a_revocation_that_does_not_end_a_call_is_known_while_it_runs(bench: Bench) -> None:
    cancelled = bench.core.leases.cancelled
    bench.hear(m.Revoke(["a", "unknown"]))
    assert cancelled == {"a"}
    bench.end("a")
    assert cancelled == set()


# -- in the pool ---------------------------------------------------------------------------------------------------


def test_a_call_can_say_something_while_it_runs() -> None:
    from actorq.context import current

    def speak() -> None:
        running = current.get()
        assert running is not None
        running.tell(Note(running.call.id, 1, "PROGRESS"))
        assert running.is_cancelled()

    pool = PoolBench()
    call = pool.submit(speak)
    call.client = 5
    pool.pool.cancelled.add(call.id)
    pool.pool.wake()
    pool.outcome(call)
    assert pool.pool.take_notes() == [(call, 5, Note(call.id, 1, "PROGRESS"))] and pool.pool.take_notes() == []


def test_a_loop_that_never_stops_to_speak_does_not_fill_the_memory() -> None:
    pool = PoolBench().pool
    for number in range(NOTES_KEPT + 5):
        pool.tell(call_of(), Note(str(number), 1, "X"))
    assert [note.id for _, _, note in pool.take_notes()][:1] == ["5"]


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (Retry(exc=ValueError("x"), when=3), logging.INFO, "Task bad[{id}] retry: Retry in 3s: ValueError('x')"),
        (Ignore("dull"), logging.INFO, "Task bad[{id}] ignored: dull"),
        (KeyError("known"), logging.INFO, "Task bad[{id}] raised expected: KeyError('known')"),
        (ValueError("x"), logging.ERROR, "Task bad[{id}] raised unexpected: ValueError('x')\nTraceback"),
    ],
)
def test_the_log_has_the_lines_that_users_of_celery_filter_for(
    error: Exception, level: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    def bad() -> None:
        raise error

    if isinstance(error, Retry):
        error.replacement = b"what it goes on as"
    caplog.set_level(logging.INFO, "actorq.worker")
    pool = PoolBench()
    job = jobs_of(bad=PlainTask(bad, throws=(KeyError,))).make(CallSpec("bad"), None)
    outcome = pool.run(job)
    assert outcome.state == {Retry: REPLACED, Ignore: REVOKED}.get(type(error), FAILURE)
    (record,) = caplog.records
    assert record.levelno == level and record.getMessage().startswith(text.format(id=outcome.id))


def test_a_call_is_logged_under_the_name_that_it_brings() -> None:
    from actorq.wire.payload import dumps

    call = call_of()
    spec = CallSpec("task")
    for request, name in ((b"", "task"), (dumps({"shadow": "s"}), "s"), (dumps({}), "task"), (b"\xc1", "task")):
        call.extra = Extra(request=request)
        assert lines._name_of(spec, call) == name


def test_a_result_is_shown_as_long_as_its_task_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "actorq.worker")
    job = jobs_of(long=PlainTask(lambda: "x" * 50, resultrepr_maxsize=10)).make(CallSpec("long"), None)
    PoolBench().run(job)
    value: Any = caplog.records[-1].data["return_value"]  # type: ignore[attr-defined]
    assert value == "'xxxxxxxx…"
