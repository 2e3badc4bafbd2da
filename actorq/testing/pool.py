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

from greenlet import GreenletExit, getcurrent

from actorq.context import current
from actorq.errors import TaskRevokedError
from actorq.testing.running import Run
from actorq.testing.scheduler import MeshBell, Scheduler, Step
from actorq.wire.records import REVOKED, Call, CallSpec, Note, Outcome
from actorq.worker import lines
from actorq.worker.endings import hard_limit, soft_limit
from actorq.worker.jobs import Job, failure, traceback_text
from actorq.worker.slots import NO_CALL

if TYPE_CHECKING:
    from actorq.testing.coroutines import Coroutines


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
        """`notify` is called when calls have ended or have said something, and when `paused` has changed."""
        self.concurrency = concurrency
        self.active = self.paused = 0
        self.finished: list[Outcome] = []
        """Outcomes that were not taken yet."""
        self.notes: list[tuple[Call, int, Note]] = []
        """What calls have said of themselves and was not taken yet, with the call and the number of its client."""
        self.cancelled: set[str] = set()
        """Ids of running calls that were revoked and run on."""
        self.failures: dict[str, deque[BaseException]] = {}
        """What the next calls raise instead of running, by task."""
        self._scheduler = scheduler
        self._ready = ready
        self._node = node
        self._notify = notify
        self._runs: dict[Run, None] = {}
        self._resuming: deque[MeshBell] = deque()
        self._context = copy_context()
        self._coroutines: Coroutines | None = None
        scheduler.sources.append(self)

    # -- for the node --------------------------------------------------------------------------------------------

    def running(self) -> list[Run]:
        """What runs now, paused or not."""
        return list(self._runs)

    def end(self, task_id: str, attempt: int, error: BaseException) -> None:
        """Raise an error in a call that waits, if it still runs."""
        for run in self.running():
            if run.call.id == task_id and run.call.attempt == attempt:
                self._throw(run, run.call, error)

    def stop(self) -> None:
        """End all that runs: the process is gone. Nothing comes of it any more."""
        self._scheduler.sources.remove(self)
        self._ready.clear()
        runs, self._runs = list(self._runs), {}
        for run in runs:
            run.call = NO_CALL
        if self._coroutines is not None:
            self._coroutines.stop()
        for run in runs:
            if run.greenlet is not None:
                self._scheduler.end(run.greenlet)
        if any(run.greenlet is getcurrent() for run in runs):
            raise GreenletExit

    # -- for the scheduler ---------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        if self._ready and self.active < self.concurrency and not self._resuming:
            yield self._take_one

    def next_s(self) -> float:
        return math.inf

    def waits_for_the_world(self) -> bool:
        return False

    # -- running -------------------------------------------------------------------------------------------------

    def _take_one(self) -> None:
        call, job = self._ready.popleft()
        if call.expires and call.expires <= self._scheduler.wall_s:
            lines.discarded(job.spec, call)
            self._finish(failure(call, TaskRevokedError("it expired before it started"), state=REVOKED))
            return
        if not (job.is_plain or job.is_coroutine):
            job.resolve()
            job.wrap(partial(self._may_fail, job.spec.task))
        job.runs += 1
        self.active += 1
        run = Run(self, self._node, call, job, self._scheduler.loop.now_s)
        self._runs[run] = None
        self._watch(run, call)
        context = self._context.copy()
        context.run(current.set, run)
        if job.is_coroutine:
            self._coroutines_of_node().start(run, context)
        else:
            self._scheduler.spawn(partial(self._run, run, call), context)
        if run in self._runs:
            self._notify()  # It waits: whoever asks hears that it has started.

    def _run(self, run: Run, call: Call) -> None:
        run.greenlet = getcurrent()
        try:
            self.ended(run, call, run.job.run(call, run.note))
        except KeyboardInterrupt:
            self.ended(run, call, GreenletExit())
            raise  # It is meant for whoever runs the tests.
        except BaseException as error:
            self.ended(run, call, error)

    def ended(self, run: Run, call: Call, ended: Outcome | BaseException) -> None:
        """A call is done, or has raised."""
        if self._runs.pop(run, self) is self:
            return  # Its process is gone.
        run.end()
        self.active -= 1
        self.cancelled.discard(call.id)
        outcome: Outcome | None
        if isinstance(ended, BaseException):
            outcome = failed(call, run.job, ended)
        else:
            outcome = ended
            runtime_s = self._scheduler.loop.now_s - run.started_s
            lines.succeeded(run.spec, call, runtime_s, run.value, run.job.longest_repr)
        if outcome is not None:
            self.finished.append(outcome)
        self._notify()
        self._let_resume()

    def tell(self, call: Call, note: Note) -> None:
        """A call says something of itself."""
        self.notes.append((call, call.client, note))
        self._notify()

    def _finish(self, outcome: Outcome) -> None:
        self.finished.append(outcome)
        self._notify()

    def _coroutines_of_node(self) -> Coroutines:
        if self._coroutines is None:
            from actorq.testing.coroutines import Coroutines  # It brings asyncio, and gevent.

            self._coroutines = Coroutines(self._scheduler, self)
        return self._coroutines

    def _may_fail(self, task: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn`, which raises, instead of running, what it is told to."""

        def run(*args: Any, **kwargs: Any) -> Any:
            failures = self.failures.get(task)
            if failures:
                raise failures.popleft()
            return fn(*args, **kwargs)

        return run

    # -- time limits, and the end --------------------------------------------------------------------------------

    def _watch(self, run: Run, call: Call) -> None:
        """A call that lets time pass is ended as its limits say."""
        spec = run.spec
        for limit_s, error in ((spec.soft_time_limit_s, soft_limit), (spec.time_limit_s, hard_limit)):
            if limit_s:
                self._scheduler.loop.after(limit_s, partial(self._limit, run, call, error))

    def _limit(self, run: Run, call: Call, error: Callable[[CallSpec], BaseException]) -> None:
        self._throw(run, call, error(run.spec))

    def _throw(self, run: Run, call: Call, error: BaseException) -> None:
        if run.call is not call:
            return
        if run.greenlet is not None:
            self._scheduler.resume_soon(run.greenlet, error)
        elif self._coroutines is not None:
            self._coroutines.end(run, error)

    # -- for runs ------------------------------------------------------------------------------------------------

    def is_own_thread(self) -> bool:
        """Whether the caller is a task of the mesh."""
        return self._scheduler.is_task()

    def leave(self) -> None:
        """A call waits for others: its slot is free."""
        self.active -= 1
        self.paused += 1
        self._notify()
        self._let_resume()

    def enter(self, wait: bool) -> None:
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


def failed(call: Call, job: Job, error: BaseException) -> Outcome | None:
    """The outcome of a call that did not return, as a worker makes it; None if its lease goes back. It is logged."""
    from actorq.worker import base as real  # It brings gevent.

    text = traceback_text(real.cause_of(error))
    outcome = real.outcome_of(call, job, error, text)
    real.log_safely(real.log_failure, call, job, error, text)
    return outcome
