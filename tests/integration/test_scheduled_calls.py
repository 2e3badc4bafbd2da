"""Calls with an ETA wait at the coordinator: workers have nothing of them, and its journal has them all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from actorq import ActorQ
from actorq.errors import TaskRevokedError
from tests.integration import tasks
from tests.integration.mesh import Mesh, kill, wait_for_workers
from tests.support import eventually

CALLS = 100_000


def stats_of(app: ActorQ) -> dict[str, Any]:
    """What the coordinator says of itself; nothing while there is none."""
    return next(iter(app.control.inspect(timeout=5.0).coordinator().values()), {})


@pytest.mark.slow
def test_a_hundred_thousand_calls_of_tomorrow_cost_a_worker_nothing_outlive_a_restart_and_are_cancelled_by_id(
    mesh: Mesh, tmp_path: Path
) -> None:
    def start_coordinator() -> None:
        data = str(tmp_path / "data")
        mesh.coordinator = mesh.nodes.start("coordinator", "--listen", mesh.address, "--data", data)
        mesh.coordinator.wait_for_output("listens on")

    def all_wait() -> bool:
        stats = stats_of(app)
        return bool(stats) and stats["calls"] == stats["scheduled"] == CALLS and not stats["unwritten"]

    start_coordinator()
    mesh.start_worker("-c", "100")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        # Given many calls with an ETA, and a worker with free slots
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        results = [tasks.add.apply_async((number, 1), eta=tomorrow) for number in range(CALLS)]
        eventually(all_wait, 30, "all calls in the schedule")
        # Then it is leased none of them, and runs others
        assert [worker["leases"] for worker in stats_of(app)["workers"]] == [0]
        assert tasks.add.delay(1, 2).get(timeout=20) == 3
        # When the coordinator is killed and started again, all are there
        assert mesh.coordinator is not None
        kill(mesh.coordinator.pid)
        mesh.coordinator.wait()
        start_coordinator()
        eventually(all_wait, 30, "all calls in the schedule of the next coordinator")
        wait_for_workers(app, 1)
        assert [worker["leases"] for worker in stats_of(app)["workers"]] == [0]
        # And when they are cancelled by their ids, none is left
        assert app.control.revoke(results[0].id, timeout=10) == {results[0].id: "removed"}
        app.ResultSet(results).revoke()
        for result in (results[0], results[CALLS // 2], results[-1]):
            with pytest.raises(TaskRevokedError):
                result.get(timeout=30)
        eventually(lambda: stats_of(app)["calls"] == 0, 30, "an empty coordinator")
        assert all(result.state == "REVOKED" for result in results)
