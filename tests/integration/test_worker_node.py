"""One worker node, a real process, under a coordinator that does what the test says."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorq.errors import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError
from actorq.wire import messages as m
from actorq.wire.frames import bytes_of
from actorq.wire.payload import decode_failure, encode_call, loads
from actorq.wire.records import BY_VALUE, FAILURE, REVOKED, SUCCESS, Call, CallSpec, Outcome
from actorq.worker.options import EXIT_CONFIG, EXIT_REPLACE, EXIT_TOLD, WorkerOptions
from tests.integration.fake_coordinator import CLIENT, FakeCoordinator
from tests.support import NodeProcess, Nodes, eventually, free_address

APP = "tests.integration.worker_tasks"


@pytest.fixture
def coordinator() -> Iterator[FakeCoordinator]:
    with FakeCoordinator() as fake:
        yield fake


def start_node(nodes: Nodes, *addresses: str, **options: Any) -> NodeProcess:
    """Start a node and do not wait for it."""
    chosen = WorkerOptions(**{"addresses": addresses, "app": APP, "concurrency": 4, "name": "node@%h", **options})
    return nodes.start_command(sys.executable, "-m", "actorq.worker.main", chosen.to_json())


def node_of(nodes: Nodes, coordinator: FakeCoordinator, **options: Any) -> NodeProcess:
    """A node that is connected."""
    node = start_node(nodes, coordinator.address, **options)
    coordinator.wait_for_worker()
    return node


def value_of(outcome: Outcome) -> Any:
    assert outcome.state == SUCCESS, decode_failure(bytes_of(outcome.body))
    return loads(bytes_of(outcome.body))


def error_of(outcome: Outcome) -> Exception:
    return decode_failure(bytes_of(outcome.body))


# -- calls and results -----------------------------------------------------------------------------------------------


def test_a_node_says_what_it_is_and_runs_what_it_gets(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node = node_of(nodes, coordinator, queues=("fast", "slow"))
    hello = coordinator.wait_for(m.WorkerHello)
    assert hello.name == f"node@{os.uname().nodename}" and hello.pid == node.pid
    assert hello.queues == ["fast", "slow"] and hello.slots == hello.capacity == 4
    assert f"{APP}.add" in hello.offers and BY_VALUE in hello.offers
    (task_id,) = coordinator.deliver("add", 2, 3)
    assert value_of(coordinator.wait_for_outcome(task_id)) == 5


def test_results_go_straight_to_the_client_and_are_reported_beside(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator)
    with FakeCoordinator() as client:
        coordinator.define(CallSpec(f"{APP}.add"), client.address)
        (task_id,) = coordinator.deliver("add", 2, 3, client=CLIENT)
        results = client.wait_for(m.Results)
        assert results.session == "session"
        assert [(outcome.id, value_of(outcome)) for outcome in results.outcomes] == [(task_id, 5)]
        assert coordinator.wait_for(m.Finished).relay is False


def test_results_for_a_client_that_is_gone_go_through_the_coordinator(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node_of(nodes, coordinator)
    coordinator.define(CallSpec(f"{APP}.add"), free_address())

    def relayed() -> bool:
        coordinator.deliver("add", 1, 1, client=CLIENT)
        return any(report.relay for report in coordinator.all(m.Finished))

    eventually(relayed, 20)


def test_a_guarded_call_is_announced_and_runs_when_its_start_is_noted(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node_of(nodes, coordinator)
    (once,) = coordinator.deliver("add", 1, 1, acks_late=False)
    (again,) = coordinator.deliver("add", 2, 2, lost=1)
    (plain,) = coordinator.deliver("add", 3, 3)
    coordinator.wait_for_outcome(plain)
    announced = {task_id for each in coordinator.all(m.Starting) for task_id, _ in each.attempts}
    assert announced == {once, again} and set(coordinator.outcomes()) == {plain}
    coordinator.send(coordinator.work, m.Begin([once, again]))
    assert value_of(coordinator.wait_for_outcome(again)) == 4
    assert value_of(coordinator.wait_for_outcome(once)) == 2


def test_a_waiting_call_can_be_revoked_and_a_running_one_terminated(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator, concurrency=1)
    (running,) = coordinator.deliver("nap", 60)
    coordinator.wait_until_running(running)
    (waiting,) = coordinator.deliver("add", 1, 1, acks_late=False)
    coordinator.send(coordinator.work, m.Revoke([waiting]))
    assert coordinator.wait_for_outcome(waiting).state == REVOKED
    coordinator.send(coordinator.work, m.Revoke([running], terminate=True))
    outcome = coordinator.wait_for_outcome(running)
    assert outcome.state == REVOKED and isinstance(error_of(outcome), Terminated)


@pytest.mark.parametrize("connection", ["work", "control"])
def test_an_attempt_that_is_forgotten_is_ended_without_an_outcome_and_its_call_can_be_leased_again(
    nodes: Nodes, coordinator: FakeCoordinator, connection: str
) -> None:
    node_of(nodes, coordinator, concurrency=1)
    number = coordinator.define(CallSpec(f"{APP}.nap"))
    coordinator.send(coordinator.work, m.Deliver(1, [Call("again", number, encode_call((60,), {}), attempt=1)]))
    coordinator.wait_until_running("again")
    # When the lease is given away, and granted again with the same number
    coordinator.send(getattr(coordinator, connection), m.Revoke(["again"], forget=True))
    if connection == "control":  # Nothing orders the two connections.
        eventually(lambda: not coordinator.all(m.Heartbeat)[-1].running, 20, "the end of the attempt")
    coordinator.send(coordinator.work, m.Deliver(2, [Call("again", number, encode_call((0.1,), {}), attempt=1)]))
    assert value_of(coordinator.wait_for_outcome("again")) == 0.1
    assert [outcome.state for report in coordinator.all(m.Finished) for outcome in report.outcomes] == [SUCCESS]


# -- while the green threads are busy --------------------------------------------------------------------------------


def test_a_node_answers_while_a_task_keeps_the_cpu(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator)
    (spinning,) = coordinator.deliver("spin", 60)
    coordinator.wait_until_running(spinning)
    eventually(lambda: coordinator.all(m.Heartbeat)[-1].lag_s > 0.2, 20, "a heartbeat that tells of the lag")
    coordinator.send(coordinator.control, m.Command(1, "active", {}))
    (active,) = coordinator.wait_for(m.Reply).value
    assert active["id"] == spinning and active["args"] == [60] and active["time_start"] <= time.time()
    # And the task can be ended
    coordinator.send(coordinator.control, m.Revoke([spinning], terminate=True))
    assert coordinator.wait_for_outcome(spinning).state == REVOKED


def test_what_waits_behind_a_busy_task_is_given_back_and_what_has_ended_is_reported(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node_of(nodes, coordinator)
    number = coordinator.define(CallSpec(f"{APP}.add"))
    spinning = coordinator.define(CallSpec(f"{APP}.spin"))
    body, long = b"\x92\x92\x01\x01\x80", b"\x92\x91\x14\x80"
    calls = [Call("short", number, body), Call("long", spinning, long), Call("behind", number, body)]
    coordinator.send(coordinator.work, m.Deliver(1, calls))
    assert coordinator.wait_for(m.Returned).attempts == [("behind", 0)]
    assert value_of(coordinator.wait_for_outcome("short")) == 2
    assert "long" not in coordinator.outcomes()
    assert coordinator.all(m.Finished)[0].relay


def test_commands_are_answered_in_the_shapes_that_are_known_from_celery(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator, concurrency=1)
    (running,) = coordinator.deliver("nap", 60)
    coordinator.wait_until_running(running)
    (reserved,) = coordinator.deliver("echo", {"key": [1, 2]}, acks_late=False)
    coordinator.wait_for(m.Starting)
    replies = {}
    for token, command in enumerate(["ping", "stats", "registered", "reserved", "active_queues", "pnig"], start=1):
        coordinator.send(coordinator.control, m.Command(token, command, {}))
        replies[command] = coordinator.wait_for(m.Reply, token).value
    assert replies["ping"] == {"ok": "pong"}
    assert replies["stats"]["pid"] == node.pid and replies["stats"]["total"] == {f"{APP}.nap": 1, f"{APP}.echo": 0}
    assert replies["stats"]["pool"]["max-concurrency"] == 1
    assert f"{APP}.add" in replies["registered"]
    assert [(each["id"], each["args"]) for each in replies["reserved"]] == [(reserved, [{"key": [1, 2]}])]
    assert replies["active_queues"] == [{"name": "default", "routing_key": "default"}]
    assert "unknown command 'pnig'" in replies["pnig"]["error"]


def test_a_task_that_catches_everything_costs_its_process_and_nothing_else_is_counted(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator)
    (once,) = coordinator.deliver("nap", 60, acks_late=False)
    coordinator.wait_for(m.Starting)
    coordinator.send(coordinator.work, m.Begin([once]))
    (other,) = coordinator.deliver("nap", 61)
    (offender,) = coordinator.deliver("stubborn", time_limit_s=0.2)
    assert node.wait() == EXIT_REPLACE
    bye = coordinator.wait_for(m.Bye)
    assert offender in bye.reason and "stubborn" in bye.reason
    # Its own outcome is known, and that of the call that must not run again; the third one's lease is free
    outcomes = coordinator.outcomes()
    assert set(outcomes) == {offender, once} and other not in outcomes
    assert isinstance(error_of(outcomes[offender]), TimeLimitExceeded)
    assert isinstance(error_of(outcomes[once]), WorkerLostError)


def test_a_call_whose_thread_keeps_the_cpu_ends_at_its_limit_with_its_process(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator)
    (spinning,) = coordinator.deliver("spin_in_a_thread", time_limit_s=0.2)
    assert node.wait() == EXIT_REPLACE
    assert isinstance(error_of(coordinator.outcomes()[spinning]), TimeLimitExceeded)


def test_an_order_to_shut_down_that_comes_twice_lets_what_runs_finish(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator)
    (running,) = coordinator.deliver("nap", 0.5)
    coordinator.wait_until_running(running)
    for token in (1, 2):
        coordinator.send(coordinator.control, m.Command(token, "shutdown", {}))
    assert node.wait() == EXIT_TOLD
    assert value_of(coordinator.outcomes()[running]) == 0.5


def test_the_last_report_of_a_stuck_process_has_what_was_not_acknowledged(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator)
    coordinator.acknowledges = False
    (short,) = coordinator.deliver("add", 1, 2)
    coordinator.wait_for_outcome(short)
    (stuck,) = coordinator.deliver("stuck", time_limit_s=0.2)
    assert node.wait() == EXIT_REPLACE
    (*_, last) = coordinator.all(m.Finished, coordinator.control)
    assert last.relay and {outcome.id for outcome in last.outcomes} == {short, stuck}
    assert "in stuck" in getattr(error_of(coordinator.outcomes()[stuck]), "__actorq_traceback__", "")


def test_in_a_process_that_a_task_forks_nothing_goes_on_but_that_task(
    nodes: Nodes, coordinator: FakeCoordinator, tmp_path: Path
) -> None:
    node = node_of(nodes, coordinator)
    (beside,) = coordinator.deliver("note", str(tmp_path / "lines"), 1.0)
    coordinator.wait_until_running(beside)
    (forking,) = coordinator.deliver("in_forked_process", 1.2)
    (returning,) = coordinator.deliver("fork_and_return")
    (terminating,) = coordinator.deliver("terminate_forked_process")
    assert value_of(coordinator.wait_for_outcome(forking)) == 3
    assert value_of(coordinator.wait_for_outcome(returning)) == 0
    assert value_of(coordinator.wait_for_outcome(terminating)) == -signal.SIGTERM
    coordinator.wait_for_outcome(beside)
    assert (tmp_path / "lines").read_text() == f"{node.pid}\n"


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_a_node_gives_back_what_has_not_started_and_lets_the_rest_finish(
    nodes: Nodes, coordinator: FakeCoordinator, number: signal.Signals
) -> None:
    node = node_of(nodes, coordinator, concurrency=1)
    (running,) = coordinator.deliver("nap", 1.0)
    coordinator.wait_until_running(running)
    (guarded,) = coordinator.deliver("add", 1, 1, acks_late=False)
    coordinator.wait_for(m.Starting)
    node.signal(number)
    assert coordinator.wait_for(m.Returned).attempts == [(guarded, 1)]
    assert coordinator.wait_for(m.Capacity).capacity == 0
    assert node.wait() == EXIT_TOLD
    assert value_of(coordinator.outcomes()[running]) == 1.0
    assert "SIG" in coordinator.wait_for(m.Bye).reason
    kinds = [type(message) for _, message in coordinator.received if not isinstance(message, m.Heartbeat)]
    assert kinds.index(m.Finished) < kinds.index(m.Bye)


def test_what_still_runs_after_the_time_to_drain_is_ended_and_its_lease_is_free(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator, drain_s=0.3)
    (once,) = coordinator.deliver("nap", 60, acks_late=False)
    coordinator.wait_for(m.Starting)
    coordinator.send(coordinator.work, m.Begin([once]))
    (plain,) = coordinator.deliver("nap", 60)
    coordinator.wait_until_running(plain)
    coordinator.wait_until_running(once)
    node.signal(signal.SIGTERM)
    assert node.wait() == EXIT_TOLD
    # Not an outcome, so that it runs elsewhere; but the one that must not run twice has failed
    assert set(coordinator.outcomes()) == {once} and coordinator.outcomes()[once].state == FAILURE
    assert isinstance(error_of(coordinator.outcomes()[once]), WorkerLostError)
    coordinator.wait_for(m.Bye)


@pytest.mark.parametrize("task", ["nap", "spin"])
def test_a_second_signal_ends_what_runs_also_when_it_keeps_the_cpu(
    nodes: Nodes, coordinator: FakeCoordinator, task: str
) -> None:
    node = node_of(nodes, coordinator, drain_s=600.0)
    (running,) = coordinator.deliver(task, 60)
    coordinator.wait_until_running(running)
    node.signal(signal.SIGTERM)
    if task == "nap":
        coordinator.wait_for(m.Capacity)  # Two signals of a kind that come at once are one.
        node.signal(signal.SIGTERM)
    else:
        node.signal(signal.SIGINT)
    assert node.wait() == EXIT_TOLD
    assert coordinator.outcomes() == {}
    coordinator.wait_for(m.Bye)


def test_a_task_that_will_not_end_does_not_keep_its_node_from_ending(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator)
    (stubborn,) = coordinator.deliver("stubborn")
    coordinator.wait_until_running(stubborn)
    node.signal(signal.SIGQUIT)
    assert node.wait() == EXIT_TOLD
    coordinator.wait_for(m.Bye)
    assert coordinator.outcomes() == {}


def test_what_is_left_of_a_coroutine_that_will_not_end_goes_in_silence(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator)
    (stubborn,) = coordinator.deliver("stubborn_coroutine")
    coordinator.wait_until_running(stubborn)
    node.signal(signal.SIGQUIT)
    assert node.wait() == EXIT_TOLD
    assert coordinator.outcomes() == {}
    assert "thrown away" not in node.output() and "destroyed" not in node.output()


@pytest.mark.slow
def test_a_greenlet_that_a_task_has_left_spinning_does_not_keep_its_node_from_ending(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node = node_of(nodes, coordinator, drain_s=0.0)
    coordinator.deliver("leave_spinning")
    eventually(lambda: coordinator.all(m.Heartbeat)[-1].lag_s > 0.2, 20, "a heartbeat that tells of the lag")
    node.signal(signal.SIGTERM)
    assert node.wait() == EXIT_TOLD
    coordinator.wait_for(m.Bye)


def test_the_command_shutdown_drains(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node = node_of(nodes, coordinator)
    (running,) = coordinator.deliver("nap", 0.5)
    coordinator.wait_until_running(running)
    coordinator.send(coordinator.control, m.Command(1, "shutdown", {}))
    assert "ok" in coordinator.wait_for(m.Reply).value
    assert node.wait() == EXIT_TOLD
    assert running in coordinator.outcomes()


def test_a_node_waits_for_its_outcomes_to_be_taken_but_not_for_ever(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node = node_of(nodes, coordinator)
    coordinator.acknowledges = False
    (task_id,) = coordinator.deliver("add", 1, 1)
    coordinator.wait_for_outcome(task_id)
    node.signal(signal.SIGTERM)
    assert node.wait() == EXIT_TOLD


def test_a_node_without_a_coordinator_ends_when_it_is_told(nodes: Nodes) -> None:
    node = start_node(nodes, free_address())
    node.wait_for_output("[tasks]")
    node.signal(signal.SIGTERM)
    assert node.wait() in (EXIT_TOLD, -signal.SIGTERM)  # The latter if it had no handler yet.


# -- connections -------------------------------------------------------------------------------------------------------


def test_the_next_coordinator_is_tried_when_the_first_does_not_answer(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    start_node(nodes, free_address(), coordinator.address)
    coordinator.wait_for_worker()
    (task_id,) = coordinator.deliver("add", 2, 2)
    assert value_of(coordinator.wait_for_outcome(task_id)) == 4


def test_a_node_comes_back_with_what_it_holds_when_its_coordinator_does(nodes: Nodes) -> None:
    address = free_address()
    with FakeCoordinator(address) as first:
        node_of(nodes, first)
        first.acknowledges = False
        (running,) = first.deliver("nap", 2.0)
        (ended,) = first.deliver("add", 1, 2)
        first.wait_for_outcome(ended)
        first.wait_until_running(running)
    with FakeCoordinator(address) as second:
        second.wait_for_worker()
        hello = second.wait_for(m.WorkerHello)
        assert dict(hello.held) == {running: 1, ended: 1}
        assert value_of(second.wait_for_outcome(ended)) == 3
        assert value_of(second.wait_for_outcome(running)) == 2.0


def test_a_node_that_is_not_taken_says_why_and_is_not_started_again(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    coordinator.rejection = "bring both to the same release"
    node = start_node(nodes, coordinator.address)
    assert node.wait() == EXIT_CONFIG
    assert "bring both to the same release" in node.output()


def test_a_message_that_breaks_the_protocol_costs_the_connection_only(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    node_of(nodes, coordinator)
    coordinator.send(coordinator.work, m.Deliver(1, [Call("undefined", 999, b"")]))
    coordinator.wait_for(m.WorkerHello, 2)
    (task_id,) = coordinator.deliver("add", 1, 1, queue="defined_anew")
    assert value_of(coordinator.wait_for_outcome(task_id)) == 2


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "complaint"),
    [
        ("tests.integration.no_such_module", "there is no module"),
        ("tests.support", "has no application"),
        (f"{APP}:ap", "did you mean 'app'"),
        (f"{APP}:time", "is not an application"),
    ],
)
def test_an_application_that_cannot_be_found_is_named_and_the_status_says_not_to_try_again(
    nodes: Nodes, app: str, complaint: str
) -> None:
    node = start_node(nodes, free_address(), app=app)
    assert node.wait() == EXIT_CONFIG
    assert complaint in node.output()


def test_the_banner_shows_what_the_node_is(nodes: Nodes) -> None:
    node = start_node(nodes, "tcp://127.0.0.1:1", queues=("fast", "slow"))
    node.wait_for_output("functions by value")
    for part in (APP, "tcp://127.0.0.1:1", "concurrency: 4", "fast, slow", f". {APP}.add"):
        assert part in node.output()


def test_log_lines_are_those_that_users_of_celery_know(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node = node_of(nodes, coordinator, loglevel="INFO")
    (good,) = coordinator.deliver("add", 2, 2)
    (bad,) = coordinator.deliver("add", 2, "x")
    node.wait_for_output(f"Task {APP}.add[{good}] received")
    node.wait_for_output(f"Task {APP}.add[{good}] succeeded in ")
    node.wait_for_output(f"Task {APP}.add[{bad}] raised unexpected: TypeError(")
    node.wait_for_output("in add\n    return x + y")
    assert "s: 4\n" in node.output()
    (slow,) = coordinator.deliver("nap", 60, soft_time_limit_s=0.1)
    node.wait_for_output(f"Soft time limit (0.1s) exceeded for {APP}.nap[{slow}]")
    assert isinstance(error_of(coordinator.wait_for_outcome(slow)), SoftTimeLimitExceeded)
