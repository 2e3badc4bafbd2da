"""How many calls per second with everything on: a rate limit, priorities, links, and states of what runs."""

from __future__ import annotations

import time
from itertools import cycle

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.noop_throughput import ROUNDS, ceiling_rate, checked_rate
from scripts.benchmarks.tasks import LIMITED, add

LINK_EVERY = 100
"""One of so many calls has another one linked to it."""


def measure(quick: bool) -> Figure:
    """Calls per second, beside those of the ceiling, which has none of this."""
    calls = 10_000 if quick else 50_000
    with ceiling_mesh() as ceiling, actorq_mesh() as mesh:
        contenders = {"ceiling": lambda: ceiling_rate(ceiling, calls), "actorq": lambda: limited_rate(mesh, calls)}
        alternate(1, contenders)
        rates = medians(alternate(3 if quick else ROUNDS, contenders))
    return Figure(
        "limited_throughput",
        rates["actorq"],
        "calls/s",
        rates["ceiling"],
        0.35,
        Rule.RATIO_AT_LEAST,
        (
            f"three priorities, a rate limit that is never reached, track_started; one call of {LINK_EVERY} has a link",
            "reference: the ceiling's pipeline, without any of it",
        ),
    )


def limited_rate(mesh: Mesh, calls: int) -> float:
    """Submit and gather so many calls; those that are linked to them run beside. Returns calls per second."""
    started_s = time.perf_counter()
    results = [
        task.delay(number, 1) if number % LINK_EVERY else task.apply_async((number, 1), link=add.s(1))
        for number, task in zip(range(calls), cycle(LIMITED), strict=False)
    ]
    return checked_rate(mesh.gather(results), time.perf_counter() - started_s)
