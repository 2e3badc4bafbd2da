"""How many calls per second one client can have accepted for good, by a journal that is synced, and forget."""

from __future__ import annotations

import time
from functools import partial

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.figure import Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.queued_call_memory import queue_calls


def measure(quick: bool) -> Figure:
    """Calls per second whose results nobody wants and that no worker takes, beside a mesh in memory."""
    calls = 20_000 if quick else 100_000
    with actorq_mesh(0) as memory, actorq_mesh(0, durable=True) as durable:
        contenders = {"memory": partial(_rate, memory, calls), "durable": partial(_rate, durable, calls)}
        alternate(1, contenders)
        rates = medians(alternate(3 if quick else 5, contenders))
    return Figure(
        "durable_submit",
        rates["durable"],
        "calls/s",
        rates["memory"],
        40_000,
        Rule.VALUE_AT_LEAST,
        ("until all are accepted; reference: in memory",),
    )


def _rate(mesh: Mesh, calls: int) -> float:
    mesh.use()
    queue_calls(1)  # The first after a change of meshes makes connections.
    started_s = time.perf_counter()
    queue_calls(calls)
    return calls / (time.perf_counter() - started_s)
