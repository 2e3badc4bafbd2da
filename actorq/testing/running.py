"""A running call, in a mesh in the test's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenlet import greenlet

from actorq.wire.records import Call, Note
from actorq.worker.jobs import Job
from actorq.worker.slots import NO_CALL

if TYPE_CHECKING:
    from actorq.testing.pool import Pool


class Run:
    """See `actorq.context.Running`. It has a slot of its worker's, unless it waits for others."""

    def __init__(self, pool: Pool, node: str, call: Call, job: Job, started_s: float) -> None:
        self.call = call
        """NO_CALL once it has ended."""
        self.job, self.spec, self.node, self.started_s = job, job.spec, node, started_s
        self.greenlet: greenlet | None = None
        """Of a plain function."""
        self.task: Any = None
        """Of a coroutine, as asyncio has it."""
        self.wanted: BaseException | None = None
        """What a coroutine is to get in place of the CancelledError that is under way."""
        self.value: Any = None
        """What it has returned, for the log."""
        self._pool = pool
        self._pauses = 0

    def note(self, value: Any) -> None:
        """Keep what it has returned."""
        self.value = value

    def tell(self, note: Note) -> None:
        """Pass on what the task says of itself."""
        self._pool.tell(self.call, note)

    def is_cancelled(self) -> bool:
        """Whether the call was revoked, and runs on."""
        return self.call.id in self._pool.cancelled

    def pause(self) -> None:
        """It waits for others: its slot is free meanwhile."""
        if self.call is NO_CALL or not self._pool.is_own_thread():
            return  # What outlived its call, or runs on a thread of its own, holds no slot.
        self._pauses += 1
        if self._pauses == 1:
            self._pool.leave()

    def resume(self) -> None:
        """The wait is over. A plain function goes on when there is a slot; a coroutine must not keep the others waiting."""
        if not self._pauses or not self._pool.is_own_thread():
            return
        self._pauses -= 1
        if not self._pauses:
            self._pool.enter(wait=self.task is None)

    def end(self) -> None:
        """It has ended: its slot is free."""
        self.call = NO_CALL
        if self._pauses:
            self._pauses = 0
            self._pool.enter(wait=False)
