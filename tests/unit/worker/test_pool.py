"""The green pool, on the hub of the test's own thread, which is not monkey-patched."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event

from actorq.context import current
from actorq.errors import RemoteError, TaskRevokedError, TimeLimitExceeded
from actorq.wire.records import FAILURE, REVOKED, SUCCESS, Call, CallSpec, Outcome
from actorq.worker import lines
from actorq.worker.endings import hard_limit, soft_limit, terminated
from actorq.worker.jobs import Job
from actorq.worker.pool import FLUSH_COUNT, GreenPool
from tests.unit.worker.support import call_of, error_of, job_by_value, job_of, value_of

LIMIT_S = 10.0


class Bench:
    """A pool, and what it has delivered."""

    def __init__(self, concurrency: int = 4) -> None:
        self.ready: deque[tuple[Call, Job]] = deque()
        self.batches: list[list[Outcome]] = []
        self.pool = GreenPool(self.ready, "worker@test", concurrency, self.batches.append, self.in_hub)

    def in_hub(self, fn: Callable[..., Any], *args: Any) -> None:
        """For what other threads say: only those of tests of other pools do."""
        gevent.get_hub().loop.run_callback_threadsafe(fn, *args)

    def submit(self, fn: Callable[..., Any] | Job, *args: Any, **options: Any) -> Call:
        """Make a call ready, without waking the pool."""
        call = call_of(*args, **options)
        self.ready.append((call, fn if isinstance(fn, Job) else job_of(fn)))
        return call

    def run(self, fn: Callable[..., Any] | Job, *args: Any, **options: Any) -> Outcome:
        """Run one call to its end."""
        call = self.submit(fn, *args, **options)
        self.pool.wake()
        return self.outcome(call)

    def outcomes(self) -> list[Outcome]:
        return [outcome for batch in self.batches for outcome in batch]

    def outcome(self, call: Call) -> Outcome:
        """Wait for the outcome of a call."""
        self.until(lambda: any(outcome.id == call.id for outcome in self.outcomes()))
        (outcome,) = [outcome for outcome in self.outcomes() if outcome.id == call.id]
        return outcome

    def until(self, condition: Callable[[], object]) -> None:
        """Let the hub run until the condition is true."""
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {LIMIT_S:g} s; delivered: {self.outcomes()}"
            gevent.sleep(0.001)

    def until_idle(self) -> None:
        """Wait until nothing runs, and all is delivered."""
        self.until(lambda: not self.ready and not self.pool.running() and not self.pool.finished)

    def end(self, call: Call, error: BaseException) -> bool:
        """Throw into a running call, from the hub, as the watchdog has it done."""
        done: list[bool] = []
        (run,) = [run for run in self.pool.running() if run.call is call]
        gevent.get_hub().loop.run_callback(lambda: done.append(self.pool.end(run, call, error)))
        self.until(lambda: done)
        return done[0]


@pytest.fixture(autouse=True, scope="module")
def _the_hub_goes_with_the_tests() -> Iterator[None]:
    """Where a thread has a hub, a client takes it for a green one."""
    yield
    gevent.get_hub().destroy(destroy_loop=True)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def nothing() -> None:
    return None


# -- running -------------------------------------------------------------------------------------------------------


def test_short_calls_run_one_after_another_in_one_greenlet_and_are_delivered_together(bench: Bench) -> None:
    calls = [bench.submit(lambda x: x, number) for number in range(100)]
    bench.pool.wake()
    bench.until_idle()
    assert [outcome.id for outcome in bench.outcomes()] == [call.id for call in calls]
    assert len(bench.pool.slots) == 1
    assert len(bench.batches) < 10


def test_calls_that_wait_run_at_once_but_never_more_than_the_slots(bench: Bench) -> None:
    release, most = Event(), 0

    def wait() -> None:
        nonlocal most
        most = max(most, bench.pool.active)
        release.wait(LIMIT_S)

    job = job_of(wait)
    for _ in range(10):
        bench.submit(job)
    bench.pool.wake()
    bench.until(lambda: len(bench.pool.running()) == 4)
    gevent.sleep(0.01)
    assert len(bench.pool.running()) == 4 and len(bench.ready) == 6
    release.set()
    bench.until_idle()
    assert most == 4 and len(bench.outcomes()) == 10 and len(bench.pool.slots) == 4


def test_many_short_calls_let_others_run_and_are_delivered_in_parts(bench: Bench) -> None:
    job, left_at_timer = job_of(nothing), []
    for _ in range(20 * FLUSH_COUNT):
        bench.submit(job)
    timer = gevent.get_hub().loop.timer(0.0001)
    timer.start(lambda: left_at_timer.append(len(bench.ready)))
    bench.pool.wake()
    bench.until_idle()
    timer.close()
    assert left_at_timer[0] > 0, "the timer did not fire before the last call had ended"
    assert max(map(len, bench.batches)) <= FLUSH_COUNT + 1


def test_a_call_that_has_expired_is_revoked_without_being_run(bench: Bench) -> None:
    ran: list[int] = []
    late = bench.submit(lambda: ran.append(1), expires=time.time() - 1)
    outcome = bench.run(lambda: ran.append(2), expires=time.time() + 100)
    assert outcome.state == SUCCESS and ran == [2]
    revoked = bench.outcome(late)
    assert revoked.state == REVOKED and isinstance(error_of(revoked), TaskRevokedError)


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), GreenletExit(), gevent.Timeout(1)]
)
def test_whatever_a_task_raises_is_its_outcome_and_nothing_else_ends(bench: Bench, error: BaseException) -> None:
    def fail() -> None:
        raise error

    outcome = bench.run(fail)
    assert outcome.state == FAILURE
    assert isinstance(error_of(outcome), (ValueError, RemoteError))
    assert bench.run(nothing).state == SUCCESS


def test_the_traceback_of_a_failure_begins_in_the_users_code(bench: Bench) -> None:
    def inner() -> None:
        raise KeyError("gone")

    def outer() -> None:
        inner()

    error = error_of(bench.run(outer))
    text = getattr(error, "__actorq_traceback__", "")
    assert isinstance(error, KeyError) and error.args == ("gone",)
    assert "in outer" in text and "in inner" in text
    assert "actorq/worker" not in text


def test_what_a_call_leaves_behind_in_its_greenlet_does_not_harm_the_next_ones(bench: Bench) -> None:
    def leave_timeout() -> None:
        gevent.Timeout(0.001).start()

    bench.run(leave_timeout)
    gevent.sleep(0.02)  # It is thrown into the idle greenlet meanwhile.
    assert bench.run(nothing).state == SUCCESS
    assert bench.pool.active == 0


def test_a_greenlet_that_somebody_kills_is_made_anew(bench: Bench) -> None:
    kept: list[Any] = []
    bench.run(lambda: kept.append(gevent.getcurrent()))
    kept[0].kill()
    assert bench.run(nothing).state == SUCCESS
    assert bench.pool.active == 0 and len(bench.pool.slots) == 1


# -- context ---------------------------------------------------------------------------------------------------------


def test_a_task_knows_its_call_and_nothing_is_known_outside_of_tasks(bench: Bench) -> None:
    seen: list[tuple[str, str, str]] = []

    def look() -> None:
        running = current.get()
        assert running is not None
        seen.append((running.call.id, running.spec.task, running.node))

    call = bench.submit(look)
    bench.pool.wake()
    bench.outcome(call)
    assert seen == [(call.id, "look", "worker@test")]
    assert current.get() is None


def test_a_context_variable_that_a_task_sets_is_its_own(bench: Bench) -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)
    switch = Event()

    def use(number: int) -> list[int]:
        before = variable.get()
        variable.set(number)
        switch.wait(0.005)
        return [before, variable.get()]

    job = job_of(use)
    outcomes = [bench.run(job, 1)]
    calls = [bench.submit(job, number) for number in (2, 3)]
    bench.pool.wake()
    outcomes += [bench.outcome(call) for call in calls]
    assert [value_of(outcome) for outcome in outcomes] == [[0, 1], [0, 2], [0, 3]]


# -- tasks that wait for tasks -----------------------------------------------------------------------------------------


def wait_for(bench: Bench, event: Event) -> None:
    """What a task does that waits for a result."""
    running = current.get()
    assert running is not None
    running.pause()
    try:
        event.wait(LIMIT_S)
    finally:
        running.resume()


def test_tasks_that_wait_for_tasks_may_nest_deeper_than_the_slots(bench: Bench) -> None:
    done = [Event() for _ in range(201)]
    most = 0

    def descend(depth: int) -> None:
        nonlocal most
        if depth < 200:
            bench.submit(job, depth + 1)
            bench.pool.wake()
            wait_for(bench, done[depth + 1])
        most = max(most, bench.pool.active)
        gevent.sleep(0)
        done[depth].set()

    job = job_of(descend)
    assert bench.run(job, 0).state == SUCCESS
    bench.until_idle()
    assert most <= 4 and bench.pool.paused == 0 and bench.pool.active == 0
    # And the greenlets that were needed in between do not stay
    assert len(bench.pool.slots) <= 5


def test_the_number_of_waiting_tasks_is_told_as_it_changes(bench: Bench) -> None:
    event = Event()
    call = bench.submit(wait_for, bench=None, event=None)
    bench.ready.clear()
    call = bench.submit(lambda: wait_for(bench, event))
    bench.pool.wake()
    bench.until(lambda: bench.batches)
    assert bench.batches == [[]] and (bench.pool.paused, bench.pool.active) == (1, 0)
    event.set()
    bench.outcome(call)
    assert (bench.pool.paused, bench.pool.active) == (0, 0)


def test_a_task_whose_wait_is_over_goes_on_before_new_calls_start() -> None:
    bench, event, order = Bench(concurrency=1), Event(), []

    def waiting() -> None:
        wait_for(bench, event)
        order.append("resumed")

    def busy() -> None:
        event.set()
        gevent.sleep(0.002)  # The other one asks for its slot meanwhile.
        order.append("busy")

    bench.submit(waiting)
    bench.submit(busy)
    last = bench.submit(lambda: order.append("new"))
    bench.pool.wake()
    bench.outcome(last)
    bench.until_idle()
    assert order == ["busy", "resumed", "new"]


def test_a_greenlet_that_outlives_its_task_in_a_wait_costs_no_slot() -> None:
    bench, event = Bench(concurrency=1), Event()

    def leave_behind() -> None:
        import contextvars

        context = contextvars.copy_context()
        gevent.spawn(context.run, wait_for, bench, event)
        gevent.sleep(0)

    assert bench.run(leave_behind).state == SUCCESS
    assert (bench.pool.active, bench.pool.paused) == (0, 0)
    assert bench.run(nothing).state == SUCCESS
    event.set()
    gevent.sleep(0.002)
    assert (bench.pool.active, bench.pool.paused) == (0, 0)


# -- ending ------------------------------------------------------------------------------------------------------------


def sleep_long() -> None:
    gevent.sleep(LIMIT_S)


def started(bench: Bench, fn: Callable[..., Any], **options: Any) -> Call:
    call = bench.submit(job_of(fn, **options))
    bench.pool.wake()
    bench.until(lambda: any(run.call is call for run in bench.pool.running()))
    return call


def test_a_call_that_is_made_to_end_has_the_outcome_of_its_ending_and_shows_where_it_was(bench: Bench) -> None:
    call = started(bench, sleep_long)
    assert bench.end(call, hard_limit(CallSpec("task", time_limit_s=1)))
    outcome = bench.outcome(call)
    error = error_of(outcome)
    assert outcome.state == FAILURE and isinstance(error, TimeLimitExceeded)
    assert "in sleep_long" in getattr(error, "__actorq_traceback__", "")
    other = started(bench, sleep_long)
    assert bench.end(other, terminated())
    assert bench.outcome(other).state == REVOKED


def test_a_task_may_go_on_after_its_soft_limit(bench: Bench) -> None:
    def patient() -> str:
        try:
            sleep_long()
        except Exception:
            return "cleaned up"
        return "never"

    call = started(bench, patient)
    bench.end(call, soft_limit(CallSpec("task", soft_time_limit_s=1)))
    assert bench.outcome(call).state == SUCCESS


def test_an_exception_for_one_call_never_hits_the_next_one_in_its_slot(bench: Bench) -> None:
    event = Event()
    call = started(bench, lambda: event.wait(LIMIT_S) and None)
    (run,) = bench.pool.running()
    event.set()
    bench.outcome(call)
    other = started(bench, sleep_long)
    assert bench.pool.running() == [run], "the test needs the same slot"
    done: list[bool] = []
    gevent.get_hub().loop.run_callback(lambda: done.append(bench.pool.end(run, call, terminated())))
    bench.until(lambda: done)
    assert done == [False] and bench.pool.running() == [run]
    bench.end(other, terminated())


def test_a_call_that_waits_for_a_slot_can_be_made_to_end() -> None:
    bench, event, release = Bench(concurrency=1), Event(), Event()
    waiting = started(bench, lambda: wait_for(bench, event))
    busy = started(bench, lambda: release.wait(LIMIT_S) and None)
    event.set()
    gevent.sleep(0.002)
    bench.end(waiting, terminated())
    assert bench.outcome(waiting).state == REVOKED
    release.set()
    bench.outcome(busy)
    bench.until_idle()
    assert (bench.pool.active, bench.pool.paused) == (0, 0)
    assert bench.run(nothing).state == SUCCESS


def test_the_call_on_the_cpu_is_told_from_those_that_wait(bench: Bench) -> None:
    seen: list[tuple[bool, bool]] = []
    waiting = started(bench, sleep_long)
    (idle,) = bench.pool.running()

    def look() -> None:
        (own,) = [run for run in bench.pool.running() if run is not idle]
        seen.append((bench.pool.is_on_cpu(own), bench.pool.is_current(own)))
        seen.append((bench.pool.is_on_cpu(idle), bench.pool.is_current(idle)))

    bench.run(look)
    assert seen == [(True, True), (False, False)]
    assert "in sleep_long" in bench.pool.stack_of(idle)
    assert "actorq/worker" not in bench.pool.stack_of(idle)
    bench.end(waiting, terminated())


def test_nothing_of_a_call_is_kept_when_it_has_ended(bench: Bench) -> None:
    class Large:
        pass

    alive: list[Any] = []
    import weakref

    def make() -> None:
        large = Large()
        alive.append(weakref.ref(large))

    call = bench.submit(make)
    bench.pool.wake()
    bench.outcome(call)
    bench.until_idle()
    assert alive[0]() is None
    references = sys.getrefcount(call)
    bench.batches.clear()
    assert references <= 3  # This frame, the argument, and the test's own.


# -- the log -----------------------------------------------------------------------------------------------------------


class UnreadablePickle:
    """Can be pickled, and raises when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exit, ("unpickled",)


def end_coroutine(bench: Bench, ended: Outcome | BaseException, value: Any = None) -> None:
    """What `Coroutines` says of one that ran."""
    bench.pool.active += 1
    bench.pool.coroutine_ended(call_of(), job_of(nothing), ended, 0.5, value)


def test_a_result_is_never_decoded_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "actorq.worker")
    bench = Bench(concurrency=1)
    outcome = bench.run(job_by_value(lambda: UnreadablePickle()))
    assert (outcome.state, outcome.content) == (SUCCESS, "cloudpickle")
    end_coroutine(bench, Outcome("coroutine", 1, SUCCESS, outcome.body, "cloudpickle"), UnreadablePickle())
    bench.until_idle()
    assert bench.pool.active == 0 and len(bench.outcomes()) == 2
    assert caplog.text.count("succeeded in") == 2 and caplog.text.count("UnreadablePickle object") == 2


def test_a_log_that_fails_costs_neither_the_outcome_nor_the_slot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise gevent.Timeout(1)

    def fail() -> None:
        raise ValueError

    caplog.set_level("INFO", "actorq.worker")
    monkeypatch.setattr(lines, "succeeded", broken)
    monkeypatch.setattr(lines, "raised", broken)
    bench = Bench(concurrency=1)
    assert [bench.run(fn).state for fn in (nothing, fail, nothing)] == [SUCCESS, FAILURE, SUCCESS]
    end_coroutine(bench, ValueError())
    end_coroutine(bench, Outcome("coroutine", 1, SUCCESS, b""))
    bench.until_idle()
    assert bench.pool.active == 0
    assert [outcome.state for outcome in bench.outcomes()][3:] == [FAILURE, SUCCESS]


def test_a_slot_is_given_back_whatever_comes_between_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(concurrency=1)
    run_calls = GreenPool._run_calls

    def interrupted(pool: GreenPool, slot: Any) -> None:
        monkeypatch.setattr(GreenPool, "_run_calls", run_calls)
        raise gevent.Timeout(1)

    monkeypatch.setattr(GreenPool, "_run_calls", interrupted)
    assert bench.run(nothing).state == SUCCESS
    bench.until_idle()
    assert bench.pool.active == 0
