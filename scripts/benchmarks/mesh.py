"""Starts a mesh of actorq's, as a user would: one coordinator and worker processes on loopback, default options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from actorq import ActorQ
from actorq.errors import ActorqError
from scripts.benchmarks import tasks
from scripts.benchmarks.figure import BenchmarkError
from scripts.benchmarks.processes import START_S, Node, Nodes, free_address, wait_until

RESULT_S = 120.0
"""Results that have not come by then never will."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """A running mesh, and a client of it."""

    app: ActorQ
    url: str
    coordinator: Node
    workers: list[Node]
    nodes: Nodes

    def use(self) -> None:
        """Make the client one of this mesh, if it was another one's."""
        if self.app.url != self.url:
            self.app.close()
            self.app.url = self.url

    def gather(self, results: Sequence[Any]) -> list[Any]:
        """The values of all results. Raises BenchmarkError if they do not come in time."""
        try:
            return self.app.gather(*results, timeout=RESULT_S)
        except ActorqError as error:
            self.nodes.check()
            raise BenchmarkError(f"actorq gave no results: {error}") from error


@contextmanager
def actorq_mesh(workers: int = 2, durable: bool = False) -> Iterator[Mesh]:
    """A coordinator, its workers and a client, until the context ends. The client is `tasks.app`.

    durable: the coordinator keeps a journal, in the directory of the nodes' logs.
    """
    with Nodes() as nodes:
        url = free_address()
        data = ["--data", str(nodes.directory / "data")] if durable else []
        coordinator = nodes.start("actorq", "coordinator", "--listen", url, *data)
        coordinator.wait_for_output("listens on")
        names = [f"bench-{number}" for number in range(workers)]
        started = [
            nodes.start("actorq", "worker", "-A", "scripts.benchmarks.tasks", "-u", url, "-n", name) for name in names
        ]
        mesh = Mesh(tasks.app, url, coordinator, started, nodes)
        mesh.use()
        try:
            wait_until(lambda: _are_ready(mesh), f"{workers} workers that answer a ping", START_S)
            yield mesh
        finally:
            mesh.app.close()


def _are_ready(mesh: Mesh) -> bool:
    mesh.nodes.check()
    try:
        return len(mesh.app.control.ping()) >= len(mesh.workers)
    except ActorqError:
        return False
