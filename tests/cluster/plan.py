"""Which faults happen when: drawn from a seed, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

KILLS = ("kill coordinator", "kill worker")
STOPS = ("stop coordinator", "stop worker")
CUTS = ("halves", "isolate", "one way")
KINDS = (*KILLS, *STOPS, *CUTS)

Span = tuple[float, float]
"""Seconds, the least and the most."""


@dataclass(frozen=True)
class Timing:
    """When faults happen, in seconds since the load runs. One ends before the next begins."""

    first_s: float = 3.0
    """So long there is none, to see how fast it goes without."""
    pause_s: Span = (0.5, 2.0)
    """From the end of one to the beginning of the next."""
    down_s: Span = (0.2, 1.0)
    """From a kill until the process is started again."""
    stopped_s: Span = (1.0, 8.0)
    cut_s: Span = (1.0, 8.0)
    tail_s: float = 3.0
    """For how long the load goes on after the last one."""


@dataclass(frozen=True)
class Fault:
    """One fault: it begins at `at_s`, and its end is undone."""

    at_s: float
    lasts_s: float
    kind: str
    target: int = 0
    """Which coordinator or worker, from 0 on."""
    cuts: tuple[tuple[int, int], ...] = ()
    """From which host nothing comes to which any more, by their indexes."""

    @property
    def until_s(self) -> float:
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        if self.cuts:
            what = f"{self.kind}: " + " ".join(f"{source + 1}>{target + 1}" for source, target in self.cuts)
        else:
            what = f"{self.kind} {self.target + 1}"
        return f"{self.at_s:6.2f} s, for {self.lasts_s:.2f} s: {what}"


def draw(
    rng: Random, kinds: Sequence[str], count: int, timing: Timing, coordinators: int, workers: int, hosts: int
) -> list[Fault]:
    """`count` faults of these kinds, each kind as often as the others."""
    faults: list[Fault] = []
    at_s = timing.first_s
    bag: list[str] = []
    for _ in range(count if kinds else 0):
        if not bag:
            bag = rng.sample(list(kinds), len(kinds))
        kind = bag.pop()
        if kind in CUTS:
            fault = Fault(at_s, rng.uniform(*timing.cut_s), kind, cuts=_cuts(rng, kind, hosts))
        else:
            span = timing.down_s if kind in KILLS else timing.stopped_s
            fault = Fault(
                at_s, rng.uniform(*span), kind, rng.randrange(coordinators if kind.endswith("coordinator") else workers)
            )
        faults.append(fault)
        at_s = fault.until_s + rng.uniform(*timing.pause_s)
    return faults


def _cuts(rng: Random, kind: str, hosts: int) -> tuple[tuple[int, int], ...]:
    order = rng.sample(range(hosts), hosts)
    size = hosts // 2 if kind == "halves" else 1
    left, right = order[:size], order[size:]
    there = [(source, target) for source in left for target in right]
    back = [(target, source) for source, target in there]
    if kind == "one way":
        return tuple(sorted(rng.choice((there, back))))
    return tuple(sorted(there + back))
