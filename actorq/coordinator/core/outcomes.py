"""Outcomes of settled calls, kept for look-ups within bounds of count, bytes and age."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from actorq.wire.records import Outcome

GENERATIONS = 8


class _Generation:
    __slots__ = ("bytes", "opened_s", "outcomes")

    def __init__(self, opened_s: float) -> None:
        self.opened_s = opened_s
        self.outcomes: dict[str, Outcome] = {}
        self.bytes = 0


class OutcomeCache:
    """Bounded by dropping the oldest eighth at once: no bookkeeping per outcome.

    At least 7/8 of each bound are kept, never more than the bound (plus one batch).
    """

    def __init__(self, count: int, size_bytes: int, age_s: float) -> None:
        self._count = max(count // GENERATIONS, 1)
        self._bytes = max(size_bytes // GENERATIONS, 1)
        self._age_s = age_s
        self._generations: deque[_Generation] = deque()

    def add(self, outcomes: Sequence[Outcome], now_s: float) -> None:
        """Keep these. Of two with one id the later one is found.

        A call settles once, so there are two only where a client has sent an old id again, and said that it is fresh.
        """
        newest = self._newest(now_s)
        kept = newest.outcomes
        for outcome in outcomes:
            kept[outcome.id] = outcome
        newest.bytes += sum([len(outcome.body) for outcome in outcomes])

    def get(self, task_id: str) -> Outcome | None:
        """The outcome of a call, or None if it has not settled or was dropped since."""
        for generation in reversed(self._generations):
            outcome = generation.outcomes.get(task_id)
            if outcome is not None:
                return outcome
        return None

    def forget(self, task_id: str) -> bool:
        """Drop the outcome of a call. False if it is not here."""
        forgotten = False
        for generation in self._generations:
            outcome = generation.outcomes.pop(task_id, None)
            if outcome is not None:
                generation.bytes -= len(outcome.body)
                forgotten = True
        return forgotten

    def all(self) -> list[Outcome]:
        """All that are kept, the oldest first."""
        return [outcome for generation in self._generations for outcome in generation.outcomes.values()]

    def expire(self, now_s: float) -> None:
        """Drop generations that are over age."""
        while self._generations and now_s - self._generations[0].opened_s > self._age_s:
            self._generations.popleft()

    def __len__(self) -> int:
        return sum(len(generation.outcomes) for generation in self._generations)

    def _newest(self, now_s: float) -> _Generation:
        generations = self._generations
        if generations:
            newest = generations[-1]
            age_s = now_s - newest.opened_s
            if len(newest.outcomes) < self._count and newest.bytes < self._bytes and age_s * GENERATIONS < self._age_s:
                return newest
        generations.append(_Generation(now_s))
        if len(generations) > GENERATIONS:
            generations.popleft()
        return generations[-1]
