"""How late a call with an ETA starts when there are free slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from scripts.benchmarks.alternation import alternate, percentile
from scripts.benchmarks.ceiling.mesh import Ceiling, ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.tasks import started_at

LEAD_S = 1.0
"""Until the first one, in which all are submitted."""
CALLS_PER_S = 500


def measure(quick: bool) -> Figure:
    """The 99th percentile, beside that of a client of the ceiling which keeps the calls, and submits each at its time."""
    spread_s = 2.0 if quick else 5.0
    with ceiling_mesh() as ceiling, actorq_mesh() as mesh:
        contenders: dict[str, Callable[[], list[float]]] = {
            "ceiling": lambda: ceiling_lateness(ceiling, _times(spread_s)),
            "actorq": lambda: lateness(mesh, _times(spread_s)),
        }
        turns = alternate(1 if quick else 3, contenders)
    ms = {name: [each * 1e3 for turn in found for each in turn] for name, found in turns.items()}
    if min(ms["actorq"]) < 0:
        raise BenchmarkError(f"a call started {-min(ms['actorq']):.3f} ms before its ETA")
    return Figure(
        "eta_lateness",
        percentile(ms["actorq"], 0.99),
        "ms",
        percentile(ms["ceiling"], 0.99),
        50,
        Rule.VALUE_AT_MOST,
        (
            f"99th percentiles of {len(ms['actorq']):,} calls, {CALLS_PER_S} due in each second",
            "reference: the ceiling, whose client submits each when it is due",
            "medians: " + ", ".join(f"{name} {percentile(each, 0.5):.2f} ms" for name, each in ms.items()),
        ),
    )


def lateness(mesh: Mesh, times_s: Sequence[float]) -> list[float]:
    """Seconds between the ETA of each call and its start. All are submitted before the first is due."""
    results = [started_at.apply_async(eta=each) for each in times_s]
    if time.time() > times_s[0]:
        raise BenchmarkError("submitting the calls took longer than until the first one was due")
    return [found - due for found, due in zip(mesh.gather(results), times_s, strict=True)]


def ceiling_lateness(ceiling: Ceiling, times_s: Sequence[float]) -> list[float]:
    pending = []
    for each in times_s:
        time.sleep(max(0.0, each - time.time()))
        pending.append(ceiling.client.submit("started_at"))
    return [result.get() - due for result, due in zip(pending, times_s, strict=True)]


def _times(spread_s: float) -> list[float]:
    first_s = time.time() + LEAD_S
    return [first_s + number / CALLS_PER_S for number in range(int(spread_s * CALLS_PER_S))]
