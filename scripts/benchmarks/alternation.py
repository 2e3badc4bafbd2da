"""Contenders take turns, so that a machine that slows down slows all of them down."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def alternate(rounds: int, contenders: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Run all contenders `rounds` times, A B A B …, and return what each gave."""
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()  # Nobody is to pay for what the one before left behind.
            found[name].append(run())
    return found


def medians(found: Mapping[str, Iterable[float]]) -> dict[str, float]:
    """The median of each contender's values."""
    return {name: statistics.median(values) for name, values in found.items()}


def percentile(samples: Iterable[float], share: float) -> float:
    """The sample below which `share` of all lie."""
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
