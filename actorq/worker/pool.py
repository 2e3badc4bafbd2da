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
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from time import monotonic
from typing import Any

from gevent import Greenlet, GreenletExit, get_hub, getcurrent

from actorq import native
from actorq.errors import TaskPredicate, TaskRevokedError
from actorq.wire.messages import REVOKED, Call, Note, Outcome
from actorq.worker import announcing, lines, predicates
from actorq.worker.coroutines import CoroutineRun, Coroutines
from actorq.worker.endings import Ending
from actorq.worker.jobs import Job, failure, traceback_text
from actorq.worker.jobs import __name__ as job_module
from actorq.worker.slots import NO_CALL, Slot

SLICE_S = 0.002
"""For how long calls run one after another before the hub takes a turn: sockets, timers, what has finished."""
FLUSH_COUNT = 512
"""And how many, at the most."""
NOTES_KEPT = 10_000
"""What tasks say of themselves in one turn of the hub; of more, the first are dropped."""

logger = logging.getLogger("actorq.worker")

Ready = deque[tuple[Call, Job]]
Run = Slot | CoroutineRun
"""A running call: in a slot, or as a coroutine."""
Deliver = Callable[[list[Outcome]], None]


class Pool:
    """Runs what is in `ready`, at most `concurrency` calls at once beside those that wait for other calls.

    All methods are for the hub's thread, unless they say otherwise. `deliver` gets the outcomes of each turn of the
    hub, and is also called, with none, when `paused` has changed.
    """

    def __init__(self, ready: Ready, node: str, concurrency: int, deliver: Deliver) -> None:
        self.concurrency = concurrency
        self.active = 0
        """Calls that run and do not wait for others; never more than `concurrency`, but for what was made to end."""
        self.paused = 0
        """Calls that wait for others."""
        self.finished: list[Outcome] = []
        """Outcomes that were not delivered yet. The watchdog copies it (see `actorq.worker.watchdog`)."""
        self.notes: deque[tuple[Call, int, Note]] = deque(maxlen=NOTES_KEPT)
        """What running calls have said of themselves and was not passed on yet, each with its call, and the number of
        the client that the call was for then."""
        self.cancelled: set[str] = set()
        """Ids of running calls that were revoked and run on: the core's own set, in a node."""
        self.slots: set[Slot] = set()
        self._ready = ready
        self._node = node
        self._deliver = deliver
        self._resuming: deque[Any] = deque()
        self._idle: list[Slot] = []
        self._hub = get_hub()
        self._run_callback = self._hub.loop.run_callback
        self._next_turn = self._hub.loop.timer(0)
        self._context = copy_context()
        self._get_ident: Callable[[], int] = native.original("_thread", "get_ident")
        self.thread = self._get_ident()
        """The hub's native thread."""
        self._feed_due = False
        self._flush_due = False
        self._is_verbose = False
        self._slice_ends_s = 0.0
        self._coroutines: Coroutines | None = None

    # -- for the shell -------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something in `ready`."""
        if not self._feed_due:
            self._feed_due = True
            self._run_callback(self._feed)

    def running(self) -> list[Run]:
        """What runs now, paused or not. From any thread: `list` of a set is one step of the interpreter."""
        runs: list[Run] = [slot for slot in list(self.slots) if slot.call is not NO_CALL]
        if self._coroutines is not None:
            runs += self._coroutines.running()
        return runs

    def end(self, run: Run, call: Call, error: BaseException) -> bool:
        """Throw `error` into `call` if `run` still runs it. Returns whether it did. Only from the hub's greenlet."""
        if run.call is not call:
            return False
        if isinstance(run, Slot):
            run.greenlet.throw(error)
        else:
            assert self._coroutines is not None
            self._coroutines.end(run, error)
        return True

    def is_on_cpu(self, run: Run) -> bool:
        """Whether the hub's thread is executing this call now. From any thread."""
        frame = sys._current_frames().get(self.thread)
        if not isinstance(run, Slot):
            return self._coroutines is not None and self._coroutines.is_on_cpu(run, frame)
        while frame is not None and frame is not run.frame:
            frame = frame.f_back
        return frame is not None

    def stack_of(self, run: Run) -> str:
        """Where a call is now, as a traceback shows it. From any thread."""
        import traceback

        frame, frames = sys._current_frames().get(self.thread), []
        bottom = run.frame if isinstance(run, Slot) else None
        if isinstance(run, Slot) and not self.is_on_cpu(run):
            frame = run.greenlet.gr_frame
        while frame is not None and frame is not bottom:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
        own = (job_module, __name__)
        shown = [each for each in reversed(frames) if each[0].f_globals.get("__name__") not in own]
        return "Stack of the call:\n" + "".join(traceback.StackSummary.extract(iter(shown)).format())

    def is_current(self, run: Run) -> bool:
        """Whether the caller, a signal handler, interrupts this call."""
        if isinstance(run, Slot):
            return bool(getcurrent() is run.greenlet)
        return self._coroutines is not None and self._coroutines.is_current(run)

    def is_own_thread(self) -> bool:
        """Whether the caller is on the hub's thread."""
        return bool(self._get_ident() == self.thread)

    def take_notes(self) -> list[tuple[Call, int, Note]]:
        """What calls have said of themselves since this was asked the last time. Each `popleft` is one step."""
        return [self.notes.popleft() for _ in range(len(self.notes))]

    def leave_to_parent(self) -> None:
        """In a forked child: everything here is the parent's business. The task that has forked ends the process."""
        self._ready.clear()
        self.finished.clear()
        self._flush_due = False
        self.thread = 0  # So what waits for results there leaves no slot, and comes back to none.
        self._run_callback = lambda *_: os._exit(0)

    # -- for slots -----------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """A call waits for others: its slot is free."""
        self.active -= 1
        self.paused += 1
        self._flush_soon()
        if self._ready or self._resuming:
            self.wake()

    def enter(self, wait: bool = True) -> None:
        """A call goes on. Returns when it has a slot."""
        self.paused -= 1
        self._flush_soon()
        if not wait or self.active < self.concurrency:
            self.active += 1
            return
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

    def tell(self, call: Call, note: Note) -> None:
        """A call says something of itself. From any thread."""
        self.notes.append((call, call.client, note))
        if self.is_own_thread():
            self._flush_soon()
        else:
            self._hub.loop.run_callback_threadsafe(self._flush_soon)

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
                _log_safely(logger.exception, "an exception in a slot of the pool")
            finally:
                self.active -= 1
            if self._ready or self._resuming:
                self.wake()
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
                failed = error, traceback_text(_cause(error))
                outcome = _failure(call, job, *failed)
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
                _log_safely(_log_failure, call, job, *failed)
                failed = slot.value = None  # It has the frames of the task, and with them all that these hold.
                now_s = monotonic()  # Handlers of logs take their time, which is not the next call's.
            elif note is not None:
                _log_safely(lines.succeeded, job.spec, call, now_s - slot.started_s, slot.value, job.longest_repr)
                slot.value = None
                now_s = monotonic()
            slot.started_s = now_s
            if now_s >= self._slice_ends_s or resuming or len(finished) >= FLUSH_COUNT:
                return

    def _is_to_run(self, call: Call, job: Job) -> bool:
        """Whether a call is to run in the slot that took it."""
        if call.expires and call.expires <= time.time():
            self.finished.append(failure(call, TaskRevokedError("it expired before it started"), state=REVOKED))
            self._flush_soon()
            _log_safely(lines.discarded, job.spec, call)
            _log_safely(announcing.expired, job.spec, call)
            return False
        job.resolve()
        if not job.is_coroutine:
            return True
        if self._coroutines is None:
            self._coroutines = Coroutines(self, self._node, self._context)
        self.active += 1
        job.runs += 1
        self._coroutines.start(call, job)
        return False

    # -- outcomes ------------------------------------------------------------------------------------------------

    def coroutine_ended(
        self, call: Call, job: Job, ended: Outcome | BaseException, runtime_s: float, value: Any
    ) -> None:
        """A coroutine is done and has returned `value`, or is given up. Its slot is free."""
        self.active -= 1
        self._flush_soon()
        if self._ready or self._resuming:
            self.wake()
        if not isinstance(ended, BaseException):
            self.finished.append(ended)
            if self._is_verbose:
                _log_safely(lines.succeeded, job.spec, call, runtime_s, value, job.longest_repr)
            return
        text = traceback_text(_cause(ended))
        outcome = _failure(call, job, ended, text)
        if outcome is not None:
            self.finished.append(outcome)
        _log_safely(_log_failure, call, job, ended, text)

    def _flush_soon(self) -> None:
        """Deliver when the hub has run what it is running: all that ends until then goes together."""
        if not self._flush_due:
            self._flush_due = True
            self._run_callback(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        outcomes = self.finished.copy()
        self.finished.clear()
        self._deliver(outcomes)


def _cause(error: BaseException) -> BaseException:
    """What is told of a call that did not return."""
    if isinstance(error, Ending):
        return error.error.with_traceback(error.__traceback__)  # It shows what the task was doing.
    return error


def _failure(call: Call, job: Job, error: BaseException, text: str) -> Outcome | None:
    """The outcome of a call that did not return; None if its lease goes back."""
    if isinstance(error, TaskPredicate):
        return predicates.outcome_of(error, call, job) or failure(call, error, text)
    if not isinstance(error, Ending):
        return failure(call, error, text)
    return None if error.state is None else failure(call, error.error, text, error.state)


def _log_failure(call: Call, job: Job, error: BaseException, text: str) -> None:
    if isinstance(error, TaskPredicate):
        lines.said(job.spec, call, error, text)
    elif isinstance(error, Ending):
        lines.ended(job.spec, call, _cause(error), text)
    elif isinstance(error, job.expected):
        lines.expected(job.spec, call, error)
    else:
        lines.raised(job.spec, call, error, text)


def _log_safely(write: Callable[..., None], *parts: Any) -> None:
    """Log what has ended. That runs users' code (`repr`, handlers, what a task has left behind): it costs the line."""
    with suppress(BaseException):
        write(*parts)


class _Ticket:
    """A greenlet that waits for a slot, to go on."""

    __slots__ = ("granted", "greenlet")

    def __init__(self, greenlet: Any) -> None:
        self.greenlet = greenlet
        self.granted = False
