"""How often a supervisor may start children again before it gives up."""

from __future__ import annotations

from collections import deque

from actorq.errors import ImproperlyConfigured


class RestartBudget:
    """At most `intensity` restarts within any `period_s`. Source: restart intensity of OTP's supervisors."""

    def __init__(self, intensity: int, period_s: float) -> None:
        if intensity < 0 or period_s <= 0:
            raise ImproperlyConfigured(
                f"a supervisor needs intensity >= 0 and period_s > 0, not {intensity} and {period_s:g}"
            )
        self.intensity = intensity
        self.period_s = period_s
        self._spent_s: deque[float] = deque()

    def spend(self, now_s: float) -> bool:
        """Count one restart. Returns whether it is allowed."""
        self._spent_s.append(now_s)
        while self._spent_s[0] <= now_s - self.period_s:
            self._spent_s.popleft()
        return len(self._spent_s) <= self.intensity
