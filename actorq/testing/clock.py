"""The time of a mesh in the test's process: it stands still until the test lets it pass, or waits for something."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from actorq.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from actorq.testing.scheduler import Scheduler


class Clock:
    """What time it is in the mesh. Neither `time.time` nor any other clock of the process changes with it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._scheduler.wall_s, timezone.utc)

    @property
    def elapsed_s(self) -> float:
        """Seconds that have passed since the mesh was opened."""
        return self._scheduler.loop.now_s

    def advance(self, by: float | timedelta) -> None:
        """Let time pass, in seconds or as a timedelta, and all that happens meanwhile happen.

        In a task it is the task that takes so long: its time limits apply, and other calls run meanwhile.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if not 0 <= seconds < float("inf"):
            raise ImproperlyConfigured(f"time passes by a number of seconds from 0 on, and not by {by!r}")
        self._scheduler.pass_time(seconds)
