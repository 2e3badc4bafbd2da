"""Virtual time: what is to happen, in order."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

Run = Callable[[], object]


class Loop:
    """A heap of events by time, and by the order in which they were scheduled."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events = 0
        self._heap: list[tuple[float, int, Run]] = []
        self._count = 0

    def after(self, delay_s: float, run: Run) -> None:
        """Have `run` called in `delay_s`."""
        self.at(self.now_s + delay_s, run)

    def at(self, when_s: float, run: Run) -> None:
        """Have `run` called then."""
        self._count += 1
        heapq.heappush(self._heap, (when_s, self._count, run))

    def next_s(self) -> float:
        """When something happens next. Infinity: nothing is scheduled."""
        return self._heap[0][0] if self._heap else math.inf

    def run_until(self, end_s: float) -> None:
        """Let everything happen up to `end_s`."""
        heap = self._heap
        while heap and heap[0][0] <= end_s:
            self.now_s, _, run = heapq.heappop(heap)
            self.events += 1
            run()
        self.now_s = end_s
