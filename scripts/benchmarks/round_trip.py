"""How long one call takes from `delay` to its result, with nothing else going on."""

from __future__ import annotations

import time
from collections.abc import Callable

from scripts.benchmarks.alternation import alternate, percentile
from scripts.benchmarks.ceiling.mesh import bare_mesh, ceiling_mesh
from scripts.benchmarks.figure import Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, actorq_mesh
from scripts.benchmarks.tasks import add

TRIPS = 200
"""In one turn."""
BARE_BODY = b"x" * 60
"""About as large as a call."""
DESIGN_BAR = 1.6
"""What is wished for in relation to bare ZeroMQ."""


def measure(quick: bool) -> Figure:
    """The median, beside the ceiling's; and in relation to bare ZeroMQ over three hops."""
    with ceiling_mesh() as ceiling, bare_mesh() as bare, actorq_mesh():
        contenders: dict[str, Callable[[], list[float]]] = {
            "bare": lambda: time_each(lambda: bare.round_trip(BARE_BODY)),
            "ceiling": lambda: time_each(lambda: ceiling.client.submit("add", 1, 2).get()),
            "actorq": lambda: time_each(lambda: add.delay(1, 2).get(timeout=RESULT_S)),
        }
        alternate(1, contenders)
        turns = alternate(4 if quick else 15, contenders)
    samples_us = {name: [each * 1e6 for turn in found for each in turn] for name, found in turns.items()}
    p50 = {name: percentile(each, 0.5) for name, each in samples_us.items()}
    p99 = {name: percentile(each, 0.99) for name, each in samples_us.items()}
    return Figure(
        "round_trip",
        p50["actorq"],
        "µs",
        p50["ceiling"],
        1.3,
        Rule.RATIO_AT_MOST,
        (
            "reference: the ceiling's pipeline; medians",
            _in_bare(p50),
            "99th percentiles: " + ", ".join(f"{name} {value:.0f} µs" for name, value in p99.items()),
        ),
    )


def _in_bare(p50: dict[str, float]) -> str:
    bare_us = p50["bare"]
    return (
        f"bare ZeroMQ over three hops: {bare_us:.0f} µs; actorq takes {p50['actorq'] / bare_us:.2f} × that (wished: "
        f"≤ {DESIGN_BAR}), the ceiling {p50['ceiling'] / bare_us:.2f} ×"
    )


def time_each(trip: Callable[[], object]) -> list[float]:
    durations = []
    for _ in range(TRIPS):
        started_s = time.perf_counter()
        trip()
        durations.append(time.perf_counter() - started_s)
    return durations
