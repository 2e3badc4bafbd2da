"""The pool of native threads, for code that blocks in C: it keeps its own thread, and neither the hub nor other calls.

The hub decides which call starts, and hands it to an idle thread, so that what waits in `ready` is only taken by the
hub, as with the green pool. What a thread has to say goes to the hub through a queue with an async watcher (`HubGate`).

A call is made to end by raising an exception in its thread between two bytecodes. That must never come to another call:
it is ordered, and taken back when the call has ended, under a lock of the slot. In C code nothing is raised; the
watchdog replaces the process in the end.

For processes that are not monkey-patched.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import suppress
from contextvars import Context
from enum import Enum
from time import monotonic
from types import FrameType

from actorq.native import Bell, NativeBell, PatientBell
from actorq.wire.records import Call, Outcome
from actorq.worker import lines
from actorq.worker.async_raise import raise_in, raise_nothing_in
from actorq.worker.base import Deliver, InHub, Pool, Ready, Run, cause_of, is_above, log_failure, log_safely, outcome_of
from actorq.worker.jobs import Job, Note, traceback_text
from actorq.worker.slots import NO_CALL, BaseSlot

logger = logging.getLogger("actorq.worker")


class Place(Enum):
    """What a running call has of the pool."""

    HELD = "a slot"
    AWAY = "none, as it waits for other calls"
    REQUESTED = "none yet"


class ThreadPool(Pool):
    """Runs calls on native threads, and ``async def`` tasks on the hub's loop."""

    def __init__(self, ready: Ready, node: str, concurrency: int, deliver: Deliver, in_hub: InHub) -> None:
        super().__init__(ready, node, concurrency, deliver, in_hub)
        self._returned: deque[Outcome] = deque()
        """Outcomes that the hub has not heard of."""

    # -- for the watchdog ----------------------------------------------------------------------------------------

    def unreported(self) -> list[Outcome]:
        returned = list(self._returned)  # First these: they move to `finished`.
        return returned + self.finished.copy()

    def needs_hub(self, run: Run) -> bool:
        return not isinstance(run, ThreadSlot)

    def is_on_cpu(self, run: Run) -> bool:
        return not isinstance(run, ThreadSlot) and super().is_on_cpu(run)

    def leave_to_parent(self) -> None:
        super().leave_to_parent()
        self.in_hub = lambda *_: os._exit(0)

    def _end_slot(self, slot: ThreadSlot, call: Call, error: BaseException) -> bool:
        return slot.end(call, error)

    def _is_current_slot(self, slot: ThreadSlot) -> bool:
        return False  # Signal handlers interrupt the main thread.

    def _frame_of(self, run: Run) -> tuple[FrameType | None, FrameType | None]:
        if not isinstance(run, ThreadSlot):
            return super()._frame_of(run)
        frame = sys._current_frames().get(run.ident)
        return (frame, run.frame) if is_above(frame, run.frame) else (None, None)

    # -- slots: what a thread asks for, and may not have said in full when it was interrupted ---------------------

    def leave_slot(self, slot: ThreadSlot) -> None:
        """A call waits for others."""
        if slot.place is Place.HELD:
            slot.place = Place.AWAY
            self.leave()

    def request_slot(self, slot: ThreadSlot) -> None:
        """A call wants to go on."""
        if slot.place is Place.AWAY:
            slot.place = Place.REQUESTED
            self.paused -= 1
            self._flush_soon()
            self._resuming.append(slot)
            self.wake()

    def _grant(self, slot: ThreadSlot) -> None:
        self.active += 1
        slot.place = Place.HELD
        slot.granted.ring()

    # -- running -------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        self._feed_due = False
        self._is_verbose = lines.is_verbose()
        while self.active < self.concurrency:
            if self._resuming:
                self._grant(self._resuming.popleft())
            elif self._ready:
                slot = self._idle.pop() if self._idle else self._new_slot()
                if slot is None or not self._hand_over(slot):
                    return
            else:
                return

    def _new_slot(self) -> ThreadSlot | None:
        slot = ThreadSlot(self, self._node, self._context)
        try:
            threading.Thread(target=self._serve, args=(slot,), name="actorq-call", daemon=True).start()
        except RuntimeError as error:
            logger.error("no thread can be started for a call, which waits for one that runs to end: %s", error)
            return None
        self.slots.add(slot)
        return slot

    def _hand_over(self, slot: ThreadSlot) -> bool:
        """Give the next call to an idle thread. False if there was none after all: the watchdog may have taken it."""
        while True:
            try:
                call, job = self._ready.popleft()
            except IndexError:
                self._idle.append(slot)
                return False
            if not self._has_expired(call, job):
                break
        self.active += 1
        job.runs += 1
        slot.work = call, job
        slot.bell.ring()
        return True

    def _take_back(self, slot: ThreadSlot) -> None:
        """A thread is idle again."""
        while self._returned:
            self.finished.append(self._returned.popleft())
        self._flush_soon()
        if slot.place is Place.REQUESTED:  # It was made to end while it waited for a slot.
            self._resuming.remove(slot)
            self._grant(slot)
        elif slot.place is Place.AWAY:
            slot.place = Place.HELD
            self.enter_at_once()
        if len(self._idle) >= self.concurrency:  # It was added because others waited.
            self.slots.discard(slot)
            slot.bell.ring()
        else:
            self._idle.append(slot)
        self._free_slot()

    def _take_coroutine(self, slot: ThreadSlot, call: Call, job: Job) -> None:
        """A call was found to be one of a coroutine function, when that was loaded."""
        job.runs -= 1
        self._start_coroutine(call, job)
        self._take_back(slot)

    # -- in the threads ------------------------------------------------------------------------------------------

    def _serve(self, slot: ThreadSlot) -> None:
        slot.ident = threading.get_ident()
        slot.frame = sys._getframe()
        while True:
            slot.bell.wait(None)
            if slot.work is None:
                return
            (call, job), slot.work = slot.work, None
            job.resolve()
            if job.is_coroutine:
                self.in_hub(self._take_coroutine, slot, call, job)
            else:
                self._serve_call(slot, call, job)
                self.in_hub(self._take_back, slot)
            del call, job

    def _serve_call(self, slot: ThreadSlot, call: Call, job: Job) -> None:
        """Run a call, and note its outcome."""
        note = slot.note if self._is_verbose else None
        slot.spec, slot.started_s, slot.pauses = job.spec, monotonic(), 0
        try:
            ended = self._run(slot, call, job, note)
        except BaseException as error:  # A second one came while the first one was seen to.
            slot.close_surely()
            ended = error
        outcome: Outcome | None
        if isinstance(ended, BaseException):
            text = traceback_text(cause_of(ended))
            outcome = outcome_of(call, job, ended, text)
            log_safely(log_failure, call, job, ended, text)
        else:
            outcome = ended
            if note is not None:
                log_safely(lines.succeeded, job.spec, call, monotonic() - slot.started_s, slot.value, job.longest_repr)
        slot.value = None
        if outcome is not None:
            self._returned.append(outcome)

    def _run(self, slot: ThreadSlot, call: Call, job: Job, note: Note | None) -> Outcome | BaseException:
        outcome: Outcome | None = None
        try:
            slot.call = call  # From here to the end of `close` an exception may be raised at any place.
            outcome = slot.context.copy().run(job.run, call, note)
            slot.close()
            return outcome
        except BaseException as error:
            slot.close_surely()
            return outcome or error


class ThreadSlot(BaseSlot):
    """The slot of a native thread. Written by that thread, unless it says otherwise."""

    __slots__ = ("bell", "granted", "ident", "lock", "place", "work")

    pool: ThreadPool

    def __init__(self, pool: ThreadPool, node: str, context: Context) -> None:
        super().__init__(pool, node, context)
        self.ident = 0
        """Of the native thread."""
        self.lock = threading.Lock()
        """Held while an exception is ordered in the thread, and while its call ends."""
        self.bell = NativeBell()
        """Rung by the hub when there is something in `work`, or it has to end."""
        self.granted: Bell = self.bell
        """Rung by the hub when a call that has waited may go on. Each wait has one of its own."""
        self.place = Place.HELD
        """Of a call that runs. Written by the hub."""
        self.work: tuple[Call, Job] | None = None
        """The next call. Set by the hub."""

    def end(self, call: Call, error: BaseException) -> bool:
        """Have `error` raised in `call`, if it still runs. Returns whether it does. From any thread."""
        with self.lock:
            if self.call is not call:
                return False
            raise_in(self.ident, error)
            return True

    def close(self) -> None:
        """The call has ended: nothing is raised in it, or in the next one, from now on."""
        with self.lock:
            self.call = NO_CALL
            raise_nothing_in(self.ident)

    def close_surely(self) -> None:
        """`close`, also if that is interrupted by what it is to keep away."""
        while self.call is not NO_CALL:
            with suppress(BaseException):
                self.close()

    def pause(self) -> None:
        if self.call is NO_CALL or not self._is_own_thread():
            return  # What outlived its call, or runs on a thread of its own, holds no slot.
        self.pauses += 1
        if self.pauses == 1:
            self.pool.in_hub(self.pool.leave_slot, self)

    def resume(self) -> None:
        if not self.pauses or not self._is_own_thread():
            return
        self.pauses -= 1
        if self.pauses:
            return
        self.granted = PatientBell()
        self.pool.in_hub(self.pool.request_slot, self)
        self.granted.wait(None)

    def _is_own_thread(self) -> bool:
        return threading.get_ident() == self.ident
