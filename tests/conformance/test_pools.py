"""What every pool does, and `async def` tasks in each: one node, a real process, under a coordinator that does what the
test says; or a whole mesh, where calls wait for others.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actorq.errors import RemoteError, SoftTimeLimitExceeded, TaskRevokedError, Terminated, TimeLimitExceeded
from actorq.wire import messages as m
from actorq.wire.frames import bytes_of
from actorq.wire.payload import decode_failure, loads
from actorq.wire.records import FAILURE, REVOKED, SUCCESS, Outcome
from actorq.worker.kinds import GREEN, SOLO, THREADS
from actorq.worker.options import EXIT_RECYCLED, EXIT_REPLACE, EXIT_TOLD, WorkerOptions
from tests.conformance.pool_tasks import app
from tests.integration.fake_coordinator import FakeCoordinator
from tests.support import NodeProcess, Nodes, eventually

APP = "tests.conformance.pool_tasks"


@dataclass(frozen=True)
class Flavour:
    """A pool, and which form of the tasks runs in it."""

    pool: str
    suffix: str = ""

    @property
    def slots(self) -> int:
        return 1 if self.pool == SOLO else 4


FLAVOURS = {
    f"{'async-in-' if suffix else ''}{pool}": Flavour(pool, suffix)
    for suffix in ("", "_async")
    for pool in (GREEN, THREADS, SOLO)
}
PLAIN = [name for name in FLAVOURS if "async" not in name]


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return FLAVOURS[request.param]


class Bench:
    """A node with a pool, and its coordinator."""

    def __init__(self, nodes: Nodes, coordinator: FakeCoordinator, flavour: Flavour) -> None:
        self.nodes, self.coordinator, self.flavour = nodes, coordinator, flavour
        self.node: NodeProcess | None = None

    def start(self, **options: Any) -> NodeProcess:
        given = {"addresses": (self.coordinator.address,), "app": APP, "name": "node@%h", "loglevel": "INFO"}
        chosen = WorkerOptions(**{**given, "pool": self.flavour.pool, "concurrency": self.flavour.slots, **options})
        self.node = self.nodes.start_command(sys.executable, "-m", "actorq.worker.main", chosen.to_json())
        self.coordinator.wait_for_worker()
        return self.node

    def deliver(self, task: str, *args: Any, **options: Any) -> str:
        (task_id,) = self.coordinator.deliver(f"{APP}.{task}{self.flavour.suffix}", *args, **options)
        return task_id

    def deliver_running(self, task: str, *args: Any, **options: Any) -> str:
        task_id = self.deliver(task, *args, **options)
        self.coordinator.wait_until_running(task_id)
        return task_id

    def run(self, task: str, *args: Any, **options: Any) -> Outcome:
        return self.coordinator.wait_for_outcome(self.deliver(task, *args, **options))

    def outcomes_of(self, calls: Iterable[str]) -> dict[str, Outcome]:
        """Of all of these that were not given back, as calls are that have waited for a slot too long."""

        def are_settled() -> bool:
            return set(calls) <= {*self.coordinator.outcomes(), *self.returned()}

        eventually(are_settled, 30, "the end of all calls")
        return {task_id: each for task_id, each in self.coordinator.outcomes().items() if task_id in calls}

    def returned(self) -> list[str]:
        return [task_id for returned in self.coordinator.all(m.Returned) for task_id, _ in returned.attempts]

    def terminate(self, *ids: str) -> None:
        """On both connections, as a coordinator does."""
        for peer in (self.coordinator.control, self.coordinator.work):
            self.coordinator.send(peer, m.Revoke(list(ids), terminate=True))


@pytest.fixture
def bench(nodes: Nodes, flavour: Flavour) -> Iterator[Bench]:
    with FakeCoordinator() as coordinator:
        yield Bench(nodes, coordinator, flavour)


@pytest.fixture
def started(bench: Bench) -> Bench:
    bench.start()
    return bench


def value_of(outcome: Outcome) -> Any:
    assert outcome.state == SUCCESS, decode_failure(bytes_of(outcome.body))
    return loads(bytes_of(outcome.body))


def error_of(outcome: Outcome) -> Exception:
    return decode_failure(bytes_of(outcome.body))


# -- results -----------------------------------------------------------------------------------------------------------


def test_calls_give_results_and_failures(started: Bench) -> None:
    calls = {started.deliver("add", number, 1): number + 1 for number in range(100)}
    outcomes = started.outcomes_of(calls)
    assert outcomes and {task_id: value_of(each) for task_id, each in outcomes.items()}.items() <= calls.items()
    failed = started.run("fail", "gone")
    error = error_of(failed)
    assert failed.state == FAILURE and isinstance(error, KeyError) and error.args == ("gone",)
    text = getattr(error, "__actorq_traceback__", "")
    assert "in fail" in text and "actorq/worker" not in text
    # And nothing else ends with a task that means to end its program
    assert isinstance(error_of(started.run("leave", 3)), RemoteError)
    assert value_of(started.run("add", 1, 1)) == 2


def test_a_call_has_its_own_request_and_context_variables(started: Bench) -> None:
    calls = {started.deliver("look_around", str(number)): str(number) for number in range(12)}
    outcomes = started.outcomes_of(calls)
    assert outcomes
    for task_id, outcome in outcomes.items():
        assert value_of(outcome) == ["", calls[task_id], task_id, task_id]


def test_as_many_calls_run_at_once_as_there_are_slots(started: Bench) -> None:
    calls = [started.deliver("nap", 0.3) for _ in range(2 * started.flavour.slots)]
    outcomes = started.outcomes_of(calls)
    assert len(outcomes) >= started.flavour.slots
    assert max(len(beat.running) for beat in started.coordinator.all(m.Heartbeat)) <= started.flavour.slots
    (first, *_) = started.coordinator.all(m.WorkerHello)
    assert first.slots == started.flavour.slots


# -- limits ------------------------------------------------------------------------------------------------------------


def test_the_soft_limit_is_raised_inside_the_task_which_may_go_on(started: Bench) -> None:
    outcome = started.run("soft", 60, soft_time_limit_s=0.2)
    assert "soft time limit of 0.2 s" in value_of(outcome)
    assert value_of(started.run("add", 1, 1)) == 2
    uncaught = started.run("nap", 60, soft_time_limit_s=0.2)
    assert uncaught.state == FAILURE and isinstance(error_of(uncaught), SoftTimeLimitExceeded)


def test_the_hard_limit_ends_a_call_and_costs_no_process(started: Bench) -> None:
    outcome = started.run("nap", 60, time_limit_s=0.2)
    assert outcome.state == FAILURE and isinstance(error_of(outcome), TimeLimitExceeded)
    assert value_of(started.run("add", 1, 1)) == 2


def test_limits_reach_code_that_keeps_the_cpu(started: Bench) -> None:
    assert value_of(started.run("spin", 60, soft_time_limit_s=0.2)) == -1.0
    outcome = started.run("spin", 60, time_limit_s=0.2)
    assert outcome.state == FAILURE and isinstance(error_of(outcome), TimeLimitExceeded)
    assert value_of(started.run("add", 1, 1)) == 2


# -- revoking ----------------------------------------------------------------------------------------------------------


def test_a_waiting_call_is_revoked_and_a_running_one_terminated(started: Bench) -> None:
    running = [started.deliver_running("nap", 60) for _ in range(started.flavour.slots)]
    waiting = started.deliver("nap", 60, acks_late=False)
    started.coordinator.send(started.coordinator.work, m.Revoke([waiting]))
    # A hub that solo keeps busy hears of it when the call that does so has ended
    started.terminate(*running)
    outcome = started.coordinator.wait_for_outcome(waiting)
    assert outcome.state == REVOKED and isinstance(error_of(outcome), TaskRevokedError)
    for task_id in running:
        outcome = started.coordinator.wait_for_outcome(task_id)
        assert outcome.state == REVOKED and isinstance(error_of(outcome), Terminated)
    assert started.node is not None
    started.node.wait_for_output(f"Discarding revoked task: {APP}.nap{started.flavour.suffix}[{waiting}]")


def test_terminating_one_call_leaves_those_beside_it_alone(started: Bench) -> None:
    if started.flavour.slots == 1:
        pytest.skip("there is none beside it")
    calls = [started.deliver("nap", 3.0) for _ in range(started.flavour.slots)]
    started.coordinator.wait_until_running(calls[1])
    started.terminate(calls[1])
    states = [started.coordinator.wait_for_outcome(task_id).state for task_id in calls]
    assert states == [SUCCESS, REVOKED, SUCCESS, SUCCESS]


def test_terminate_never_shoots_a_slot_that_has_another_call_already(started: Bench) -> None:
    chosen = random.Random(1)
    doomed: set[str] = set()
    others: set[str] = set()
    for _ in range(20):
        calls = [started.deliver("nap", chosen.choice([0.0, 0.01, 0.06])) for _ in range(5)]
        for task_id in calls:
            (doomed if chosen.random() < 0.5 else others).add(task_id)
        started.terminate(*(doomed & set(calls)))
        started.outcomes_of(calls)
    outcomes = started.coordinator.outcomes()
    assert {outcomes[task_id].state for task_id in others & set(outcomes)} == {SUCCESS}
    states = {outcomes[task_id].state for task_id in doomed & set(outcomes)}
    assert REVOKED in states and states <= {SUCCESS, REVOKED}


def test_a_task_that_holds_exceptions_off_can_see_that_it_is_cancelled(started: Bench) -> None:
    running = started.deliver_running("hold_off")
    started.terminate(running)
    assert value_of(started.coordinator.wait_for_outcome(running)) == "has seen it"
    # And the next call in its slot is not
    again = started.deliver_running("hold_off")
    started.terminate(again)
    assert value_of(started.coordinator.wait_for_outcome(again)) == "has seen it"


# -- the end -----------------------------------------------------------------------------------------------------------


def test_graceful_shutdown_gives_running_calls_their_time_and_hands_the_rest_back(bench: Bench, tmp_path: Path) -> None:
    node = bench.start(drain_s=20.0)
    running = [bench.deliver("nap", 2.0) for _ in range(bench.flavour.slots)]
    bench.coordinator.wait_until_running(running[-1])
    guarded = bench.deliver("add", 1, 1, acks_late=False)
    node.signal(signal.SIGTERM)
    assert node.wait() == EXIT_TOLD
    assert set(running) == set(bench.coordinator.outcomes())
    assert bench.coordinator.wait_for(m.Returned).attempts == [(guarded, 1)]


def test_graceful_shutdown_throws_worker_shutdown_after_the_time_to_drain_and_the_call_goes_back(
    bench: Bench, tmp_path: Path
) -> None:
    node = bench.start(drain_s=0.3)
    bench.deliver_running("save_at_shutdown", str(tmp_path / "notes"), 60)
    node.signal(signal.SIGTERM)
    assert node.wait() == EXIT_TOLD
    assert (tmp_path / "notes").read_text() == "saved\n"
    assert bench.coordinator.outcomes() == {}
    bench.coordinator.wait_for(m.Bye)


def test_a_node_that_has_run_its_share_ends_in_good_order_to_be_replaced(bench: Bench) -> None:
    node = bench.start(max_calls=5)
    calls = [bench.deliver("nap", 0.01) for _ in range(8)]
    assert node.wait() == EXIT_RECYCLED
    assert sorted([*bench.coordinator.outcomes(), *bench.returned()]) == sorted(calls)
    assert 1 <= len(bench.coordinator.outcomes()) <= 5
    bench.coordinator.wait_for(m.Bye)


def test_a_node_that_has_grown_too_large_ends_in_good_order_after_a_call(bench: Bench) -> None:
    node = bench.start(max_rss_bytes=1)
    bench.coordinator.wait_for(m.Heartbeat, 3)
    assert node.process.poll() is None  # Nothing has come of it yet.
    first = bench.deliver("nap", 0.1)
    assert node.wait() == EXIT_RECYCLED
    assert first in bench.coordinator.outcomes() and "it has grown to" in node.output()


def test_sighup_lets_running_calls_end_and_asks_for_a_fresh_process(bench: Bench) -> None:
    node = bench.start()
    running = bench.deliver_running("nap", 1.0)
    node.signal(signal.SIGHUP)
    assert node.wait() == EXIT_RECYCLED
    assert value_of(bench.coordinator.outcomes()[running]) == 1.0
    bench.coordinator.wait_for(m.Bye)


def test_sigusr1_writes_what_runs_to_the_log(started: Bench) -> None:
    node, suffix = started.node, started.flavour.suffix
    assert node is not None
    running = started.deliver_running("nap", 60)
    node.signal(signal.SIGUSR1)
    node.wait_for_output("end of the dump")
    assert f"Task {APP}.nap{suffix}[{running}] has run for" in node.output()
    assert "Current thread" in node.output() or "Thread 0x" in node.output()
    if not suffix:
        assert "in wait\n" in node.output()


# -- calls that wait for calls -----------------------------------------------------------------------------------------


@pytest.fixture
def mesh(nodes: Nodes, address: str, flavour: Flavour) -> Iterator[Flavour]:
    """Two slots, or one, in a mesh that the application is connected to."""
    nodes.start("coordinator", "--listen", address)
    slots = [] if flavour.pool == SOLO else ["-c", "2"]
    nodes.start("worker", "-A", APP, "-u", address, "-P", flavour.pool, *slots)
    app.url = address
    try:
        yield flavour
    finally:
        app.close()


def test_tasks_may_wait_for_tasks_deeper_than_there_are_slots(mesh: Flavour) -> None:
    assert app.tasks[f"{APP}.descend{mesh.suffix}"].delay(12).get(timeout=60) == 12


def test_a_call_that_waits_for_another_one_can_be_terminated(mesh: Flavour) -> None:
    result = app.tasks[f"{APP}.wait_for_nap{mesh.suffix}"].delay(5)
    eventually(lambda: result.state == "STARTED", 30, "its start")
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=30)


# -- what sets them apart ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", [FLAVOURS[name] for name in PLAIN], ids=PLAIN, indirect=False)
def test_only_green_pools_patch_the_standard_library(bench: Bench, flavour: Flavour) -> None:
    bench.start()
    assert value_of(bench.run("is_patched")) is (flavour.pool == GREEN)
    assert value_of(bench.run("is_on_main_thread")) is (flavour.pool != THREADS)
    assert value_of(bench.run("run_program")) == "hello\n"
    assert value_of(bench.run("fork_and_return")) == 0


@pytest.mark.parametrize("flavour", [FLAVOURS[THREADS]], ids=[THREADS])
def test_a_thread_that_stays_in_c_code_past_its_grace_costs_the_process_and_its_outcome_is_told(bench: Bench) -> None:
    node = bench.start()
    beside = bench.deliver_running("nap", 60)
    stuck = bench.deliver("sleep_in_c", 60, time_limit_s=0.2)
    assert node.wait() == EXIT_REPLACE
    outcomes = bench.coordinator.outcomes()
    assert set(outcomes) == {stuck} and beside not in outcomes
    assert isinstance(error_of(outcomes[stuck]), TimeLimitExceeded)
    assert "in sleep_in_c" in getattr(error_of(outcomes[stuck]), "__actorq_traceback__", "")


@pytest.mark.parametrize("flavour", [FLAVOURS[THREADS]], ids=[THREADS])
def test_a_thread_that_catches_everything_costs_the_process(bench: Bench) -> None:
    node = bench.start()
    stubborn = bench.deliver("stubborn", time_limit_s=0.2)
    assert node.wait() == EXIT_REPLACE
    assert isinstance(error_of(bench.coordinator.outcomes()[stubborn]), TimeLimitExceeded)


@pytest.mark.parametrize("flavour", [FLAVOURS[SOLO]], ids=[SOLO])
def test_solo_is_reached_in_a_system_call_and_its_heartbeats_go_on(bench: Bench) -> None:
    bench.start()
    stuck = bench.deliver_running("sleep_in_c", 60)
    bench.coordinator.wait_for(m.Heartbeat, len(bench.coordinator.all(m.Heartbeat)) + 2)
    bench.terminate(stuck)
    assert bench.coordinator.wait_for_outcome(stuck).state == REVOKED
    assert value_of(bench.run("add", 1, 1)) == 2


@pytest.mark.parametrize("flavour", [FLAVOURS[THREADS]], ids=[THREADS])
def test_native_threads_keep_what_blocks_in_c_from_the_hub(bench: Bench) -> None:
    bench.start()
    for _ in range(3):
        bench.deliver_running("sleep_in_c", 5.0)
    assert value_of(bench.run("add", 1, 1)) == 2
    assert value_of(bench.run("add_async", 1, 1)) == 2
    assert len(bench.coordinator.outcomes()) == 2
