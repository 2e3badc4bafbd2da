"""The pool of native threads, on the hub of the test's own thread."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from actorq.actors.gate import HubGate
from actorq.context import current
from actorq.errors import SoftTimeLimitExceeded
from actorq.native import PatientBell
from actorq.wire.records import FAILURE, REVOKED, SUCCESS, Call, CallSpec
from actorq.worker.async_raise import raise_in, raise_nothing_in
from actorq.worker.endings import shut_down, soft_limit, terminated
from actorq.worker.jobs import Job
from actorq.worker.slots import NO_CALL
from actorq.worker.threads import ThreadPool
from tests.unit.worker import test_pool
from tests.unit.worker.support import error_of, job_of, value_of

LIMIT_S = 10.0


class Bench(test_pool.Bench):
    """A pool of threads, and what it has delivered."""

    def __init__(self, concurrency: int = 4) -> None:
        self.ready: deque[tuple[Call, Job]] = deque()
        self.batches: list[Any] = []
        self.gate = HubGate()
        pool = ThreadPool(self.ready, "worker@test", concurrency, self.batches.append, self.gate.call_soon)
        self.pool: Any = pool

    def until_started(self, call: Call) -> None:
        self.until(lambda: self.pool.running() or any(outcome.id == call.id for outcome in self.outcomes()))

    def until_idle(self) -> None:
        """As of the other pools; and until the hub has heard of it, which threads tell when a call has ended."""
        super().until_idle()
        self.until(lambda: not self.pool.active and not self.pool.paused)

    def start(self, fn: Callable[..., Any], *args: Any) -> Call:
        """A call that runs."""
        call = self.submit(job_of(fn), *args)
        self.pool.wake()
        self.until(lambda: any(run.call is call for run in self.pool.running()))
        return call


@pytest.fixture(autouse=True, scope="module")
def _the_hub_goes_with_the_tests() -> Iterator[None]:
    yield
    gevent.get_hub().destroy(destroy_loop=True)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.until_idle()
    assert (bench.pool.active, bench.pool.paused) == (0, 0)
    bench.gate.close()


def wait_in_steps(seconds: float = LIMIT_S) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        time.sleep(0.001)


def wait_for(done: threading.Event) -> None:
    """What a task does that waits for a result."""
    running = current.get()
    assert running is not None
    running.pause()
    try:
        while not done.is_set():
            time.sleep(0.001)
    finally:
        running.resume()


def test_calls_run_on_other_threads_and_the_hub_goes_on(bench: Bench) -> None:
    release = threading.Event()
    calls = [bench.start(release.wait, LIMIT_S) for _ in range(4)]
    gevent.sleep(0)
    release.set()
    assert [value_of(bench.outcome(call)) for call in calls] == [True] * 4
    assert value_of(bench.run(threading.get_ident)) != threading.get_ident()


def test_a_thread_serves_call_after_call(bench: Bench) -> None:
    first = value_of(bench.run(threading.get_ident))
    assert {value_of(bench.run(threading.get_ident)) for _ in range(10)} == {first}


def test_what_is_raised_comes_to_that_call_or_to_none(bench: Bench) -> None:
    def short(seconds: float = 0.0) -> str:
        time.sleep(seconds)
        return "done"

    job = job_of(short)
    for number in range(300):
        call = bench.submit(job, 0.0004 * (number % 10))
        bench.pool.wake()
        bench.until_started(call)
        for run in bench.pool.running():
            bench.pool.end(run, call, terminated())
        bench.outcome(call)
        assert value_of(bench.run(job)) == "done"
    states = {outcome.state for outcome in bench.outcomes()}
    assert states == {SUCCESS, REVOKED}


def test_an_order_for_a_call_that_has_ended_does_nothing(bench: Bench) -> None:
    first = bench.start(wait_in_steps, 0.01)
    (run,) = bench.pool.running()
    bench.outcome(first)
    second = bench.start(wait_in_steps, 0.05)
    assert run.call is second and not bench.pool.end(run, first, terminated())
    assert not run.end(first, terminated())  # Also if it has ended since somebody looked.
    assert bench.outcome(second).state == SUCCESS


def test_what_was_ordered_and_not_raised_is_taken_back_with_the_end_of_the_call() -> None:
    release = threading.Lock()
    ended: list[bool] = []
    release.acquire()
    thread = threading.Thread(target=lambda: ended.append(release.acquire()))
    thread.start()
    time.sleep(0.01)  # It is in C code now.
    assert thread.ident is not None
    raise_in(thread.ident, ValueError("never seen"))
    raise_nothing_in(thread.ident)
    release.release()
    thread.join(LIMIT_S)
    assert ended == [True]


def test_the_very_exception_is_raised_and_may_be_caught_by_its_class() -> None:
    error = SoftTimeLimitExceeded("over")
    seen: list[BaseException] = []

    def run() -> None:
        try:
            raise_in(threading.get_ident(), error)
            wait_in_steps(1.0)
        except SoftTimeLimitExceeded as raised:
            seen.append(raised)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LIMIT_S)
    assert seen == [error] and seen[0] is error


def test_a_task_may_go_on_after_its_soft_limit_and_catch_that_its_worker_ends(bench: Bench) -> None:
    def patient() -> list[str]:
        seen = []
        for _ in range(2):
            try:
                wait_in_steps()
            except (SoftTimeLimitExceeded, SystemExit) as error:
                seen.append(type(error).__name__)
        return seen

    call = bench.start(patient)
    (run,) = bench.pool.running()
    spec = CallSpec("patient", soft_time_limit_s=1)
    assert bench.pool.end(run, call, soft_limit(spec))
    time.sleep(0.02)  # Two orders at once are one.
    assert bench.pool.end(run, call, shut_down(spec))
    assert value_of(bench.outcome(call)) == ["SoftTimeLimitExceeded", "ShutDown"]


def test_a_call_whose_lease_goes_back_has_no_outcome(bench: Bench) -> None:
    call = bench.start(wait_in_steps)
    (run,) = bench.pool.running()
    bench.pool.end(run, call, shut_down(CallSpec("task")))
    bench.until_idle()
    assert bench.outcomes() == []


def test_calls_that_wait_for_calls_may_nest_deeper_than_the_slots(bench: Bench) -> None:
    done = [threading.Event() for _ in range(41)]
    most = 0

    def descend(depth: int) -> None:
        nonlocal most
        most = max(most, bench.pool.active)
        if depth < 40:
            bench.pool.in_hub(submit, depth + 1)
            wait_for(done[depth + 1])
        done[depth].set()

    def submit(depth: int) -> None:
        bench.submit(job, depth)
        bench.pool.wake()

    job = job_of(descend)
    assert bench.run(job, 0).state == SUCCESS
    bench.until_idle()
    assert most <= 4
    # And the threads that were needed in between do not stay
    assert len(bench.pool.slots) <= 4


def test_a_call_that_waits_or_has_asked_for_a_slot_can_be_made_to_end() -> None:
    bench, done, release = Bench(concurrency=1), threading.Event(), threading.Event()
    waiting = bench.start(lambda: wait_for(done))
    bench.until(lambda: bench.pool.paused == 1)
    busy = bench.start(lambda: release.wait(LIMIT_S) and None)
    done.set()
    bench.until(lambda: bench.pool.paused == 0)  # It has asked for its slot, which the other one has.
    (run,) = [run for run in bench.pool.running() if run.call is waiting]
    assert bench.pool.end(run, waiting, terminated())
    assert bench.outcome(waiting).state == REVOKED
    release.set()
    bench.outcome(busy)
    bench.until_idle()
    assert (bench.pool.active, bench.pool.paused) == (0, 0)
    bench.gate.close()


def test_a_task_that_pauses_and_never_resumes_costs_no_slot(bench: Bench) -> None:
    def leave() -> None:
        running = current.get()
        assert running is not None
        running.pause()

    assert [bench.run(leave).state for _ in range(10)] == [SUCCESS] * 10
    assert bench.run(lambda: None).state == SUCCESS


def test_the_stack_of_a_call_is_that_of_its_thread(bench: Bench) -> None:
    call = bench.start(wait_in_steps, 0.5)
    (run,) = bench.pool.running()
    stack = bench.pool.stack_of(run)
    assert "in wait_in_steps" in stack and "actorq/worker" not in stack
    assert not bench.pool.is_on_cpu(run) and not bench.pool.needs_hub(run)
    bench.pool.end(run, call, terminated())
    bench.outcome(call)


def test_outcomes_that_the_hub_has_not_heard_of_are_known_to_the_watchdog() -> None:
    bench, kept = Bench(), []
    bench.pool.in_hub = lambda *order: kept.append(order)
    call = bench.submit(lambda: None)
    bench.pool.wake()
    bench.until(lambda: kept)
    assert [outcome.id for outcome in bench.pool.unreported()] == [call.id] and bench.outcomes() == []
    for fn, *args in kept:
        fn(*args)
    bench.outcome(call)
    bench.gate.close()


def test_where_no_thread_can_be_started_calls_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    busy = bench.start(wait_in_steps, 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        waiting = bench.submit(lambda: "came")
        bench.pool.wake()
        gevent.sleep(0)
        assert len(bench.ready) == 1
    bench.outcome(busy)
    assert value_of(bench.outcome(waiting)) == "came"


def test_nothing_of_a_call_is_kept_when_it_has_ended(bench: Bench) -> None:
    call = bench.submit(lambda: None)
    bench.pool.wake()
    bench.outcome(call)
    bench.until_idle()
    bench.until(lambda: sys.getrefcount(call) <= 3)
    assert all(slot.call is NO_CALL and slot.work is None for slot in bench.pool.slots)


def test_whatever_a_task_raises_is_its_outcome(bench: Bench) -> None:
    def fail(error: type[BaseException]) -> None:
        raise error("x")

    for error in (ValueError, SystemExit, KeyboardInterrupt):
        outcome = bench.run(lambda kind=error: fail(kind))
        assert outcome.state == FAILURE and "x" in str(error_of(outcome))
    assert bench.run(lambda: None).state == SUCCESS


def test_a_bell_in_a_tasks_thread_can_be_left_by_an_exception() -> None:
    seen: list[BaseException] = []
    ready = threading.Event()

    def run() -> None:
        try:
            ready.set()
            PatientBell().wait(None)
        except ValueError as raised:
            seen.append(raised)

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(LIMIT_S)
    assert thread.ident is not None
    raise_in(thread.ident, ValueError("enough"))
    thread.join(LIMIT_S)
    assert not thread.is_alive() and len(seen) == 1


def test_a_patient_bell_is_heard_and_gives_up_in_time() -> None:
    bell = PatientBell()
    assert not bell.wait(0.12)
    bell.ring()
    assert bell.wait(0.12) and not bell.wait(0.0)
