"""Figures over time: how much was done each second, when a rate was reached again, how fast memory grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.cluster.history import Times


def per_second(times: Times, begin_s: float, end_s: float) -> list[int]:
    """How many of the times lie in each whole second from `begin_s` to `end_s`."""
    seconds = max(int(end_s - begin_s), 0)
    if not seconds:
        return []
    counts, _ = np.histogram(times, bins=seconds, range=(begin_s, begin_s + seconds))
    return [int(each) for each in counts]


def rate_between(times: Times, begin_s: float, end_s: float) -> float:
    """How many of them there are per second in this span; 0 if it is empty."""
    within = np.count_nonzero((times >= begin_s) & (times < end_s))
    return float(within) / (end_s - begin_s) if end_s > begin_s else 0.0


def recovery_s(times: Times, healed_s: float, end_s: float, wanted_per_s: float) -> float | None:
    """How long after `healed_s` the first second ends in which there were `wanted_per_s`. None: there was none.

    Looked at in steps of a tenth of a second, up to `end_s`.
    """
    ordered = np.sort(times)
    begins = np.arange(healed_s, end_s - 1.0 + 1e-9, 0.1)
    counts = np.searchsorted(ordered, begins + 1.0) - np.searchsorted(ordered, begins)
    reached = np.flatnonzero(counts >= wanted_per_s)
    return float(begins[reached[0]] + 1.0 - healed_s) if len(reached) else None


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How fast the second value grows with the first, over all points (least squares). 0 for fewer than two."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    x, y = np.array(points, np.float64).T
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())
