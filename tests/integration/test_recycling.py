"""Workers whose processes end of themselves, or are told to, and are replaced: nothing is lost, and nothing runs twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from actorq import ActorQ
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers, worker_stats
from tests.support import NodeProcess, eventually

LIMIT_S = 100.0


def runs_in(directory: Path, count: int) -> dict[int, int]:
    """How often each of the calls has run."""
    return {number: len((directory / str(number)).read_text().split()) for number in range(count)}


def submit(directory: Path, count: int, seconds: float = 0.0) -> list[Any]:
    return [tasks.note_run.delay(str(directory), number, seconds) for number in range(count)]


def pids(supervisor: NodeProcess) -> set[int]:
    return {child.pid for child in psutil.Process(supervisor.pid).children()}


def lost_deliveries(app: ActorQ) -> list[Any]:
    return [letter for reply in app.control.inspect(timeout=5.0).dead_letters().values() for letter in reply]


@pytest.mark.slow
@pytest.mark.parametrize("pool", [["-P", "green", "-c", "10"], ["-P", "threads", "-c", "4"], ["-P", "solo"]], ids=str)
def test_a_thousand_calls_through_a_worker_that_recycles_every_fifty_all_run_once(
    mesh: Mesh, tmp_path: Path, pool: list[str]
) -> None:
    mesh.start_coordinator()
    worker = mesh.start_worker(*pool, "--max-tasks-per-child", "50", "-l", "INFO")
    with mesh.client() as app:
        results = submit(tmp_path, 1000)
        for result in results:
            result.get(timeout=LIMIT_S)
        assert lost_deliveries(app) == []
    assert set(runs_in(tmp_path, 1000).values()) == {1}
    # It takes 20 processes at the least, and none of them runs more than 50
    assert worker.output().count("has done its share; another one starts in 0.0 s") >= 19
    counts = [text.count("] received") for text in worker.output().split("connected to coordinator")[1:]]
    assert max(counts) <= 50


def test_memory_growth_of_long_lived_workers_ends_with_a_fresh_process(mesh: Mesh, tmp_path: Path) -> None:
    mesh.start_coordinator()
    worker = mesh.start_worker("--processes", "2", "--max-memory-per-child", "1", "-l", "INFO")
    with mesh.client() as app:
        first = {each["pid"] for each in wait_for_workers(app, 2)}
        for result in submit(tmp_path, 40, 0.05):
            result.get(timeout=LIMIT_S)
        eventually(lambda: len({each["pid"] for each in worker_stats(app)} - first) == 2, 30, "fresh processes")
    assert set(runs_in(tmp_path, 40).values()) == {1}
    worker.wait_for_output("it has grown to")


def test_sighup_starts_one_process_after_the_other_anew_while_calls_run(mesh: Mesh, tmp_path: Path) -> None:
    mesh.start_coordinator()
    worker = mesh.start_worker("--processes", "2", "-c", "4")
    with mesh.client() as app:
        first = {each["pid"] for each in wait_for_workers(app, 2)}
        results = submit(tmp_path, 200, 0.1)
        worker.signal(signal.SIGHUP)
        least = 2

        def are_all_new() -> bool:
            nonlocal least
            ready = {each["pid"] for each in worker_stats(app) if each["state"] == "ready"}
            least = min(least, len(ready))
            return len(ready) == 2 and not ready & first

        eventually(are_all_new, 60, "two fresh processes")
        for result in results:
            result.get(timeout=LIMIT_S)
    assert set(runs_in(tmp_path, 200).values()) == {1}
    assert least >= 1
    assert worker.terminate() == 0


def test_a_restart_with_code_that_cannot_be_imported_leaves_the_other_processes_at_work(
    mesh: Mesh, tmp_path: Path
) -> None:
    module = tmp_path / "fresh_tasks.py"
    module.write_text("from actorq import ActorQ\napp = ActorQ('fresh_tasks')\n")
    mesh.start_coordinator()
    worker = mesh.nodes.start(
        "worker", "-A", "fresh_tasks", "-u", mesh.address, "--processes", "2", env={"PYTHONPATH": str(tmp_path)}
    )
    with mesh.client() as app:
        wait_for_workers(app, 2)
        module.write_text("import no_such_module_at_all\n")
        before = pids(worker)
        worker.signal(signal.SIGHUP)
        worker.wait_for_output("cannot be started anew")
        assert len(pids(worker) & before) == 1
        # And when it is put right, all are restarted
        module.write_text("from actorq import ActorQ\napp = ActorQ('fresh_tasks')\n")
        worker.signal(signal.SIGHUP)
        eventually(lambda: len(pids(worker) - before) == 2 and not pids(worker) & before, 60, "two fresh processes")
        assert worker.terminate() == 0


def test_prefork_is_as_many_processes_as_there_are_slots(mesh: Mesh) -> None:
    mesh.start_coordinator()
    worker = mesh.start_worker("-P", "prefork", "-c", "3")
    with mesh.client() as app:
        workers = wait_for_workers(app, 3)
        assert {each["pid"] for each in workers} == pids(worker)
        results = [tasks.pid_after.delay(0.5) for _ in range(3)]
        assert {result.get(timeout=30) for result in results} == pids(worker)


def test_sigterm_is_taken_for_sigquit_where_the_environment_says_so(mesh: Mesh, tmp_path: Path) -> None:
    mesh.start_coordinator()
    worker = mesh.nodes.start(
        "worker",
        "-A",
        "tests.integration.tasks",
        "-u",
        mesh.address,
        "--drain",
        "600",
        env={"REMAP_SIGTERM": "SIGQUIT"},
    )
    with mesh.client() as app:
        wait_for_workers(app, 1)
        running = tasks.note_run.delay(str(tmp_path), 0, 60)
        eventually(lambda: os.path.exists(tmp_path / "0"), 30, "its start")
        assert worker.terminate() == 0
        assert not running.is_settled()
