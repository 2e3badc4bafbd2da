"""The same with a journal that is synced: no-op calls per second, run by two worker processes, all results gathered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.noop_throughput import ROUNDS, actorq_rate, ceiling_rate
from scripts.benchmarks.tasks import add


def measure(quick: bool) -> Figure:
    """Calls per second, beside those of the ceiling, which keeps nothing; and of a mesh in memory."""
    calls = 10_000 if quick else 50_000
    with ceiling_mesh() as ceiling, actorq_mesh() as memory, actorq_mesh(durable=True) as durable:
        contenders: dict[str, Callable[[], float]] = {
            "ceiling": lambda: ceiling_rate(ceiling, calls),
            "memory": partial(_rate, memory, calls),
            "durable": partial(_rate, durable, calls),
        }
        alternate(1, contenders)
        rates = medians(alternate(3 if quick else ROUNDS, contenders))
    return Figure(
        "durable_throughput",
        rates["durable"],
        "calls/s",
        rates["ceiling"],
        0.25,
        Rule.RATIO_AT_LEAST,
        (
            "reference: the ceiling's pipeline, also with two workers, which keeps nothing",
            f"in memory: {rates['memory']:,.0f} calls/s; the journal leaves {rates['durable'] / rates['memory']:.2f} of it",
        ),
    )


def _rate(mesh: Mesh, calls: int) -> float:
    mesh.use()
    mesh.gather([add.delay(1, 1)])  # The first after a change of meshes makes connections.
    return actorq_rate(mesh, calls)
