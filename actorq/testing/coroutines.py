"""``async def`` tasks in the test's process: one asyncio loop for each worker, whose time is the mesh's.

``await asyncio.sleep(3600)`` takes no time, and what is awaited of the world outside, such as a socket or a thread, is
given some, real, before the clock of the mesh goes on.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import selectors
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any

from actorq.testing.running import Run
from actorq.testing.scheduler import Scheduler, Step
from actorq.wire.records import Call, Outcome
from actorq.worker.coroutines import steered
from actorq.worker.endings import Ending

if TYPE_CHECKING:
    from actorq.testing.pool import Pool

logger = logging.getLogger("actorq.worker")

LAST_TURNS = 100
"""Of the loop, for coroutines that clean up when their worker is gone."""


class MeshLoop(asyncio.SelectorEventLoop):
    """An event loop that is turned from outside, by one turn at a time, and told what time it is."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._own_selector = selectors.DefaultSelector()
        self.is_woken = False
        """Somebody has called something soon."""
        self._now_s = now_s
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = self._jobs = 0
        super().__init__(self._own_selector)
        self._quiet = len(self._own_selector.get_map())
        """Descriptors of the loop's own."""

    def time(self) -> float:
        return self._now_s()

    def call_soon(self, *args: Any, **options: Any) -> asyncio.Handle:  # type: ignore[override]
        self.is_woken = True
        return super().call_soon(*args, **options)

    def call_soon_threadsafe(self, *args: Any, **options: Any) -> asyncio.Handle:  # type: ignore[override]
        self.is_woken = True
        return super().call_soon_threadsafe(*args, **options)

    def call_at(self, when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        handle = super().call_at(when, *args, **options)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, handle))
        return handle

    def run_in_executor(self, *args: Any) -> Any:  # type: ignore[override]
        self._jobs += 1
        future = super().run_in_executor(*args)
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: object) -> None:
        self._jobs -= 1

    def next_s(self) -> float:
        """When the next timer is due. Infinity: there is none."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        return timers[0][0] if timers else math.inf

    def is_due(self) -> bool:
        """Whether a turn would do something."""
        return (
            self.is_woken or self.next_s() <= self.time() or (self.has_world() and bool(self._own_selector.select(0)))
        )

    def has_world(self) -> bool:
        """Whether it waits for a descriptor, or for a job of a thread."""
        return self._jobs > 0 or len(self._own_selector.get_map()) > self._quiet

    def turn(self) -> None:
        """Run what is due, once."""
        while self._timers and self._timers[0][0] <= self.time():
            heapq.heappop(self._timers)
        super().call_soon(self.stop)
        self.is_woken = False
        try:
            self.run_forever()
        except Exception:
            logger.exception("a coroutine has broken out of the event loop, which runs on")


class Coroutines:
    """Runs calls of coroutine functions, for a worker's pool."""

    def __init__(self, scheduler: Scheduler, pool: Pool) -> None:
        self._scheduler, self._pool = scheduler, pool
        self._loop = MeshLoop(lambda: scheduler.loop.now_s)
        self._is_busy = False
        """The loop is in a turn. If a coroutine blocks in it, all others have to wait, as in a worker."""
        scheduler.sources.append(self)

    def start(self, run: Run, context: Context) -> None:
        """Run a call."""
        run.task = context.run(self._loop.create_task, self._main(run, run.call))

    def end(self, run: Run, error: BaseException) -> None:
        """Raise an error in a coroutine where it waits."""
        if not isinstance(run.wanted, Ending):
            run.wanted = error
            self._loop.call_soon(run.task.cancel)

    def stop(self) -> None:
        """The worker is gone: cancel all."""
        self._scheduler.sources.remove(self)
        if self._is_busy:
            return  # The one who ends the worker is a coroutine of it: there is no turn any more.
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        for _ in range(LAST_TURNS):
            if not asyncio.all_tasks(self._loop):
                break
            self._scheduler.spawn(self._loop.turn)
        self._loop.close()

    async def _main(self, run: Run, call: Call) -> None:
        try:
            ended: Outcome | BaseException = await steered(run, run.job.run_coroutine(call, run.note))
        except BaseException as error:
            ended = error
        self._pool.ended(run, call, ended)

    # -- for the scheduler ---------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        if not self._is_busy and self._loop.is_due():
            yield self._take_turn

    def next_s(self) -> float:
        return math.inf if self._is_busy else self._loop.next_s()

    def waits_for_the_world(self) -> bool:
        return not self._is_busy and self._loop.has_world()

    def _take_turn(self) -> None:
        self._is_busy = True
        self._scheduler.spawn(self._turn)

    def _turn(self) -> None:
        try:
            self._loop.turn()
        finally:
            self._is_busy = False
