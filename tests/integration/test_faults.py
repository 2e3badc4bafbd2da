"""What the mesh promises when processes die, stop and come back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from actorq import ActorQ
from actorq.errors import WorkerLostError
from tests.integration import tasks
from tests.integration.mesh import Mesh, kill, wait_for_workers, worker_stats
from tests.support import eventually

CALLS = int(os.environ.get("ACTORQ_TEST_CALLS", "20000"))
STOP_S = float(os.environ.get("ACTORQ_TEST_STOP_S", "9"))
"""For how long a worker is stopped; longer than ZeroMQ's heartbeat takes to find it."""


def kill_one_worker(app: ActorQ) -> bool:
    """False if there is none alive just now."""
    for worker in worker_stats(app):
        if worker["state"] == "ready":
            try:
                kill(worker["pid"])
            except ProcessLookupError:
                continue  # The coordinator has not noticed yet.
            return True
    return False


def test_every_call_settles_once_although_workers_are_killed_again_and_again(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("--processes", "2", "-c", "100", "-Q", "default,slow")
    with mesh.client() as app:
        wait_for_workers(app, 2)
        # Given many calls under way, when a worker process is killed ten times in a row
        results = [tasks.add.delay(i, 1) for i in range(CALLS)]
        slow = [tasks.nap.delay(0.001) for _ in range(400)]
        for _ in range(10):
            eventually(lambda: kill_one_worker(app), 30, "a worker to kill")
            results += [tasks.add.delay(i, 1) for i in range(len(results), len(results) + CALLS // 10)]
        # Then every call has its right result
        assert app.gather(*results, timeout=60) == list(range(1, len(results) + 1))
        assert app.gather(*slow, timeout=60) == [0.001] * 400


def test_a_stopped_worker_loses_its_work_and_its_late_reports_change_nothing(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "4", name="first")
    with mesh.client() as app:
        (first,) = wait_for_workers(app, 1)
        results = [tasks.pid_after.delay(1.0) for _ in range(4)]
        eventually(lambda: worker_stats(app)[0]["running"] == 4, what="four running tasks")
        # Given a worker that is stopped in the middle of its work
        os.kill(first["pid"], signal.SIGSTOP)
        stopped_s = time.monotonic()
        mesh.start_worker("-c", "4", name="second")
        # Then the work is done elsewhere
        pids = set(app.gather(*results, timeout=60))
        assert first["pid"] not in pids
        # And when it wakes up, what it says of these calls is late
        while time.monotonic() - stopped_s < STOP_S:
            time.sleep(0.1)
        os.kill(first["pid"], signal.SIGCONT)
        wait_for_workers(app, 2)
        assert {each.get() for each in results} == pids
        again = app.AsyncResult(results[0].id)
        assert again.get(timeout=5) in pids


def test_clients_bring_a_killed_coordinators_calls_to_the_next_one(mesh: Mesh) -> None:
    coordinator = mesh.start_coordinator()
    mesh.start_worker("--processes", "2")
    with mesh.client() as app:
        wait_for_workers(app, 2)
        results = [tasks.add.delay(i, 1) for i in range(CALLS)]
        kill(coordinator.pid)
        coordinator.wait()
        mesh.start_coordinator()
        assert app.gather(*results, timeout=60) == list(range(1, CALLS + 1))


def test_running_tasks_survive_the_restart_of_the_coordinator(mesh: Mesh, tmp_path: Path) -> None:
    coordinator = mesh.start_coordinator()
    mesh.start_worker("-c", "20")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        results = [tasks.pid_after.delay(3.0) for _ in range(20)]
        eventually(lambda: worker_stats(app)[0]["running"] == 20, what="all tasks running")
        kill(coordinator.pid)
        coordinator.wait()
        mesh.start_coordinator()
        started_s = time.monotonic()
        assert len(set(app.gather(*results, timeout=60))) == 1
        # They were not run again: that would have taken a grace and three seconds more.
        assert time.monotonic() - started_s < 4.5
        stats = app.control.inspect().coordinator()
        assert sum(reply["settled"] for reply in stats.values()) >= 20


def test_a_task_that_kills_its_process_is_given_up_after_three_deliveries_and_its_neighbours_are_not(
    mesh: Mesh,
) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "10")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        neighbours = [tasks.pid_after.delay(0.2) for _ in range(5)]
        poison = tasks.kill_own_process.delay()
        neighbours += [tasks.pid_after.delay(0.2) for _ in range(20)]
        with pytest.raises(WorkerLostError, match="3 times"):
            poison.get(timeout=60)
        assert len(app.gather(*neighbours, timeout=60)) == 25
        letters = [letter for each in app.control.inspect().dead_letters().values() for letter in each]
        assert [letter["id"] for letter in letters] == [poison.id]


def test_an_at_most_once_call_is_not_run_again(mesh: Mesh, tmp_path: Path) -> None:
    mesh.start_coordinator()
    mesh.start_worker()
    with mesh.client() as app:
        wait_for_workers(app, 1)
        runs = tmp_path / "runs"
        with pytest.raises(WorkerLostError, match="once"):
            tasks.kill_own_process_at_most_once.delay(str(runs)).get(timeout=60)
        assert runs.read_text() == "ran\n"
