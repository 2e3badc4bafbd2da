"""Real processes: what strangers do at their sockets costs the strangers, and nobody else."""

from __future__ import annotations

from contextlib import suppress

from actorq import AsyncResult
from actorq.errors import OperationalError
from tests.fuzzing import processes
from tests.fuzzing.false_coordinator import FalseCoordinator
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers
from tests.support import Nodes, eventually

ATTACKS = 150
VOLLEYS = 8


def test_a_mesh_under_attack_works_as_if_nothing_were() -> None:
    report = processes.run(1, attacks=ATTACKS)
    assert not report.findings, report.findings[0].story
    assert report.executions >= ATTACKS


def test_a_worker_outlives_a_false_coordinator_and_works_for_an_honest_one(nodes: Nodes, address: str) -> None:
    mesh = Mesh(nodes, address)
    with FalseCoordinator(address, seed=1) as false:
        mesh.start_worker("-c", "4")
        eventually(lambda: false.volleys >= VOLLEYS, 60, "the worker to come again and again")
        assert len(false.pids) == 1, "the worker's process was replaced"
    mesh.start_coordinator()
    with mesh.client() as app:
        (worker,) = wait_for_workers(app, 1)
        assert {worker["pid"]} == false.pids
        assert tasks.add.delay(1, 2).get(timeout=20) == 3


def test_a_client_outlives_a_false_coordinator_and_gets_its_results_from_an_honest_one(
    nodes: Nodes, address: str
) -> None:
    mesh = Mesh(nodes, address)
    with mesh.client():
        with FalseCoordinator(address, seed=2) as false:
            results = [submitted(number) for number in range(20)]
            eventually(lambda: false.volleys >= VOLLEYS, 60, "the client to come again and again")
        mesh.start_coordinator()
        mesh.start_worker("-c", "4")
        assert [result.get(timeout=60) for result in results] == list(range(1, 21))


def submitted(number: int) -> AsyncResult[int]:
    """A call, as soon as there is a coordinator to take it."""

    def submit() -> AsyncResult[int] | None:
        with suppress(OperationalError):
            return tasks.add.delay(number, 1)
        return None

    result = eventually(submit, 60, "somebody to take the call")
    assert result is not None
    return result
