"""Whether a history is one that the mesh may have: as Jepsen's total-queue checker does it, over multisets of calls.

It does no I/O and knows nothing of how a history came about.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tests.cluster.history import Numbers

SHOWN = 10
"""Calls that are named of each kind of violation."""


def _none() -> Numbers:
    return np.empty(0, np.uint64)


@dataclass(frozen=True)
class History:
    """Numbers of calls, in any order; see `tests.cluster.ledger` for what each says."""

    attempted: Numbers
    accepted: Numbers
    settled: Numbers
    executed: Numbers
    """With each call as often as it has run."""
    unknown: Numbers = field(default_factory=_none)
    wrong: Numbers = field(default_factory=_none)


@dataclass(frozen=True)
class Verdict:
    """What there is in a history. Counts are of different calls."""

    attempted: int
    accepted: int
    settled: int
    executed: int
    lost: Numbers
    """Accepted, and neither settled nor ended in another way."""
    unexpected: Numbers
    """Run or settled, and never attempted."""
    unfounded: Numbers
    """Settled, and never run."""
    wrong: Numbers
    """Settled, with something else than the task's value."""
    duplicated: dict[int, int]
    """How many calls have run how often, of those that have run more than once."""
    recovered: int
    """Not known to be accepted when they were submitted, and run."""

    def violations(self, may_run_twice: bool = True) -> list[str]:
        """What the mesh has promised not to do, and has done. Nothing if all is well."""
        found = [
            f"{len(calls):,} calls {text}: {_some(calls)}"
            for calls, text in (
                (self.lost, "lost: accepted and never settled"),
                (self.unexpected, "unexpected: never attempted"),
                (self.unfounded, "settled without having run"),
                (self.wrong, "settled with something else than their value"),
            )
            if len(calls)
        ]
        if self.duplicated and not may_run_twice:
            found.append(f"{sum(self.duplicated.values()):,} calls ran more than once: {_times(self.duplicated)}")
        return found

    def rows(self) -> list[tuple[str, str]]:
        """For a table."""
        return [
            ("attempted", f"{self.attempted:,}"),
            ("accepted", f"{self.accepted:,}"),
            ("settled", f"{self.settled:,}"),
            ("executed", f"{self.executed:,}"),
            ("lost", f"{len(self.lost):,}"),
            ("unexpected", f"{len(self.unexpected):,}"),
            ("unfounded", f"{len(self.unfounded):,}"),
            ("wrong", f"{len(self.wrong):,}"),
            ("duplicated", _times(self.duplicated) or "0"),
            ("recovered", f"{self.recovered:,}"),
        ]


def judge(history: History) -> Verdict:
    """Compare what was promised with what has happened. Numbers that clients have used should be small."""
    said = (history.attempted, history.accepted, history.unknown)
    size = max((int(each.max()) + 1 for each in said if len(each)), default=0)
    attempted, accepted, unknown = (_times_each(each, size) > 0 for each in said)
    settled, wrong = (_times_each(each, size) > 0 for each in (history.settled, history.wrong))
    times = _times_each(history.executed, size)
    executed, ended = times > 0, settled | wrong
    strangers = [each[each >= size] for each in (history.executed, history.settled, history.wrong)]
    how_often = np.bincount(times).tolist()
    return Verdict(
        attempted=int(attempted.sum()),
        accepted=int(accepted.sum()),
        settled=int(settled.sum()),
        executed=int(executed.sum()),
        lost=_numbers_of(accepted & ~ended),
        unexpected=np.concatenate([_numbers_of((executed | ended) & ~attempted), np.unique(np.concatenate(strangers))]),
        unfounded=_numbers_of(settled & ~executed),
        wrong=_numbers_of(wrong),
        duplicated={count: calls for count, calls in enumerate(how_often) if count > 1 and calls},
        recovered=int((unknown & ~accepted & executed).sum()),
    )


def _times_each(numbers: Numbers, size: int) -> npt.NDArray[np.intp]:
    """How often each number below `size` is among these."""
    return np.bincount(numbers[numbers < size].astype(np.intp), minlength=size)


def _numbers_of(flags: npt.NDArray[np.bool_]) -> Numbers:
    return np.flatnonzero(flags).astype(np.uint64)


def _some(calls: Numbers) -> str:
    return ", ".join(map(str, calls[:SHOWN].tolist())) + (", …" if len(calls) > SHOWN else "")


def _times(duplicated: dict[int, int]) -> str:
    return ", ".join(f"{calls:,} calls {times} times" for times, calls in sorted(duplicated.items()))
