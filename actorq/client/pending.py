"""A call that waits for its outcome, as the session sees it."""

from __future__ import annotations

import logging
from typing import Any

from actorq.wire.messages import Call, Outcome

logger = logging.getLogger("actorq.client")


class Pending:
    """Shared by the user's threads and the session's: the session sets `outcome` and then notifies, waiters register
    and then look at `outcome`; so neither misses the other.

    Subclassed by AsyncResult, so that a call costs one object in the user's process.
    """

    __slots__ = ("__weakref__", "call", "error", "id", "outcome", "waiters")

    def __init__(self, task_id: str, call: Call | None) -> None:
        self.id = task_id
        self.call = call
        """Kept to be sent again while it is ours to lose; None for a call that another process submitted."""
        self.outcome: Outcome | None = None
        self.error: Exception | None = None
        """Set instead of `outcome` when the mesh did not take the call."""
        self.waiters: list[Any] | None = None

    def is_settled(self) -> bool:
        """Whether it has ended, or will never run."""
        return self.outcome is not None or self.error is not None

    def fail(self, error: Exception) -> None:
        """Called by the session, once: the call will not run."""
        self.error = error
        self.call = None
        if self.waiters is not None:
            self.notify()

    def settle_as(self, other: Pending) -> None:
        """Called when `other`, of the same call, has settled."""
        self.outcome, self.error = other.outcome, other.error
        self.call = None
        if self.waiters is not None:
            self.notify()

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
