"""A call that waits for its outcome, as the session sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from actorq.wire.frames import body_of
from actorq.wire.payload import encode_failure
from actorq.wire.records import FAILURE, SUCCESS, Call, Outcome, Plan

logger = logging.getLogger("actorq.client")


class Pending(Struct, gc=False, eq=False):
    """Shared by the user's threads and the session's: the session sets `outcome` and then notifies, waiters register
    and then look at `outcome`; so neither misses the other.

    Subclassed by AsyncResult, so that a call costs one object in the user's process. One that the cyclic garbage
    collector does not look at: it would go through all of them again and again while a program submits. So nothing in
    here may lead back to here for good. Waiters may; they are let go when the call settles.
    """

    id: str
    call: Call | Plan | None
    """Kept to be sent again while it is ours to lose: the call, or the workflow that it belongs to. None for a call that
    another process submitted."""
    outcome: Outcome | None = None
    """How it ended; for a call that the mesh did not take, a failure that was made here."""
    waiters: list[Callable[[], None]] | None = None

    def is_settled(self) -> bool:
        """Whether it has ended, or will never run."""
        return self.outcome is not None

    def is_refused(self) -> bool:
        """Whether it failed before it was ever delivered."""
        return self.outcome is not None and self.outcome.state == FAILURE and not self.outcome.attempt

    def settle(self, outcome: Outcome) -> None:
        """Called once: this is how it has ended."""
        self.outcome = outcome
        self.call = None
        if self.waiters is not None:
            self.notify()

    def fail(self, error: Exception) -> None:
        """Called by the session, once: the call will not run."""
        self.settle(failed(self.id, encode_failure(error, "")))

    def notify(self) -> None:
        """Tell everyone who waits. By the session, and by whoever has registered after the call had settled: each
        waiter is taken out by one of them, and so told once. Never raises: a waiter's failure is logged.
        """
        waiters = self.waiters
        while waiters:
            try:
                waiter = waiters.pop(0)
            except IndexError:
                return
            try:
                waiter()
            except Exception:
                logger.exception("whoever waits for %s cannot be told that it has settled", self.id)


class CountsFailures(Protocol):
    """Where calls settle."""

    failures: int
    """How many have ended without a value."""


class Failures:
    """Whether one of these calls has ended without a value. They are gone through once, and when some call has."""

    def __init__(self, counts: CountsFailures, pendings: Sequence[Pending]) -> None:
        self._counts, self._pendings = counts, pendings
        self._seen = -1

    def has_come(self) -> bool:
        """To be asked again after each that comes."""
        count = self._counts.failures
        if count == self._seen:
            return False
        self._seen = count
        for each in self._pendings:  # noqa: SIM110 - They may be very many, and a generator takes twice the time.
            if each.outcome is not None and each.outcome.state != SUCCESS:
                return True
        return False


def failed(task_id: str, failure: bytes) -> Outcome:
    """The outcome of a call that was never delivered."""
    return Outcome(task_id, 0, FAILURE, body_of(failure))
