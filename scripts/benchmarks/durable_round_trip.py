"""How long one call takes from `delay` to its result where the coordinator keeps a journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scripts.benchmarks.alternation import alternate, percentile
from scripts.benchmarks.figure import Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, Mesh, actorq_mesh
from scripts.benchmarks.round_trip import time_each
from scripts.benchmarks.tasks import add


def measure(quick: bool) -> Figure:
    """The median, beside that of a mesh in memory."""
    with actorq_mesh() as memory, actorq_mesh(durable=True) as durable:
        contenders: dict[str, Callable[[], list[float]]] = {
            "memory": partial(_trips, memory),
            "durable": partial(_trips, durable),
        }
        alternate(1, contenders)
        turns = alternate(6 if quick else 20, contenders)
    samples_us = {name: [each * 1e6 for turn in found for each in turn] for name, found in turns.items()}
    p50 = {name: percentile(each, 0.5) for name, each in samples_us.items()}
    p99 = {name: percentile(each, 0.99) for name, each in samples_us.items()}
    return Figure(
        "durable_round_trip",
        p50["durable"],
        "µs",
        p50["memory"],
        1.1,
        Rule.RATIO_AT_MOST,
        (
            "reference: in memory; medians",
            "99th percentiles: " + ", ".join(f"{name} {value:.0f} µs" for name, value in p99.items()),
        ),
    )


def _trips(mesh: Mesh) -> list[float]:
    mesh.use()
    add.delay(1, 2).get(timeout=RESULT_S)  # The first after a change of meshes makes connections.
    return time_each(lambda: add.delay(1, 2).get(timeout=RESULT_S))
