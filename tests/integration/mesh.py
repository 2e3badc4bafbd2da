"""A mesh of real processes for a test: a coordinator, worker nodes under supervisors, and clients of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorq import ActorQ
from tests.integration import tasks
from tests.support import NodeProcess, Nodes, eventually

APP = "tests.integration.tasks"


class Mesh:
    """Starts and harms nodes; says which worker nodes are up."""

    def __init__(self, nodes: Nodes, address: str) -> None:
        self.nodes = nodes
        self.address = address
        self.coordinator: NodeProcess | None = None

    def start_coordinator(self) -> NodeProcess:
        self.coordinator = self.nodes.start("coordinator", "--listen", self.address)
        return self.coordinator

    def start_worker(self, *options: str, name: str = "worker") -> NodeProcess:
        return self.nodes.start("worker", "-A", APP, "-u", self.address, "-n", f"{name}@%h", *options)

    @contextmanager
    def client(self) -> Iterator[ActorQ]:
        """The application of the tasks, connected to this mesh."""
        app = tasks.app
        before = app.url  # A mesh that the tests of a module share may be in use.
        app.close()
        app.url = self.address
        try:
            yield app
        finally:
            app.close()
            app.url = before


def worker_stats(app: ActorQ) -> list[dict[str, Any]]:
    """What the coordinator says of its workers."""
    replies = app.control.inspect(timeout=5.0).coordinator()
    return [worker for reply in replies.values() for worker in reply["workers"]]


def wait_for_workers(app: ActorQ, count: int, timeout_s: float = 30.0) -> list[dict[str, Any]]:
    """Wait until `count` worker nodes are ready."""

    def ready() -> list[dict[str, Any]]:
        workers = [worker for worker in worker_stats(app) if worker["state"] == "ready"]
        return workers if len(workers) == count else []

    return eventually(ready, timeout_s, f"{count} ready workers")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
