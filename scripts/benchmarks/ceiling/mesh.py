"""Starts the ceiling's processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scripts.benchmarks.ceiling import bare
from scripts.benchmarks.ceiling.client import Client
from scripts.benchmarks.processes import Node, Nodes

_MODULE = "scripts.benchmarks.ceiling"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A running pipeline and a client of it."""

    client: Client
    coordinator: Node
    workers: list[Node]


@contextmanager
def ceiling_mesh(workers: int = 2) -> Iterator[Ceiling]:
    """A coordinator, its workers and a client, until the context ends."""
    with Nodes() as nodes:
        address, coordinator, started = _start(nodes, "", workers)
        client = Client(address)
        try:
            yield Ceiling(client, coordinator, started)
        finally:
            client.close()


@contextmanager
def bare_mesh() -> Iterator[bare.Client]:
    """A client of the three bare hops, until the context ends."""
    with Nodes() as nodes:
        address, _, _ = _start(nodes, "bare-", 1)
        client = bare.Client(address)
        try:
            yield client
        finally:
            client.close()


def _start(nodes: Nodes, prefix: str, workers: int) -> tuple[str, Node, list[Node]]:
    coordinator = nodes.start(_MODULE, f"{prefix}coordinator")
    address = coordinator.wait_for_output(r"listens on (\S+)\n")[1]
    started = [nodes.start(_MODULE, f"{prefix}worker", address) for _ in range(workers)]
    if workers:
        coordinator.wait_for_output(rf"has {workers} workers\n")
    return address, coordinator, started
