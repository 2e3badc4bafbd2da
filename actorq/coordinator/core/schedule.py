"""Calls that wait for a time: to be queued (ETA), or to be given up (expiry)."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from actorq.wire.records import Call

PRUNE_AT = 64


class Schedule:
    """A heap of calls by Unix time. A call that is gone by then is recognised by whoever pops it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Call]] = []
        self._count = 0
        self._prune_at = PRUNE_AT

    def add(self, when_s: float, call: Call) -> None:
        """Have `call` popped at `when_s`, after those that were added earlier for the same time."""
        self._count += 1
        heapq.heappush(self._heap, (when_s, self._count, call))

    def pop_due(self, wall_s: float) -> list[Call]:
        """The calls whose time has come, in order of time."""
        due = []
        heap = self._heap
        while heap and heap[0][0] <= wall_s:
            due.append(heapq.heappop(heap)[2])
        return due

    def calls(self) -> list[Call]:
        """All that are there, in no order; also those that are gone, and those that wait for several times twice."""
        return [call for _, _, call in self._heap]

    def prune(self, is_live: Callable[[Call], bool]) -> None:
        """Forget the calls that are gone, if the heap has grown to twice of what was left the last time."""
        if len(self._heap) >= self._prune_at:
            self._heap = [entry for entry in self._heap if is_live(entry[2])]
            heapq.heapify(self._heap)
            self._prune_at = 2 * len(self._heap) + PRUNE_AT

    def next_s(self) -> float | None:
        """Unix time of the first entry."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)
