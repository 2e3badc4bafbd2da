"""When calls came, by their numbers: no time is kept for each call."""

from __future__ import annotations

from bisect import bisect_left

RESOLUTION_S = 0.25
"""Calls that came within so long are taken for one age."""
NOTES_KEPT = 4096
"""With more, every second one is forgotten: what is old is known less exactly."""


class Ages:
    """Notes now and then which number was the last one."""

    def __init__(self) -> None:
        self._seqs: list[int] = [0]
        self._times_s: list[float] = [0.0]

    def note(self, seq: int, now_s: float) -> None:
        """All calls up to `seq` are here now."""
        if seq == self._seqs[-1]:
            return
        if now_s - self._times_s[-1] < RESOLUTION_S:
            self._seqs[-1] = seq
            return
        self._seqs.append(seq)
        self._times_s.append(now_s)
        if len(self._seqs) > NOTES_KEPT:
            self._seqs = self._seqs[::-2][::-1]
            self._times_s = self._times_s[::-2][::-1]

    def came_s(self, seq: int) -> float:
        """When the call with that number came."""
        return self._times_s[min(bisect_left(self._seqs, seq), len(self._times_s) - 1)]
