"""A real mesh under attack: a coordinator, a worker node and a client, and strangers at all their doors."""

from __future__ import annotations

import random
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil

from actorq import ActorQ
from actorq.wire import frames
from tests.fuzzing.engine import Finding, Report
from tests.fuzzing.strangers import Strangers
from tests.fuzzing.tape import Tape
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers
from tests.support import Nodes, eventually, free_address

NAME = "processes"
MOST_GROWTH_BYTES = 64 * 2**20
"""Of memory, in a process that should not grow at all: allocators, tables and caches of a few attacks."""
IDLE_PERCENT = 30
COORDINATOR_KINDS = [*frames.FROM_CLIENT.values(), *frames.FROM_WORKER.values(), *frames.FROM_CONTROL.values()]
CLIENT_KINDS = list(frames.TO_REPLY_SOCKET.values())


class Siege:
    """Attacks, and afterwards looks at whether anybody has noticed."""

    def __init__(self, app: ActorQ, mesh: Mesh) -> None:
        assert mesh.coordinator is not None
        self.app = app
        (worker,) = wait_for_workers(app, 1)
        self.processes = [psutil.Process(mesh.coordinator.pid), psutil.Process(worker["pid"]), psutil.Process()]
        self.worker_pid = worker["pid"]
        self.client = app.session.core
        self.nonce = self.client._nonce

    def attack(self, rng: random.Random, attacks: int = 0, seconds: float = 0.0) -> int:
        """So many attacks, or for so long, at the coordinator's door and at the client's. Returns how many."""
        doors = ((self.app.url, COORDINATOR_KINDS), (self.client.reply_address, CLIENT_KINDS))
        until_s, done = time.monotonic() + seconds, 0
        with Strangers(*doors[0]) as at_coordinator, Strangers(*doors[1]) as at_client:
            while done < attacks or time.monotonic() < until_s:
                done += 1
                rng.choice((at_coordinator, at_client)).attack(Tape(rng.randbytes(300)))
                if done % 20 == 0:
                    self.check_service()
        return done

    def check_service(self) -> None:
        """The mesh does what it is there for."""
        assert tasks.add.delay(1, 2).get(timeout=20) == 3

    def check_aftermath(self, memory_bytes: list[int]) -> None:
        """Nobody has died, grown, or is still busy, and the honest session is the one that it was."""
        self.check_service()
        assert all(process.is_running() for process in self.processes), "a process has ended"
        (worker,) = wait_for_workers(self.app, 1)
        assert worker["pid"] == self.worker_pid, "the worker's process was replaced"
        assert self.client._nonce == self.nonce, "the honest client had to connect again"
        for process in self.processes[:2]:
            eventually(partial(_is_idle, process), 20, f"{process} to be idle")
        growth = [after - before for before, after in zip(memory_bytes, self.memory_bytes(), strict=True)]
        assert max(growth) < MOST_GROWTH_BYTES, f"memory has grown by {growth} bytes"

    def memory_bytes(self) -> list[int]:
        """Of the coordinator and the worker."""
        return [process.memory_info().rss for process in self.processes[:2]]


def _is_idle(process: psutil.Process) -> bool:
    return process.cpu_percent(0.3) < IDLE_PERCENT


def run(seed: int, *, attacks: int = 0, seconds: float = 0.0) -> Report:
    """Attack a mesh. The order of what happens in it is not the same for the same seed."""
    rng = random.Random(seed)
    report = Report()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, Nodes(Path(directory)) as nodes:
        mesh = Mesh(nodes, free_address())
        mesh.start_coordinator().wait_for_output("listens", 60)
        mesh.start_worker("-c", "4")
        with mesh.client() as app:
            siege = Siege(app, mesh)
            siege.attack(rng, attacks=30)  # What everything takes once.
            before = siege.memory_bytes()
            try:
                report.executions = siege.attack(rng, attacks, seconds)
                siege.check_aftermath(before)
            except Exception as error:
                logs = "\n".join(f"{title}:\n{tail}" for title, tail in nodes.logs())
                story = f"{type(error).__name__}: {error}\n{logs}\nseed {seed}\n"
                report.findings.append(Finding(NAME, b"", story))
    report.took_s = time.monotonic() - started_s
    return report
