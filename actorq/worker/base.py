"""What all pools have in common: slots that are counted, outcomes that are delivered, coroutines beside.

Everything here happens on the hub's thread; where the calls themselves run is the business of each kind of pool:
greenlets of the hub (`pool`), or native threads (`threads`). ``async def`` tasks run on the hub's event loop in each.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import Any

from gevent import get_hub

from actorq import native
from actorq.errors import TaskPredicate, TaskRevokedError
from actorq.wire.records import REVOKED, Call, Note, Outcome
from actorq.worker import announcing, lines, predicates
from actorq.worker.coroutines import CoroutineRun, Coroutines
from actorq.worker.endings import Ending
from actorq.worker.jobs import Job, failure, traceback_text
from actorq.worker.jobs import __name__ as job_module
from actorq.worker.slots import NO_CALL, BaseSlot

NOTES_KEPT = 10_000
"""What tasks say of themselves in one turn of the hub; of more, the first are dropped."""

logger = logging.getLogger("actorq.worker")

Ready = deque[tuple[Call, Job]]
Run = BaseSlot | CoroutineRun
"""A running call: in a slot, or as a coroutine."""
Deliver = Callable[[list[Outcome]], None]
InHub = Callable[..., None]
"""Has the hub call a function with arguments, in the order of the orders. From any thread."""


class Pool(ABC):
    """Runs what is in `ready`, at most `concurrency` calls at once beside those that wait for other calls.

    All methods are for the hub's thread, unless they say otherwise. `deliver` gets the outcomes of each turn of the
    hub, and is also called, with none, when `paused` has changed.
    """

    def __init__(self, ready: Ready, node: str, concurrency: int, deliver: Deliver, in_hub: InHub) -> None:
        self.concurrency = concurrency
        self.in_hub = in_hub
        self.active = 0
        """Calls that run and do not wait for others; never more than `concurrency`, but for what was made to end."""
        self.paused = 0
        """Calls that wait for others."""
        self.finished: list[Outcome] = []
        """Outcomes that were not delivered yet."""
        self.notes: deque[tuple[Call, int, Note]] = deque(maxlen=NOTES_KEPT)
        """What running calls have said of themselves and was not passed on yet, each with its call, and the number of
        the client that the call was for then."""
        self.cancelled: set[str] = set()
        """Ids of running calls that were revoked and run on: the core's own set, in a node."""
        self.slots: set[Any] = set()
        self._ready = ready
        self._node = node
        self._deliver = deliver
        self._resuming: deque[Any] = deque()
        """What waits for a slot to go on."""
        self._idle: list[Any] = []
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
        self._coroutines: Coroutines | None = None

    # -- for the shell and the watchdog --------------------------------------------------------------------------

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

    def unreported(self) -> list[Outcome]:
        """Outcomes that were not delivered yet. From any thread."""
        return self.finished.copy()

    def end(self, run: Run, call: Call, error: BaseException) -> bool:
        """Raise `error` in `call` if `run` still runs it. Returns whether it did. Only from the hub's greenlet, and
        from the watchdog's thread where `needs_hub` is false.
        """
        if run.call is not call:
            return False
        if isinstance(run, CoroutineRun):
            assert self._coroutines is not None
            self._coroutines.end(run, error)
            return True
        return self._end_slot(run, call, error)

    def needs_hub(self, run: Run) -> bool:
        """Whether `end` has to be called in the hub. From any thread."""
        return True

    def is_on_cpu(self, run: Run) -> bool:
        """Whether the hub's thread is executing this call now. From any thread."""
        frame = sys._current_frames().get(self.thread)
        if isinstance(run, CoroutineRun):
            return self._coroutines is not None and self._coroutines.is_on_cpu(run, frame)
        return is_above(frame, run.frame)

    def stack_of(self, run: Run) -> str:
        """Where a call is now, as a traceback shows it. From any thread."""
        import traceback

        frames = []
        frame, bottom = self._frame_of(run)
        while frame is not None and frame is not bottom:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
        own = (job_module, __name__, type(self).__module__)
        shown = [each for each in reversed(frames) if each[0].f_globals.get("__name__") not in own]
        return "Stack of the call:\n" + "".join(traceback.StackSummary.extract(iter(shown)).format())

    def is_current(self, run: Run) -> bool:
        """Whether the caller, a signal handler, interrupts this call."""
        if isinstance(run, CoroutineRun):
            return self._coroutines is not None and self._coroutines.is_current(run)
        return self._is_current_slot(run)

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

    # -- what each kind of pool does -----------------------------------------------------------------------------

    @abstractmethod
    def _feed(self) -> None:
        """Let calls run. In the hub; `wake` does nothing until `_feed_due` is false again."""

    @abstractmethod
    def _end_slot(self, slot: Any, call: Call, error: BaseException) -> bool:
        """`end`, for a call in a slot."""

    @abstractmethod
    def _is_current_slot(self, slot: Any) -> bool:
        """`is_current`, for a call in a slot."""

    def _frame_of(self, run: Run) -> tuple[FrameType | None, FrameType | None]:
        """The frame in which a call is, and the one below those that belong to it."""
        return sys._current_frames().get(self.thread), None if isinstance(run, CoroutineRun) else run.frame

    # -- slots ---------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """A call waits for others: its slot is free."""
        self.active -= 1
        self.paused += 1
        self._flush_soon()
        self._wake_if_needed()

    def enter_at_once(self) -> None:
        """A call goes on, be it beyond the number of slots."""
        self.paused -= 1
        self.active += 1
        self._flush_soon()

    def _free_slot(self) -> None:
        """A call has ended."""
        self.active -= 1
        self._wake_if_needed()

    def _wake_if_needed(self) -> None:
        if self._ready or self._resuming:
            self.wake()

    def tell(self, call: Call, note: Note) -> None:
        """A call says something of itself. From any thread."""
        self.notes.append((call, call.client, note))
        if self.is_own_thread():
            self._flush_soon()
        else:
            self.in_hub(self._flush_soon)

    # -- starting ------------------------------------------------------------------------------------------------

    def _has_expired(self, call: Call, job: Job) -> bool:
        """Whether it is too late to start a call: then it ends here."""
        if not call.expires or call.expires > time.time():
            return False
        self.finished.append(failure(call, TaskRevokedError("it expired before it started"), state=REVOKED))
        self._flush_soon()
        log_safely(lines.discarded, job.spec, call)
        log_safely(announcing.expired, job.spec, call)
        return True

    def _start_coroutine(self, call: Call, job: Job) -> None:
        if self._coroutines is None:
            self._coroutines = Coroutines(self, self._node, self._context)
        self.active += 1
        job.runs += 1
        self._coroutines.start(call, job)

    # -- outcomes ------------------------------------------------------------------------------------------------

    def coroutine_ended(
        self, call: Call, job: Job, ended: Outcome | BaseException, runtime_s: float, value: Any
    ) -> None:
        """A coroutine is done and has returned `value`, or is given up. Its slot is free."""
        self._flush_soon()
        self._free_slot()
        if not isinstance(ended, BaseException):
            self.finished.append(ended)
            if self._is_verbose:
                log_safely(lines.succeeded, job.spec, call, runtime_s, value, job.longest_repr)
            return
        text = traceback_text(cause_of(ended))
        outcome = outcome_of(call, job, ended, text)
        if outcome is not None:
            self.finished.append(outcome)
        log_safely(log_failure, call, job, ended, text)

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


def is_above(frame: FrameType | None, bottom: FrameType | None) -> bool:
    """Whether a stack, of which `frame` is the top, stands on `bottom`."""
    while frame is not None and frame is not bottom:
        frame = frame.f_back
    return frame is not None


def cause_of(error: BaseException) -> BaseException:
    """What is told of a call that did not return."""
    if isinstance(error, Ending):
        return error.error.with_traceback(error.__traceback__)  # It shows what the task was doing.
    return error


def outcome_of(call: Call, job: Job, error: BaseException, text: str) -> Outcome | None:
    """The outcome of a call that did not return; None if its lease goes back."""
    if isinstance(error, TaskPredicate):
        return predicates.outcome_of(error, call, job) or failure(call, error, text)
    if not isinstance(error, Ending):
        return failure(call, error, text)
    return None if error.state is None else failure(call, error.error, text, error.state)


def log_failure(call: Call, job: Job, error: BaseException, text: str) -> None:
    """Say that a call did not return."""
    if isinstance(error, TaskPredicate):
        lines.said(job.spec, call, error, text)
    elif isinstance(error, Ending):
        lines.ended(job.spec, call, cause_of(error), text)
    elif isinstance(error, job.expected):
        lines.expected(job.spec, call, error)
    else:
        lines.raised(job.spec, call, error, text)


def log_safely(write: Callable[..., None], *parts: Any) -> None:
    """Log what has ended. That runs users' code (`repr`, handlers, what a task has left behind): it costs the line."""
    with suppress(BaseException):
        write(*parts)
