"""The green pool: greenlets that run call after call.

A greenlet is not made for each call (9 µs), and not woken for each call (0.5 µs): `_feed` runs in the hub and switches
to one idle greenlet, which runs calls until it blocks in one, until its time slice is over, or until no call is left.
Only when it blocks does `_feed` come to the next idle one. So a batch of short calls takes one switch, and a batch of
waiting ones takes as many greenlets as it has calls.

At the end of a slice the rest waits for a timer of 0 s, not for `run_callback`: gevent runs up to 50 callbacks that add
themselves again before it looks at sockets and timers.
"""

from __future__ import annotations

import logging
import sys
from time import monotonic
from types import FrameType
from typing import Any

from gevent import Greenlet, GreenletExit, getcurrent

from actorq.wire.records import Call, Outcome
from actorq.worker import lines
from actorq.worker.base import Deliver, InHub, Pool, Ready, Run, cause_of, log_failure, log_safely, outcome_of
from actorq.worker.jobs import Job, traceback_text
from actorq.worker.slots import NO_CALL, Slot

SLICE_S = 0.002
"""For how long calls run one after another before the hub takes a turn: sockets, timers, what has finished."""
FLUSH_COUNT = 512
"""And how many, at the most."""

logger = logging.getLogger("actorq.worker")


class GreenPool(Pool):
    """Runs calls in greenlets of the hub."""

    def __init__(self, ready: Ready, node: str, concurrency: int, deliver: Deliver, in_hub: InHub) -> None:
        super().__init__(ready, node, concurrency, deliver, in_hub)
        self._slice_ends_s = 0.0

    # -- for the watchdog ----------------------------------------------------------------------------------------

    def _end_slot(self, slot: Slot, call: Call, error: BaseException) -> bool:
        slot.greenlet.throw(error)
        return True

    def _is_current_slot(self, slot: Slot) -> bool:
        return bool(getcurrent() is slot.greenlet)

    def _frame_of(self, run: Run) -> tuple[FrameType | None, FrameType | None]:
        if isinstance(run, Slot) and not self.is_on_cpu(run):
            return run.greenlet.gr_frame, run.frame
        return super()._frame_of(run)

    # -- for slots -----------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """A call goes on. Returns when it has a slot."""
        if self.active < self.concurrency:
            self.enter_at_once()
            return
        self.paused -= 1
        self._flush_soon()
        ticket = _Ticket(getcurrent())
        self._resuming.append(ticket)
        try:
            while not ticket.granted:
                self._hub.switch()
        except BaseException:  # It is made to end, and runs on to its end, be it beyond the number of slots.
            if not ticket.granted:
                self._resuming.remove(ticket)
                self.active += 1
            raise

    # -- running -------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Let calls run, for one slice. In the hub; `wake` does nothing meanwhile."""
        ready, resuming, idle = self._ready, self._resuming, self._idle
        self._is_verbose = lines.is_verbose()
        self._slice_ends_s = monotonic() + SLICE_S
        while self.active < self.concurrency:
            if resuming:
                ticket = resuming.popleft()
                ticket.granted = True
                greenlet = ticket.greenlet
            elif ready:
                slot = idle.pop() if idle else self._new_slot()
                slot.is_called = True
                greenlet = slot.greenlet
            else:
                break
            self.active += 1
            greenlet.switch()  # Returns when it blocks, or is idle.
            is_over = monotonic() >= self._slice_ends_s or len(self.finished) >= FLUSH_COUNT
            if is_over and (ready or resuming):
                self._next_turn.start(self._feed)
                return
        self._feed_due = False

    def _new_slot(self) -> Slot:
        slot = Slot(self, self._node, self._context)
        slot.greenlet = Greenlet(self._serve, slot)
        self.slots.add(slot)
        return slot

    def _serve(self, slot: Slot) -> None:
        slot.frame = sys._getframe()
        while True:
            try:
                self._run_calls(slot)
            except BaseException:  # It came between two calls, or from the pool itself: the slot serves on.
                log_safely(logger.exception, "an exception in a slot of the pool")
            finally:
                self.active -= 1
            self._wake_if_needed()
            if len(self._idle) >= self.concurrency:  # It was added because others waited.
                self.slots.discard(slot)
                return
            slot.is_called = False
            self._idle.append(slot)
            while not slot.is_called:
                try:
                    self._hub.switch()
                except GreenletExit:
                    self._idle.remove(slot)
                    self.slots.discard(slot)
                    return
                except BaseException:
                    pass  # A call has left something behind that is thrown into its greenlet, such as a Timeout.

    def _run_calls(self, slot: Slot) -> None:
        """Run calls until none is left, or it is somebody else's turn. The hot path: 1 µs and the call itself."""
        take, finished, resuming = self._ready.popleft, self.finished, self._resuming
        new_context = slot.context.copy
        outcome: Outcome | None
        note = slot.note if self._is_verbose else None
        slot.started_s = monotonic()
        while True:
            try:
                call, job = take()
            except IndexError:
                return
            if (not job.is_plain or call.expires) and not self._is_to_run(call, job):
                if self.active > self.concurrency:
                    return  # A coroutine has the slot now.
                continue
            if not job.runs:
                slot.started_s = monotonic()  # To find the function has taken a while.
            slot.spec = job.spec
            job.runs += 1
            try:
                slot.call = call  # From here to NO_CALL a signal handler may raise at any place.
                outcome = new_context().run(job.run, call, note)
                slot.call = NO_CALL
                failed = None
            except BaseException as error:
                slot.call = NO_CALL
                failed = error, traceback_text(cause_of(error))
                outcome = outcome_of(call, job, *failed)
            if not finished:
                self._flush_soon()
            if outcome is not None:
                finished.append(outcome)
            now_s = monotonic()
            if slot.pauses:  # A greenlet that it left behind still waits.
                slot.pauses = 0
                self.paused -= 1
                self.active += 1
            if failed is not None:
                log_safely(log_failure, call, job, *failed)
                failed = slot.value = None  # It has the frames of the task, and with them all that these hold.
                now_s = monotonic()  # Handlers of logs take their time, which is not the next call's.
            elif note is not None:
                log_safely(lines.succeeded, job.spec, call, now_s - slot.started_s, slot.value, job.longest_repr)
                slot.value = None
                now_s = monotonic()
            slot.started_s = now_s
            if now_s >= self._slice_ends_s or resuming or len(finished) >= FLUSH_COUNT:
                return

    def _is_to_run(self, call: Call, job: Job) -> bool:
        """Whether a call is to run in the slot that took it."""
        if self._has_expired(call, job):
            return False
        job.resolve()
        if not job.is_coroutine:
            return True
        self._start_coroutine(call, job)
        return False


class _Ticket:
    """A greenlet that waits for a slot, to go on."""

    __slots__ = ("granted", "greenlet")

    def __init__(self, greenlet: Any) -> None:
        self.greenlet = greenlet
        self.granted = False
