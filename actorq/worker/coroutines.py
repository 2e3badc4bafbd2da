"""``async def`` tasks: one asyncio loop in a greenlet of the hub, beside the pool's greenlets.

The loop waits in gevent's selector, so greenlets run while it waits, and it while they do (see `green_selector`). It is
started, and asyncio imported, at the first such task.
"""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from gevent import getcurrent, spawn

from actorq.context import current
from actorq.wire.records import Call, Note, Outcome
from actorq.worker.endings import Ending
from actorq.worker.slots import NO_CALL

logger = logging.getLogger("actorq.worker")

if TYPE_CHECKING:
    from asyncio import Task

    from actorq.worker.jobs import Job


class Runner(Protocol):
    """What coroutines ask of the pool."""

    cancelled: set[str]

    def leave(self) -> None: ...
    def tell(self, call: Call, note: Note) -> None: ...
    def enter_at_once(self) -> None: ...
    def coroutine_ended(
        self, call: Call, job: Job, ended: Outcome | BaseException, runtime_s: float, value: Any
    ) -> None: ...


class Steerable(Protocol):
    """A coroutine that may be made to end."""

    wanted: BaseException | None
    """What it is to get in place of the CancelledError that is under way."""


class CoroutineRun:
    """One running coroutine (see `actorq.context.Running`). The watchdog reads it as it does a `Slot`."""

    __slots__ = (
        "_has_spoken", "_pauses", "_runner", "call", "ending", "job", "node", "spec", "started_s", "task", "value", "wanted"
    )  # fmt: skip

    def __init__(self, runner: Runner, node: str, call: Call, job: Job) -> None:
        self.started_s = monotonic()
        self.node = node
        self.spec = job.spec
        self.call = call
        self.ending = NO_CALL
        """The call, once the watchdog has ordered it to end."""
        self.job = job
        self.task: Task[None] | None = None
        self.wanted: BaseException | None = None
        """What it is to get in place of the CancelledError that is under way."""
        self.value: Any = None
        """What it has returned, until it is logged."""
        self._has_spoken = False
        self._pauses = 0
        """Waits that are going on: of the coroutine, or of tasks that it has begun."""
        self._runner = runner

    def note(self, value: Any) -> None:
        """Keep what it has returned, for the log."""
        self.value = value

    def pause(self) -> None:
        """It waits for other calls: another call may have its slot."""
        if self.call is NO_CALL:
            return  # What outlived its call holds no slot.
        self._pauses += 1
        if self._pauses == 1:
            self._runner.leave()

    def resume(self) -> None:
        """The wait is over. Does not wait for a slot: that would keep all coroutines waiting."""
        if not self._pauses:
            return
        self._pauses -= 1
        if not self._pauses:
            self._runner.enter_at_once()

    def tell(self, note: Note) -> None:
        """Pass on what the task says of itself. From any thread."""
        self._has_spoken = True
        self._runner.tell(self.call, note)

    def has_spoken(self) -> bool:
        """Whether it has said something of itself. From any thread."""
        return self._has_spoken

    def is_cancelled(self) -> bool:
        """Whether the call was revoked, or is to end now. From any thread."""
        return self.ending is self.call or self.call.id in self._runner.cancelled

    def end(self) -> None:
        """The call has ended, maybe while something that it has left behind still waits."""
        self.call = NO_CALL
        if self._pauses:
            self._pauses = 0
            self._runner.enter_at_once()


class Coroutines:
    """Runs calls of coroutine functions. All methods are for the hub's thread, unless they say otherwise."""

    def __init__(self, runner: Runner, node: str, context: Context) -> None:
        self._runner, self._node, self._context = runner, node, context
        self._runs: set[CoroutineRun] = set()
        self._new: list[CoroutineRun] = []
        self._frame: FrameType | None = None
        import asyncio

        from actorq.worker.green_selector import GreenSelector

        self._loop = asyncio.SelectorEventLoop(GreenSelector())
        self._current_task = asyncio.current_task
        self._greenlet = spawn(self._run_loop)

    def start(self, call: Call, job: Job) -> None:
        """Run a call. All that are started in one turn of the hub wake the loop once."""
        run = CoroutineRun(self._runner, self._node, call, job)
        self._runs.add(run)
        if not self._new:
            self._loop.call_soon_threadsafe(self._start_new)
        self._new.append(run)

    def running(self) -> list[CoroutineRun]:
        """From any thread."""
        return list(self._runs)

    def end(self, run: CoroutineRun, error: BaseException) -> None:
        """Raise `error` in the coroutine where it waits. At the second Ending it is given up and runs on unheeded."""
        if isinstance(error, Ending) and isinstance(run.wanted, Ending):
            self._ended(run, error)
            return
        run.wanted = error
        if run.task is not None:
            self._loop.call_soon_threadsafe(run.task.cancel)

    def is_current(self, run: CoroutineRun) -> bool:
        """Whether the caller, a signal handler, interrupts this coroutine."""
        return getcurrent() is self._greenlet and run.task is not None and self._current_task(self._loop) is run.task

    def is_on_cpu(self, run: CoroutineRun, frame: FrameType | None) -> bool:
        """Whether a thread, at `frame`, is executing this coroutine now. From any thread."""
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None and run.task is not None and self._current_task(self._loop) is run.task

    def _run_loop(self) -> None:
        self._frame = sys._getframe()
        while not self._loop.is_closed():
            try:
                self._loop.run_forever()  # Until a task stops the loop, or a SystemExit comes out of a callback.
            except BaseException:
                logger.exception("a coroutine has broken out of the event loop, which runs on")

    def _start_new(self) -> None:
        runs, self._new = self._new, []
        for run in runs:
            if run.wanted is not None:
                self._ended(run, run.wanted)
                continue
            context = self._context.copy()
            context.run(current.set, run)
            run.task = context.run(self._loop.create_task, self._main(run))

    async def _main(self, run: CoroutineRun) -> None:
        try:
            ended: Outcome | BaseException = await steered(run, run.job.run_coroutine(run.call, run.note))
        except BaseException as error:
            ended = error
        self._ended(run, ended)

    def _ended(self, run: CoroutineRun, ended: Outcome | BaseException) -> None:
        call = run.call
        if call is NO_CALL:
            return  # It was given up before.
        run.end()
        self._runs.discard(run)
        value, run.value = run.value, None
        self._runner.coroutine_ended(call, run.job, ended, monotonic() - run.started_s, value)


@types.coroutine
def steered(run: Steerable, coroutine: Coroutine[Any, Any, Outcome]) -> Generator[Any, Any, Outcome]:
    """``await coroutine``, but a cancellation of ours raises in it what is wanted in place of CancelledError.

    asyncio can only cancel a task; this stands between the task and the coroutine.
    """
    error: BaseException | None = None
    while True:
        try:
            step = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        error = None
        try:
            yield step
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as raised:
            error = raised
            if run.wanted is not None and type(raised).__name__ == "CancelledError":
                error = run.wanted
                if not isinstance(error, Ending):
                    run.wanted = None
