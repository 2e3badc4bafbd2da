"""How long a step of a long chain takes, in relation to one call by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from actorq import chain
from scripts.benchmarks.alternation import alternate, percentile
from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, actorq_mesh
from scripts.benchmarks.round_trip import time_each
from scripts.benchmarks.tasks import add

STEPS = 1_000


def measure(quick: bool) -> Figure:
    """The median, beside the median round trip of a call of the same mesh; and beside the ceiling's."""
    with ceiling_mesh() as ceiling, actorq_mesh():
        contenders: dict[str, Callable[[], list[float]]] = {
            "ceiling": lambda: time_each(lambda: ceiling.client.submit("add", 1, 2).get()),
            "call": lambda: time_each(lambda: add.delay(1, 2).get(timeout=RESULT_S)),
            "step": lambda: [time_step()],
        }
        alternate(1, contenders)
        turns = alternate(4 if quick else 15, contenders)
    us = {name: percentile([each * 1e6 for turn in found for each in turn], 0.5) for name, found in turns.items()}
    return Figure(
        "chain_step",
        us["step"],
        "µs",
        us["call"],
        2.0,
        Rule.RATIO_AT_MOST,
        (
            f"from delay() of a chain of {STEPS:,} to its value, by its steps; reference: one call from delay() to its value",
            f"the ceiling's round trip: {us['ceiling']:.0f} µs; a step takes {us['step'] / us['ceiling']:.2f} × that",
        ),
    )


def time_step() -> float:
    """Run a chain; returns seconds per step."""
    flow = chain(add.s(0, 1), *[add.s(1) for _ in range(STEPS - 1)])
    started_s = time.perf_counter()
    value = flow.delay().get(timeout=RESULT_S)
    elapsed_s = time.perf_counter() - started_s
    if value != STEPS:
        raise BenchmarkError(f"a chain of {STEPS:,} additions gave {value!r}")
    return elapsed_s / STEPS
