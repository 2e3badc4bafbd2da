"""A coordinator with a journal: what it has accepted outlives it, whatever kills it, and a disk that is full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actorq import ActorQ
from actorq.errors import CallRefused
from tests.integration import tasks
from tests.integration.mesh import APP, Mesh, kill, wait_for_workers, worker_stats
from tests.support import NodeProcess, eventually

CALLS = int(os.environ.get("ACTORQ_TEST_CALLS", "20000"))


class DurableMesh(Mesh):
    """Its coordinator keeps a journal."""

    data: Path

    def start_coordinator(self, *options: str) -> NodeProcess:
        self.coordinator = self.nodes.start("coordinator", "--listen", self.address, "--data", str(self.data), *options)
        return self.coordinator

    def restart_coordinator(self) -> NodeProcess:
        """Kill it (-9), and start another one."""
        assert self.coordinator is not None
        kill(self.coordinator.pid)
        self.coordinator.wait()
        return self.start_coordinator()


@pytest.fixture
def durable(mesh: Mesh, tmp_path: Path) -> DurableMesh:
    durable = DurableMesh(mesh.nodes, mesh.address)
    durable.data = tmp_path / "data"
    return durable


def stats_of(app: ActorQ) -> dict[str, Any]:
    """What the coordinator says of itself."""
    replies = app.control.inspect(timeout=5.0).coordinator()
    assert replies, "no coordinator answers"
    (stats,) = replies.values()
    return dict(stats)


def run_client(mesh: Mesh, program: str) -> str:
    """Run a program that has the tasks as `tasks`; returns what it printed."""
    whole = f"import sys\nfrom {APP.rpartition('.')[0]} import tasks\ntasks.app.url = sys.argv[1]\n{program}"
    command = [sys.executable, "-c", whole, mesh.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_every_accepted_call_settles_although_the_coordinator_is_killed_again_and_again(durable: DurableMesh) -> None:
    durable.start_coordinator()
    durable.start_worker("--processes", "2", "-c", "50", "-Q", "default,slow")
    with durable.client() as app:
        wait_for_workers(app, 2)
        results: list[Any] = []
        for _ in range(4):
            results += [tasks.add.delay(number, 1) for number in range(len(results), len(results) + CALLS // 4)]
            durable.restart_coordinator()
        assert app.gather(*results, timeout=90) == list(range(1, len(results) + 1))
        eventually(lambda: stats_of(app)["calls"] == 0 and stats_of(app)["unwritten"] == 0, 30, "an empty coordinator")


def test_calls_of_a_client_that_is_gone_are_run_by_the_next_coordinator(durable: DurableMesh, tmp_path: Path) -> None:
    # Given a client that has submitted calls, has heard that they are accepted, and is gone
    durable.start_coordinator()
    runs = tmp_path / "runs"
    runs.mkdir()
    program = f"for number in range(500): tasks.note_run.delay({str(runs)!r}, number)\ntasks.app.close()"
    run_client(durable, program)
    # When the coordinator is killed, and another one started, and workers come
    durable.restart_coordinator()
    durable.start_worker("-c", "20")
    # Then all of them run, once
    eventually(lambda: len(list(runs.iterdir())) == 500, 30, "500 runs")
    assert {file.read_text() for file in runs.iterdir()} == {"ran\n"}


def test_what_runs_when_the_coordinator_is_killed_is_not_run_again(durable: DurableMesh, tmp_path: Path) -> None:
    durable.start_coordinator()
    durable.start_worker("-c", "20")
    runs = tmp_path / "runs"
    runs.mkdir()
    with durable.client() as app:
        wait_for_workers(app, 1)
        results = [tasks.note_run.delay(str(runs), number, 4.0) for number in range(20)]
        eventually(lambda: worker_stats(app)[0]["running"] == 20, what="all tasks running")
        durable.restart_coordinator()
        app.gather(*results, timeout=60)
        assert {file.read_text() for file in runs.iterdir()} == {"ran\n"}
        assert len(list(runs.iterdir())) == 20


@pytest.mark.parametrize("pool", ["green", "solo"])
@pytest.mark.parametrize("task", [tasks.note_busy_run, tasks.note_only_busy_run])
def test_a_call_that_keeps_its_worker_busy_is_not_run_again_either(
    durable: DurableMesh, tmp_path: Path, pool: str, task: Any
) -> None:
    durable.start_coordinator()
    durable.start_worker("-P", pool, "--processes", "2")
    with durable.client() as app:
        wait_for_workers(app, 2)
        result = task.delay(str(tmp_path), 1, 8.0)
        eventually((tmp_path / "1").exists, what="a call that runs")
        durable.restart_coordinator()
        assert result.get(timeout=60) is None
    assert (tmp_path / "1").read_text() == "ran\n"


def test_a_result_is_found_after_a_restart_by_whoever_knows_its_id(durable: DurableMesh) -> None:
    durable.start_coordinator()
    durable.start_worker()
    with durable.client() as app:
        wait_for_workers(app, 1)
        result = tasks.add.delay(2, 3)
        assert result.get(timeout=20) == 5
        eventually(lambda: stats_of(app)["unwritten"] == 0, what="all written")
    durable.restart_coordinator()
    with durable.client() as app:
        assert app.AsyncResult(result.id).get(timeout=20) == 5


def test_results_go_straight_to_the_client_while_it_is_not_connected_to_the_new_coordinator(
    durable: DurableMesh,
) -> None:
    """It hears of them however it comes back: here it only has to be seen that it hears at all, and of all."""
    durable.start_coordinator()
    with durable.client() as app:
        results = [tasks.add.delay(number, 1) for number in range(1000)]
        eventually(lambda: stats_of(app)["calls"] == 1000 and not stats_of(app)["unwritten"], what="all kept")
        durable.restart_coordinator()
        durable.start_worker()
        assert app.gather(*results, timeout=60) == list(range(1, 1001))


def test_a_second_coordinator_on_the_same_directory_is_refused(durable: DurableMesh) -> None:
    first = durable.start_coordinator()
    first.wait_for_output("listens on")
    second = durable.nodes.start("coordinator", "--listen", "tcp://127.0.0.1:0", "--data", str(durable.data))
    assert second.wait() == 78
    assert f"in use by process {first.pid}" in second.output()


def test_a_coordinator_that_ends_as_it_should_has_written_everything(durable: DurableMesh) -> None:
    coordinator = durable.start_coordinator()
    with durable.client() as app:
        results = [tasks.add.delay(number, 1) for number in range(2000)]
        eventually(lambda: stats_of(app)["calls"] == 2000, what="all accepted")
        assert coordinator.terminate() == 0
        output = durable.start_coordinator()
        output.wait_for_output("replayed all of 2,000 calls")
        durable.start_worker()
        assert app.gather(*results, timeout=60) == list(range(1, 2001))


def test_it_says_whether_calls_are_kept(durable: DurableMesh) -> None:
    coordinator = durable.start_coordinator("--transient", "metrics")
    coordinator.wait_for_output(f"Accepted calls are kept in {durable.data}, but for the queues metrics.")
    durable.start_worker()
    with durable.client() as app:
        wait_for_workers(app, 1)
        status = durable.nodes.start("-u", durable.address, "status")
        assert status.wait() == 0
        assert f"keeps calls in {durable.data}, all is written" in status.output()


# -- a full disk -------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode(errors='replace').strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left. Returns the file that has it."""
    hog = disk / "hog"
    with suppress(OSError), hog.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return hog


def test_while_the_disk_is_full_calls_are_refused_and_running_work_goes_on(
    durable: DurableMesh, small_disk: Path
) -> None:
    durable.data = small_disk / "data"
    durable.start_coordinator("-l", "INFO")
    durable.start_worker("-c", "10")
    with durable.client() as app:
        wait_for_workers(app, 1)
        running = [tasks.pid_after.delay(3.0) for _ in range(5)]
        eventually(lambda: worker_stats(app)[0]["running"] == 5, what="five running tasks")
        eventually(lambda: stats_of(app)["unwritten"] == 0, what="all written")
        # Given a disk that is full, and a call that finds out
        hog = fill(small_disk)
        found_out = []

        def is_in_trouble() -> bool:
            found_out.append(tasks.echo.delay("x" * 10_000))
            return bool(stats_of(app)["trouble"])

        eventually(is_in_trouble, 20, "trouble with the disk")
        # When more calls are submitted, they are refused, and say why
        with pytest.raises(CallRefused, match=f"the journal in {durable.data} cannot be written: .*full; free some"):
            tasks.add.delay(1, 2).get(timeout=20)
        # Then what runs goes on, and its results come
        assert len(app.gather(*running, timeout=30)) == 5
        assert stats_of(app)["trouble"]
        # And when there is room again, it recovers by itself, and nothing that it had taken is lost
        hog.unlink()
        eventually(lambda: not stats_of(app)["trouble"], 20, "the end of the trouble")
        assert tasks.add.delay(1, 2).get(timeout=20) == 3
        eventually(lambda: stats_of(app)["unwritten"] == 0, what="all written")
        values = [each.get(timeout=20, propagate=False) for each in found_out]
        assert any(value == "x" * 10_000 for value in values)
        durable.restart_coordinator()
        assert app.AsyncResult(running[0].id).get(timeout=20) == running[0].get()
