"""Slots: what a running call has of the pool, and the way in which it steps aside while it waits for other calls."""

from __future__ import annotations

from contextvars import Context
from types import FrameType
from typing import TYPE_CHECKING, Any

from actorq.context import current
from actorq.wire.records import Call, CallSpec, Note

if TYPE_CHECKING:
    from actorq.worker.base import Pool
    from actorq.worker.pool import GreenPool

NO_CALL = Call("", 0, b"")
"""Stands in a slot that runs nothing."""
NO_SPEC = CallSpec("")


class BaseSlot:
    """The running call of one of the pool's greenlets or threads, again and again (see `actorq.context.Running`).

    Written by what runs the calls only. The watchdog's thread reads `call`, then `spec` and `started_s`, and then
    `call` again: each attempt is an object of its own, and the others are set before it, so if `call` is still the
    same, they belong together.
    """

    __slots__ = (
        "call",
        "context",
        "ending",
        "frame",
        "node",
        "pauses",
        "pool",
        "spec",
        "spoken_s",
        "started_s",
        "value",
    )

    def __init__(self, pool: Pool, node: str, context: Context) -> None:
        self.pool = pool
        self.call = NO_CALL
        self.spec = NO_SPEC
        self.node = node
        self.started_s = 0.0
        """When the call started, monotonic."""
        self.ending = NO_CALL
        """The call that the watchdog has ordered to end."""
        self.spoken_s = -1.0
        """`started_s` of the call that was the last to say something of itself. (Not the call: it may be large.)"""
        self.pauses = 0
        """Waits that are going on: of the task, or of greenlets or threads that share its context."""
        self.context = context.copy()
        """What the context of each call is copied from."""
        self.context.run(current.set, self)
        self.frame: FrameType | None = None
        """The frame below all that the greenlet or thread runs: tells whose code a native thread's stack is."""
        self.value: Any = None
        """What the call has returned, until it is logged."""

    def note(self, value: Any) -> None:
        """Keep what the call has returned, for the log."""
        self.value = value

    def tell(self, note: Note) -> None:
        """Pass on what the task says of itself. From any thread."""
        self.spoken_s = self.started_s
        self.pool.tell(self.call, note)

    def has_spoken(self) -> bool:
        """Whether the call has said something of itself. From any thread."""
        return self.spoken_s == self.started_s

    def is_cancelled(self) -> bool:
        """Whether the call was revoked, or is to end now. From any thread."""
        return self.ending is self.call or self.call.id in self.pool.cancelled

    def pause(self) -> None:
        """The task waits for other calls: another call may have its slot."""
        raise NotImplementedError

    def resume(self) -> None:
        """The wait is over. Returns when there is a slot."""
        raise NotImplementedError


class Slot(BaseSlot):
    """The slot of a greenlet. Written by the hub's thread."""

    __slots__ = ("greenlet", "is_called")

    pool: GreenPool

    def __init__(self, pool: GreenPool, node: str, context: Context) -> None:
        super().__init__(pool, node, context)
        self.greenlet: Any = None
        self.is_called = False
        """Whether the pool has switched to its greenlet, so that nobody else's switch is taken for it."""

    def pause(self) -> None:
        """The task waits for other calls: another call may have its slot."""
        if self.call is NO_CALL or not self.pool.is_own_thread():
            return  # What outlived its call, or runs on a thread of its own, holds no slot.
        self.pauses += 1
        if self.pauses == 1:
            self.pool.leave()

    def resume(self) -> None:
        """The wait is over. Returns when there is a slot; resumed tasks come before new calls."""
        if not self.pauses or not self.pool.is_own_thread():
            return
        self.pauses -= 1
        if not self.pauses:
            self.pool.enter()
