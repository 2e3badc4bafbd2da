"""Runs the calls of a worker in the test's process: each in a greenlet, until it waits for others or has ended.

It stands in the place of `actorq.worker.pool`, which is for a process of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from actorq.errors import TaskRevokedError
from actorq.testing.scheduler import MeshBell, Scheduler, Step
from actorq.wire.messages import REVOKED, Call, CallSpec, Outcome
from actorq.worker import lines
from actorq.worker.endings import Ending, hard_limit, soft_limit
from actorq.worker.jobs import Job, failure, traceback_text
from actorq.worker.slots import NO_CALL, Slot

if TYPE_CHECKING:
    from actorq.testing.coroutines import Coroutines
    from actorq.worker.pool import Run


class Pool:
    """What is in `ready` it runs, at most `concurrency` calls at once beside those that wait for other calls."""

    def __init__(
        self,
        scheduler: Scheduler,
        ready: deque[tuple[Call, Job]],
        node: str,
        concurrency: int,
        notify: Callable[[], None],
    ) -> None:
        """`notify` is called when calls have ended, or `paused` has changed."""
        self.concurrency = concurrency
        self.active = self.paused = 0
        self.finished: list[Outcome] = []
        """Outcomes that were not taken yet."""
        self.failures: dict[str, deque[BaseException]] = {}
        """What the next calls raise instead of running, by task."""
        self._scheduler = scheduler
        self._ready = ready
        self._node = node
        self._notify = notify
        self._slots: dict[Slot, greenlet] = {}
        self._coroutines: Coroutines | None = None
        self._resuming: deque[MeshBell] = deque()
        self._context = copy_context()
        scheduler.sources.append(self)

    # -- for the node --------------------------------------------------------------------------------------------

    def running(self) -> list[Run]:
        """What runs now, paused or not."""
        return [*self._slots, *(self._coroutines.running() if self._coroutines is not None else ())]

    def end(self, task_id: str, attempt: int, error: BaseException) -> None:
        """Raise an error in a call that waits, if it still runs."""
        for run in self.running():
            if run.call.id == task_id and run.call.attempt == attempt:
                self._throw(run, run.call, error)

    def stop(self) -> None:
        """End all that runs: the process is gone. Nothing comes of it any more."""
        self._scheduler.sources.remove(self)
        self._ready.clear()
        slots, self._slots = self._slots, {}
        for slot in slots:
            slot.call = NO_CALL
        if self._coroutines is not None:
            self._coroutines.stop()
        for waiting in slots.values():
            self._scheduler.end(waiting)
        if getcurrent() in slots.values():
            raise GreenletExit

    # -- for the scheduler ---------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        if self._ready and self.active < self.concurrency and not self._resuming:
            yield self._take_one

    def next_s(self) -> float:
        return math.inf

    def waits_for_the_world(self) -> bool:
        return False

    def _take_one(self) -> None:
        call, job = self._ready.popleft()
        if call.expires and call.expires <= self._scheduler.wall_s:
            self._finish(failure(call, TaskRevokedError("it expired before it started"), state=REVOKED))
            lines.discarded(job.spec, call)
            return
        self.active += 1
        if not (job.is_plain or job.is_coroutine):
            job.resolve()
            job.wrap(partial(self._may_fail, job.spec.task))
        job.runs += 1
        if job.is_coroutine:
            self._start_coroutine(call, job)
            return
        slot = Slot(self, self._node, self._context)  # type: ignore[arg-type]  # It is the pool of this process.
        slot.call, slot.spec, slot.started_s = call, job.spec, self._scheduler.loop.now_s
        self._watch(slot, call, job.spec)
        self._scheduler.spawn(partial(self._run, slot, job), slot.context.copy())
        if slot in self._slots:
            self._notify()  # It waits: whoever asks hears that it has started.

    def _start_coroutine(self, call: Call, job: Job) -> None:
        if self._coroutines is None:
            from actorq.testing.coroutines import Coroutines  # It brings asyncio, and gevent.

            self._coroutines = Coroutines(self._scheduler, self, self._node, self._context)
        self._watch(self._coroutines.start(call, job), call, job.spec)
        self._notify()

    def _run(self, slot: Slot, job: Job) -> None:
        self._slots[slot] = getcurrent()
        call = slot.call
        outcome: Outcome | None
        try:
            outcome = job.run(call, slot.note)
            lines.succeeded(job.spec, call, self._scheduler.loop.now_s - slot.started_s, slot.value)
        except KeyboardInterrupt:
            raise  # Of the one who runs the tests.
        except BaseException as error:
            outcome = None if slot.call is NO_CALL else failed(call, job.spec, error)
        finally:
            if self._slots.pop(slot, None) is not None:  # Else the node is gone.
                slot.call = NO_CALL
                self.active -= not slot.pauses
                self.paused -= slot.pauses > 0
        if outcome is not None:
            self._finish(outcome)
        self._let_resume()

    def _may_fail(self, task: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn`, which raises, instead of running, what it is told to."""

        def run(*args: Any, **kwargs: Any) -> Any:
            failures = self.failures.get(task)
            if failures:
                raise failures.popleft()
            return fn(*args, **kwargs)

        return run

    def _finish(self, outcome: Outcome) -> None:
        self.finished.append(outcome)
        self._notify()

    # -- for coroutines (see actorq.worker.coroutines.Runner) ------------------------------------------------------

    def coroutine_ended(
        self, call: Call, job: Job, ended: Outcome | BaseException, runtime_s: float, value: object
    ) -> None:
        """A coroutine is done and has returned `value`, or is given up."""
        self.active -= 1
        outcome: Outcome | None
        if isinstance(ended, BaseException):
            outcome = failed(call, job.spec, ended)
        else:
            outcome = ended
            lines.succeeded(job.spec, call, runtime_s, value)
        if outcome is not None:
            self._finish(outcome)
        self._let_resume()

    # -- time limits ---------------------------------------------------------------------------------------------

    def _watch(self, run: Run, call: Call, spec: CallSpec) -> None:
        """A call that lets time pass is ended as its limits say."""
        for limit_s, error in ((spec.soft_time_limit_s, soft_limit), (spec.time_limit_s, hard_limit)):
            if limit_s:
                self._scheduler.loop.after(limit_s, partial(self._limit, run, call, spec, error))

    def _limit(self, run: Run, call: Call, spec: CallSpec, error: Callable[[CallSpec], BaseException]) -> None:
        self._throw(run, call, error(spec))

    def _throw(self, run: Run, call: Call, error: BaseException) -> None:
        if run.call is not call:
            return
        if isinstance(run, Slot):
            self._scheduler.resume_soon(self._slots[run], error)
        else:
            assert self._coroutines is not None
            self._coroutines.end(run, error)

    # -- for slots (see actorq.worker.slots) -----------------------------------------------------------------------

    def is_own_thread(self) -> bool:
        """Whether the caller is a task of the mesh."""
        return self._scheduler.is_task()

    def leave(self) -> None:
        """A call waits for others: its slot is free."""
        self.active -= 1
        self.paused += 1
        self._notify()
        self._let_resume()

    def enter(self, wait: bool = True) -> None:
        """A call goes on. Returns when it has a slot; those that come back have one before new calls do."""
        self.paused -= 1
        self._notify()
        if not wait or self.active < self.concurrency:
            self.active += 1
            return
        bell = self._scheduler.bell()
        self._resuming.append(bell)
        try:
            bell.wait(None)
        finally:
            if bell in self._resuming:  # It is made to end, and runs on to its end.
                self._resuming.remove(bell)
                self.active += 1

    def _let_resume(self) -> None:
        while self._resuming and self.active < self.concurrency:
            self.active += 1
            self._resuming.popleft().ring()


def failed(call: Call, spec: CallSpec, error: BaseException) -> Outcome | None:
    """The outcome of a call that did not return; None if its lease goes back. Written to the log, as a worker does."""
    cause = error.error.with_traceback(error.__traceback__) if isinstance(error, Ending) else error
    text = traceback_text(cause)
    if isinstance(error, Ending):
        lines.ended(spec, call, error, text)
        return None if error.state is None else failure(call, error.error, text, error.state)
    lines.raised(spec, call, error, text)
    return failure(call, error, text)
