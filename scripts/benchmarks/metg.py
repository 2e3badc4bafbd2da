"""How short tasks may be: the smallest granularity at which two workers are still busy with tasks half of the time.

METG(50 %) of Task Bench (Slaughter et al., SC20): workers run a fixed amount of work in ever shorter tasks.
*Efficiency* is work done per second, as a share of the best that was reached in this run; *granularity* is the time
that the workers have for each task. Where efficiency is 50 %, half of the granularity is work and half is overhead.
"""

from __future__ import annotations

import math
import time
from functools import partial
from itertools import pairwise

from scripts.benchmarks.alternation import alternate
from scripts.benchmarks.ceiling.mesh import Ceiling, ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.tasks import spin
from scripts.benchmarks.work import seconds_per_step

WORKERS = 2
EFFICIENCY = 0.5
LONGEST_S, SHORTEST_S = 512e-6, 2e-6
"""Durations of tasks that are tried: the longest, halved again and again."""

Curve = list[tuple[float, float]]
"""By duration of the tasks, in seconds, longest first: how busy the workers were with them, then the efficiency."""


def measure(quick: bool) -> Figure:
    """The granularity in µs, beside the ceiling's."""
    work_s, rounds = (0.2, 3) if quick else (0.4, 9)
    step_s = seconds_per_step()
    curves: dict[str, Curve] = {"ceiling": [], "actorq": []}
    with ceiling_mesh(WORKERS) as ceiling, actorq_mesh(WORKERS) as mesh:
        duration_s = LONGEST_S
        while duration_s >= SHORTEST_S and not _are_crossed(curves):
            steps = max(round(duration_s / step_s), 1)
            calls = max(round(work_s / duration_s), 100)
            contenders = {
                "ceiling": partial(_run_ceiling, ceiling, steps, calls),
                "actorq": partial(_run_actorq, mesh, steps, calls),
            }
            for name, times_s in alternate(rounds, contenders).items():
                least_s = min(times_s)  # What else the machine does can only take time away.
                curves[name].append((steps * step_s, calls * steps * step_s / (WORKERS * least_s)))
            duration_s /= 2
    best = _best(curves)
    curves = {name: [(each_s, busy / best) for each_s, busy in curve] for name, curve in curves.items()}
    granularity_us = {name: _crossing_s(curve) / EFFICIENCY * 1e6 for name, curve in curves.items()}
    return Figure(
        "metg",
        granularity_us["actorq"],
        "µs",
        granularity_us["ceiling"],
        50,
        Rule.VALUE_AT_MOST,
        (
            "reference: the ceiling's pipeline",
            f"at best the workers were {best:.0%} busy (far from 100 %: the machine was not quiet)",
            f"so tasks of {granularity_us['actorq'] * EFFICIENCY:.1f} µs keep {WORKERS} workers half busy",
            *(f"{name}: {_text(curve)}" for name, curve in curves.items()),
        ),
    )


def _run_actorq(mesh: Mesh, steps: int, calls: int) -> float:
    started_s = time.perf_counter()
    values = mesh.gather([spin.delay(steps) for _ in range(calls)])
    return _checked_s(values, steps, time.perf_counter() - started_s)


def _run_ceiling(ceiling: Ceiling, steps: int, calls: int) -> float:
    started_s = time.perf_counter()
    pending = [ceiling.client.submit("spin", steps) for _ in range(calls)]
    values = [each.get() for each in pending]
    return _checked_s(values, steps, time.perf_counter() - started_s)


def _checked_s(values: list[int], steps: int, elapsed_s: float) -> float:
    if values != [steps] * len(values):
        raise BenchmarkError("some results are wrong")
    return elapsed_s


def _best(curves: dict[str, Curve]) -> float:
    return max(busy for curve in curves.values() for _, busy in curve)


def _are_crossed(curves: dict[str, Curve]) -> bool:
    """Whether efficiency is so low that it will not come above EFFICIENCY again, not even by chance."""
    return all(curve and curve[-1][1] < (EFFICIENCY - 0.15) * _best(curves) for curve in curves.values())


def _crossing_s(curve: Curve) -> float:
    """The smallest duration with EFFICIENCY, on a logarithmic scale between the measured ones."""
    for (longer_s, above), (shorter_s, below) in reversed(list(pairwise(curve))):
        if above >= EFFICIENCY > below:
            share = (above - EFFICIENCY) / (above - below)
            return longer_s * math.exp(share * math.log(shorter_s / longer_s))
    raise BenchmarkError(f"at no duration were the workers busy for {EFFICIENCY:.0%} of the time; {_text(curve)}")


def _text(curve: Curve) -> str:
    return "efficiency by duration " + ", ".join(f"{each * 1e6:.0f} µs {share:.0%}" for each, share in curve)
