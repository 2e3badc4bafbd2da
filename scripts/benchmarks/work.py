"""What the benchmarks' tasks do, the same on both sides. Knows neither actorq nor the ceiling."""

from __future__ import annotations

import time
from itertools import repeat


def add(x: int, y: int) -> int:
    """A no-op whose result shows that it ran."""
    return x + y


def echo(body: bytes) -> bytes:
    """Carry a payload there and back."""
    return body


def started_at() -> float:
    """Unix time."""
    return time.time()


def spin(steps: int) -> int:
    """Keep a CPU busy for a fixed amount of work: not for a time, which also passes while others have the CPU."""
    for _ in repeat(None, steps):  # Each step takes the same time; numbers above 256 would take longer.
        pass
    return steps


def seconds_per_step(sample_steps: int = 50_000, samples: int = 400) -> float:
    """What one step of `spin` takes on this machine when nothing disturbs it."""
    durations = []
    for _ in range(samples):
        started_s = time.perf_counter()
        spin(sample_steps)
        durations.append(time.perf_counter() - started_s)
    return min(durations) / sample_steps
