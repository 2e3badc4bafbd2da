"""Messages that an actor sends itself later."""

from __future__ import annotations

from typing import Any

from actorq.actors.envelope import Envelope
from actorq.actors.mailbox import Mailbox


class Timer(Envelope):
    """A message for later, once or periodically. It stands in the mailbox once at most, and is not bound by its limit.

    After `cancel` the message is not handled any more, also if its time had come.
    """

    __slots__ = ("_mailbox", "_queued", "_timers", "_watcher", "active", "repeats")

    def __init__(self, message: Any, mailbox: Mailbox, watcher: Any, repeats: bool, timers: Timers) -> None:
        super().__init__(message)
        self.active = True
        """Whether its message is still to be handled."""
        self.repeats = repeats
        self._mailbox = mailbox
        self._watcher = watcher
        self._timers = timers
        self._queued = False
        watcher.start(self._fire, update=True)

    def cancel(self) -> None:
        """Do not send the message. From the actor's own native thread; does nothing if it is over."""
        self.active = False
        self._watcher.close()
        self._timers.forget(self)

    def open(self) -> bool:
        self._queued = False
        wanted = self.active
        if not self.repeats:
            self.cancel()
        return wanted

    def discard(self, error: Exception) -> None:
        self.cancel()

    def _fire(self) -> None:
        if not self._queued:
            self._queued = True
            self._mailbox.signal(self)


class Timers:
    """The timers of one incarnation of an actor."""

    __slots__ = ("_loop", "_mailbox", "_running")

    def __init__(self, mailbox: Mailbox) -> None:
        self._loop = mailbox.gate.hub.loop
        self._mailbox = mailbox
        self._running: set[Timer] = set()

    def after(self, delay_s: float, message: Any) -> Timer:
        """Send `message` once, not before `delay_s`."""
        return self._start(message, self._loop.timer(max(delay_s, 0.0)), False)

    def every(self, period_s: float, message: Any) -> Timer:
        """Send `message` after each `period_s`; those for which the actor has no time are left out."""
        if period_s <= 0:
            raise ValueError(f"a period must be longer than {period_s:g} s")
        return self._start(message, self._loop.timer(period_s, period_s), True)

    def forget(self, timer: Timer) -> None:
        self._running.discard(timer)

    def cancel_all(self) -> None:
        for timer in list(self._running):
            timer.cancel()

    def _start(self, message: Any, watcher: Any, repeats: bool) -> Timer:
        timer = Timer(message, self._mailbox, watcher, repeats, self)
        self._running.add(timer)
        return timer
