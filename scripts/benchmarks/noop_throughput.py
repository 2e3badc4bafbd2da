"""How many no-op calls per second: submitted by one client, run by two worker processes, all results gathered."""

from __future__ import annotations

import time

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.ceiling.mesh import Ceiling, ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.tasks import add

ROUNDS = 7


def measure(quick: bool) -> Figure:
    """Calls per second, beside those of the ceiling."""
    calls = 10_000 if quick else 50_000
    with ceiling_mesh() as ceiling, actorq_mesh() as mesh:
        contenders = {"ceiling": lambda: ceiling_rate(ceiling, calls), "actorq": lambda: actorq_rate(mesh, calls)}
        alternate(1, contenders)  # Warm-up: connections, caches, lookahead.
        rates = medians(alternate(3 if quick else ROUNDS, contenders))
    return Figure(
        "noop_throughput",
        rates["actorq"],
        "calls/s",
        rates["ceiling"],
        0.5,
        Rule.RATIO_AT_LEAST,
        ("reference: the ceiling's pipeline, also with two workers",),
    )


def actorq_rate(mesh: Mesh, calls: int) -> float:
    """Submit and gather so many calls. Returns calls per second."""
    started_s = time.perf_counter()
    values = mesh.gather([add.delay(number, 1) for number in range(calls)])
    return checked_rate(values, time.perf_counter() - started_s)


def ceiling_rate(ceiling: Ceiling, calls: int) -> float:
    """The same through the ceiling's pipeline."""
    submit = ceiling.client.submit
    started_s = time.perf_counter()
    pending = [submit("add", number, 1) for number in range(calls)]
    values = [each.get() for each in pending]
    return checked_rate(values, time.perf_counter() - started_s)


def checked_rate(values: list[int], elapsed_s: float) -> float:
    """Calls per second. Raises BenchmarkError if these are not the results."""
    if values != list(range(1, len(values) + 1)):
        raise BenchmarkError("some results are wrong")
    return len(values) / elapsed_s
