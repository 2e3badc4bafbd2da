"""The supervisor of a worker's processes, under a coordinator that does what the test says."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from actorq.wire import messages as m
from actorq.worker.options import EXIT_CONFIG, WorkerOptions
from tests.integration.fake_coordinator import FakeCoordinator
from tests.support import NodeProcess, Nodes, eventually, free_address

APP = "tests.integration.worker_tasks"
SUPERVISOR = (
    "import sys\n"
    "from actorq.worker.options import WorkerOptions\n"
    "from actorq.worker.supervisor import run_supervisor\n"
    "status = run_supervisor(WorkerOptions.from_json(sys.argv[1]))\n"
    "assert 'gevent' not in sys.modules\n"
    "sys.exit(status)\n"
)


@pytest.fixture
def coordinator() -> Iterator[FakeCoordinator]:
    with FakeCoordinator() as fake:
        yield fake


def supervise(nodes: Nodes, address: str, **options: Any) -> NodeProcess:
    chosen = WorkerOptions(**{"addresses": (address,), "app": APP, "concurrency": 4, "processes": 2, **options})
    return nodes.start_command(sys.executable, "-c", SUPERVISOR, chosen.to_json())


def supervised(nodes: Nodes, coordinator: FakeCoordinator, **options: Any) -> NodeProcess:
    """A supervisor whose nodes have all connected."""
    supervisor = supervise(nodes, coordinator.address, **options)
    coordinator.wait_for(m.WorkerHello, options.get("processes", 2))
    coordinator.wait_for(m.ControlHello, options.get("processes", 2))
    return supervisor


def children(supervisor: NodeProcess) -> list[psutil.Process]:
    return [child for child in psutil.Process(supervisor.pid).children() if child.status() != psutil.STATUS_ZOMBIE]


def test_each_process_is_a_node_with_a_name_of_its_own(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervised(nodes, coordinator)
    host = os.uname().nodename
    assert {hello.name for hello in coordinator.all(m.WorkerHello)} == {f"worker-1@{host}", f"worker-2@{host}"}
    assert len({hello.pid for hello in coordinator.all(m.WorkerHello)}) == 2


def test_a_process_that_dies_is_started_again_under_its_name(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator)
    victim = coordinator.all(m.WorkerHello)[0]
    os.kill(victim.pid, signal.SIGKILL)
    again = coordinator.wait_for(m.WorkerHello, 3)
    assert again.name == victim.name and again.epoch != victim.epoch and again.pid != victim.pid
    supervisor.wait_for_output("was ended by SIGKILL")


def test_a_process_that_has_to_be_replaced_is_replaced_at_once(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator, processes=1)
    coordinator.deliver("stubborn", time_limit_s=0.1)
    coordinator.wait_for(m.WorkerHello, 2)
    supervisor.wait_for_output("has to be replaced; another one starts in 0.0 s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_all_processes_and_the_end_is_a_success(
    nodes: Nodes, coordinator: FakeCoordinator, number: signal.Signals
) -> None:
    supervisor = supervised(nodes, coordinator)
    (running,) = coordinator.deliver("nap", 0.5)
    coordinator.wait_until_running(running)
    supervisor.signal(number)
    assert supervisor.wait() == 0
    assert running in coordinator.outcomes() and len(coordinator.all(m.Bye)) == 2
    assert nodes.alive() == []


def test_a_second_signal_does_not_wait_for_what_runs(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator, drain_s=600.0)
    (running,) = coordinator.deliver("nap", 60)
    coordinator.wait_until_running(running)
    supervisor.signal(signal.SIGTERM)
    eventually(lambda: len(coordinator.all(m.Bye)) == 1, 20, "the end of the idle node")
    supervisor.signal(signal.SIGTERM)
    assert supervisor.wait() == 0
    assert coordinator.outcomes() == {} and len(coordinator.all(m.Bye)) == 2


def test_a_third_signal_kills_what_has_not_ended(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator, processes=1, drain_s=600.0)
    (child,) = children(supervisor)
    child.suspend()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        supervisor.signal(number)
    assert supervisor.wait() == 1
    assert "did not end in time" in supervisor.output()


@pytest.mark.parametrize("task", ["nap", "nap_without_stderr"])
def test_sigusr1_has_all_nodes_say_what_they_do(nodes: Nodes, coordinator: FakeCoordinator, task: str) -> None:
    supervisor = supervised(nodes, coordinator)
    calls = coordinator.deliver(task, 60)
    coordinator.wait_until_running(calls[0])
    supervisor.signal(signal.SIGUSR1)
    eventually(lambda: supervisor.output().count("end of the dump") == 2, 20, "the dumps of both nodes")
    assert f"worker_tasks.{task}[{calls[0]}] has run for" in supervisor.output()
    assert len(children(supervisor)) == 2


def test_a_hangup_of_a_node_with_a_bound_ends_what_runs_too_long_and_another_one_starts(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    supervisor = supervised(nodes, coordinator, processes=1, drain_s=0.2)
    (running,) = coordinator.deliver("stubborn")
    coordinator.wait_until_running(running)
    (child,) = children(supervisor)
    supervisor.signal(signal.SIGHUP)
    again = coordinator.wait_for(m.WorkerHello, 2)
    assert again.pid != child.pid and coordinator.outcomes() == {}
    assert len(coordinator.all(m.Bye)) == 1


def test_when_all_nodes_are_told_to_shut_down_the_supervisor_ends_too(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    supervisor = supervised(nodes, coordinator, processes=1)
    coordinator.wait_for(m.Heartbeat)
    coordinator.send(coordinator.control, m.Command(1, "shutdown", {}))
    assert supervisor.wait() == 0


def test_a_task_that_ends_its_process_as_if_all_were_well_costs_the_process_only(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    supervised(nodes, coordinator, processes=1)
    coordinator.deliver("leave_at_once", 0)
    coordinator.wait_for(m.WorkerHello, 2)


def test_nodes_end_when_their_supervisor_is_killed(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator)
    supervisor.signal(signal.SIGKILL)
    eventually(lambda: nodes.alive() == [], 20, "the end of the nodes")
    coordinator.wait_for(m.Bye, 2)  # What they have said last may still be on its way.
    assert all("parent" in bye.reason for bye in coordinator.all(m.Bye)) and len(coordinator.all(m.Bye)) == 2


def test_an_application_that_cannot_be_imported_ends_the_worker_instead_of_being_tried_for_ever(nodes: Nodes) -> None:
    supervisor = supervise(nodes, free_address(), app="tests.integration.no_such_module")
    assert supervisor.wait() == EXIT_CONFIG
    assert "there is no module" in supervisor.output() and "another one starts" not in supervisor.output()


def test_when_one_node_is_not_taken_all_are_ended_with_its_status(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator)
    coordinator.rejection = "bring both to the same release"
    os.kill(coordinator.all(m.WorkerHello)[0].pid, signal.SIGKILL)
    assert supervisor.wait() == EXIT_CONFIG
    assert len(coordinator.all(m.Bye)) == 1 and nodes.alive() == []


@pytest.mark.slow
def test_a_node_that_hangs_is_killed_after_the_time_to_drain(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator, processes=1, drain_s=0.1)
    (child,) = children(supervisor)
    child.suspend()
    supervisor.signal(signal.SIGTERM)
    assert supervisor.wait() == 1
    assert "did not end in time" in supervisor.output()


def test_a_node_that_a_task_keeps_from_running_anything_else_is_killed_and_replaced(
    nodes: Nodes, coordinator: FakeCoordinator
) -> None:
    supervisor = supervised(nodes, coordinator, processes=1, silence_s=2.0)
    coordinator.wait_for(m.Heartbeat)
    coordinator.deliver("hold_interpreter")
    again = coordinator.wait_for(m.WorkerHello, 2)
    assert again.pid != coordinator.all(m.WorkerHello)[0].pid
    supervisor.wait_for_output("has given no sign of life for 2 s and is killed")
    supervisor.wait_for_output("was ended by SIGKILL")


def test_a_node_that_somebody_has_stopped_is_left_alone(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    supervisor = supervised(nodes, coordinator, silence_s=1.0)
    stopped, stuck = coordinator.all(m.WorkerHello)[:2]
    coordinator.wait_for(m.Heartbeat, 4)
    os.kill(stopped.pid, signal.SIGSTOP)
    time.sleep(2.0)  # Nothing is to happen meanwhile.
    os.kill(stopped.pid, signal.SIGCONT)
    before = len(coordinator.all(m.Heartbeat))
    coordinator.wait_for(m.Heartbeat, before + 4)
    assert "sign of life" not in supervisor.output()
    assert {child.pid for child in children(supervisor)} == {stopped.pid, stuck.pid}
