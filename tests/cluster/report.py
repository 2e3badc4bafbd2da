"""What came of a run: as a judgement, as tables, and as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.cluster.checker import Verdict
from tests.cluster.history import Times
from tests.cluster.plan import Fault
from tests.cluster.scenarios import Scenario, Size
from tests.cluster.series import per_second, rate_between, recovery_s, slope

RECOVERED_SHARE = 0.9
RECOVERED_WITHIN_S = 10.0
"""After the last fault, so much of the rate before the first one has to be reached within so long."""
WARM_SHARE = 0.4
"""Until so much of the calls has settled, caches fill."""
GROWTH_BYTES_PER_CALL = 4.0
"""A process that grows faster after that, over at least GROWTH_CALLS, keeps something of each call."""
GROWTH_CALLS = 500_000
SHOWN_SAMPLES = 20
LEVELS = re.compile(r"\b(WARNING|ERROR|CRITICAL|Traceback)\b")


@dataclass(frozen=True)
class Report:
    """One run. Times are seconds of the monotonic clock."""

    scenario: Scenario
    size: Size
    seed: int
    verdict: Verdict
    faults: list[Fault]
    """Those that have happened."""
    planned: int
    began_s: float
    healed_s: float
    settled_s: Times
    memory: dict[str, list[tuple[float, int, int]]]
    """For each process: seconds of the clock, calls that had settled, and bytes."""
    failures: list[str]
    logs: dict[str, str]
    """All that each member has written."""

    def violations(self) -> list[str]:
        """What may never be, however slow the machine is."""
        return [*self.failures, *self.verdict.violations(self.scenario.may_run_twice), *self._growing()]

    def shortfalls(self) -> list[str]:
        """What should not be where the machine is not too slow for the load."""
        found = []
        within_s = self.recovered_s()
        is_judged = self.before_per_s > 0 and self.ended_s - self.healed_s > RECOVERED_WITHIN_S
        if self.faults and is_judged and (within_s is None or within_s > RECOVERED_WITHIN_S):
            when = "never" if within_s is None else f"{within_s:.1f} s later"
            found.append(f"{RECOVERED_SHARE:.0%} of {self.before_per_s:,.0f} calls/s were reached {when}")
        if len(self.faults) < self.planned:
            found.append(f"the load was over after {len(self.faults)} of {self.planned} faults")
        return found

    @property
    def ended_s(self) -> float:
        return float(self.settled_s.max()) if len(self.settled_s) else self.began_s

    @property
    def before_per_s(self) -> float:
        """How fast calls settled before the first fault; without faults, all the time."""
        until_s = self.began_s + self.faults[0].at_s if self.faults else self.ended_s
        return rate_between(self.settled_s, self.began_s + 1.0, until_s)

    def recovered_s(self) -> float | None:
        """How long after the last fault it went as fast again as before the first. None: it did not, up to the end."""
        if not self.faults or not self.before_per_s:
            return None
        return recovery_s(self.settled_s, self.healed_s, self.ended_s, RECOVERED_SHARE * self.before_per_s)

    def recoveries_s(self) -> list[float | None]:
        """The same after each fault. None: the next one came before."""
        wanted_per_s = RECOVERED_SHARE * self.before_per_s
        ends_s = [*(self.began_s + fault.at_s for fault in self.faults[1:]), self.ended_s]
        return [
            recovery_s(self.settled_s, self.began_s + fault.until_s, end_s, wanted_per_s) if wanted_per_s else None
            for fault, end_s in zip(self.faults, ends_s, strict=False)
        ]

    def settled_per_second(self) -> list[int]:
        return per_second(self.settled_s, self.began_s, self.ended_s)

    def growth(self) -> dict[str, float]:
        """How many bytes each process has grown by for each call that settled, after the caches were full.

        Only of those that were there for GROWTH_CALLS calls since.
        """
        warm = WARM_SHARE * self.verdict.accepted
        late = {
            name: [(settled, memory_bytes) for _, settled, memory_bytes in samples if settled >= warm]
            for name, samples in self.memory.items()
        }
        return {
            name: slope(points)
            for name, points in late.items()
            if points and points[-1][0] - points[0][0] >= GROWTH_CALLS
        }

    def _sums(self) -> Iterator[tuple[str, list[int]]]:
        """What the processes of each member needed together, at up to SHOWN_SAMPLES moments."""
        moments = sorted({at_s for samples in self.memory.values() for at_s, _, _ in samples})
        shown = moments[:: -(-len(moments) // SHOWN_SAMPLES) or 1]
        for member in self.logs:
            sums = dict.fromkeys(shown, 0)
            for name, samples in self.memory.items():
                if name.split()[0] == member:
                    for at_s, _, memory_bytes in samples:
                        if at_s in sums:
                            sums[at_s] += memory_bytes
            yield member, list(sums.values())

    def _growing(self) -> list[str]:
        if not self.scenario.watches_memory:
            return []
        return [
            f"{name} grows by {each:.1f} bytes with each call"
            for name, each in self.growth().items()
            if each > GROWTH_BYTES_PER_CALL
        ]

    def complaints(self) -> dict[str, str]:
        """What members have logged, by level."""
        counts = {name: Counter(LEVELS.findall(log)) for name, log in self.logs.items()}
        return {
            name: ", ".join(f"{n} × {level}" for level, n in sorted(count.items())) for name, count in counts.items()
        }

    def table(self) -> str:
        """All of it, for people."""
        recovered_s = self.recovered_s()
        rows = [
            ("scenario", f"{self.scenario.name}, seed {self.seed}"),
            ("faults", f"{len(self.faults)} of {self.planned}"),
            *self.verdict.rows(),
            ("calls/s before", f"{self.before_per_s:,.0f}"),
            ("recovered", "-" if recovered_s is None else f"{recovered_s:.1f} s after the last fault"),
            ("after each, s", " ".join("-" if each is None else f"{each:.1f}" for each in self.recoveries_s())),
            ("settled/s", " ".join(map(str, self.settled_per_second()))),
        ]
        lines = [f"{name:<16}{value}" for name, value in rows]
        lines += [f"MiB {name:<16}" + " ".join(f"{each / 2**20:.0f}" for each in sums) for name, sums in self._sums()]
        lines += [f"B/call {name:<22}{each:+.2f}" for name, each in self.growth().items()]
        lines += [f"{'log':<4}{name:<22}{said}" for name, said in self.complaints().items() if said]
        lines += [f"VIOLATED        {each}" for each in self.violations()]
        lines += [f"FALLS SHORT     {each}" for each in self.shortfalls()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it, for programs. Times are seconds since the load began."""
        return {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "calls": self.size.calls,
            "faults": [
                {
                    "kind": fault.kind,
                    "target": fault.target,
                    "at_s": fault.at_s,
                    "lasts_s": fault.lasts_s,
                    "cuts": fault.cuts,
                }
                for fault in self.faults
            ],
            "planned_faults": self.planned,
            "verdict": dict(self.verdict.rows()),
            "before_per_s": self.before_per_s,
            "recovered_s": self.recovered_s(),
            "recoveries_s": self.recoveries_s(),
            "settled_per_second": self.settled_per_second(),
            "memory": {
                name: [
                    (round(at_s - self.began_s, 2), settled, memory_bytes) for at_s, settled, memory_bytes in samples
                ]
                for name, samples in self.memory.items()
            },
            "growth_bytes_per_call": self.growth(),
            "complaints": self.complaints(),
            "violations": self.violations(),
            "shortfalls": self.shortfalls(),
        }
