"""Who is next: the one place that runs things in a mesh in the test's process, and lets time pass when nothing is left.

Nodes take turns, and each call runs in a greenlet of its own, so that one that waits for others stands aside. All of that
happens in the thread of whoever waits: nothing runs in the background, and nothing depends on how fast the machine is.

Where several threads wait, as in tests of web applications, they take turns, step by step. A greenlet cannot change its
thread, so each goes on with what it has begun.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from random import Random
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

from actorq import native
from actorq.errors import ActorqError
from actorq.testing.loop import Loop
from actorq.transport import MemoryLink, MemoryNetwork, Turn

NEVER_S = 1e8
"""Nothing is waited for that comes later than this: nodes that only look after each other do so at such times."""
WORLD_S = 0.02
"""Real time: how long what tasks wait for outside of the mesh may take before the clock of the mesh goes on."""
LONG_S = 10.0
"""Real time: how long that may take where nothing else is left to happen, and other threads with their steps."""
LOOK_AGAIN_S = 0.001
ANY_THREAD = 0

Step = Callable[[], object]


class WouldWaitForEver(ActorqError):
    """Somebody waits in a mesh in which nothing is left to happen."""


class Source(Protocol):
    """Something that has steps for the scheduler."""

    def steps(self) -> Iterable[Step]:
        """What could happen now: the scheduler takes one of these, if any, and asks again."""

    def next_s(self) -> float:
        """When there is something to do that is only a matter of time. Infinity: never."""

    def waits_for_the_world(self) -> bool:
        """Whether something may come from outside of the mesh: from a socket, or a thread."""


class MeshBell:
    """What somebody waits with (see `actorq.native.Bell`): the mesh runs until it is rung."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.is_rung = False
        self.waiter: greenlet | None = None
        """The task's greenlet that stands aside until it is rung."""
        self._scheduler = scheduler

    def ring(self) -> None:
        """Wake the waiter, now or when it begins to wait."""
        self.is_rung = True
        if self.waiter is not None:
            self._scheduler.resume_soon(self.waiter)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a ring, and consume it. False if the time was over first, by the clock of the mesh.

        Raises WouldWaitForEver.
        """
        if not self.is_rung:
            self._scheduler.wait(self, timeout_s)
        is_rung, self.is_rung = self.is_rung, False
        return is_rung


class Scheduler:
    """Runs one step after the other. With a seed it draws which; without, the order is that in which things came."""

    def __init__(self, seed: int | None, start_s: float) -> None:
        self.loop = Loop()
        self.network = MemoryNetwork()
        self.sources: list[Source] = []
        self.is_closed = False
        self._start_s = start_s
        self._own_thread = threading.get_ident()
        self._rng = None if seed is None else Random(seed)
        self._links: list[MemoryLink] = []
        self._soon: deque[tuple[int, Step]] = deque()
        """What is to be done, with the thread that has to do it."""
        self._greenlets: dict[greenlet, int] = {}
        """Those that run tasks and callbacks, and have not ended, with their threads."""
        self._aside: dict[greenlet, object] = {}
        """Those of them that wait, with a mark of the wait."""
        self._lock = threading.RLock()
        """Held during each step."""
        self._runners: Counter[int] = Counter()
        """Threads that run the mesh, with how often one inside the other."""

    @property
    def wall_s(self) -> float:
        """Unix time in the mesh."""
        return self._start_s + self.loop.now_s

    # -- who takes part ------------------------------------------------------------------------------------------

    def link(self, host: str, turn: Turn) -> MemoryLink:
        """A link whose turns are taken here."""
        link = self.network.link(host, turn)
        link.wake()
        self._links.append(link)
        return link

    def remove(self, link: MemoryLink) -> None:
        """Its owner is gone without a word."""
        self.network.crash(link)
        self._links.remove(link)

    def bell(self) -> MeshBell:
        """A bell for whoever waits in the mesh."""
        return MeshBell(self)

    def call_soon(self, run: Step) -> None:
        """Have `run` called in a greenlet of its own: it may wait."""
        self._soon.append((ANY_THREAD, partial(self.spawn, run)))

    def spawn(self, run: Step, context: Context | None = None) -> None:
        """Run something in a greenlet of its own, until it waits or has ended."""
        child = greenlet(run)
        child.gr_context = context or Context()
        self._greenlets[child] = threading.get_ident()
        self._switch_to(child)

    def resume_soon(self, waiting: greenlet, error: BaseException | None = None) -> None:
        """Have a greenlet go on that waits, or raise `error` where it waits."""
        wait = self._aside.get(waiting)
        if wait is not None:
            self._soon.append((self._greenlets[waiting], partial(self._resume, waiting, wait, error)))

    def end(self, waiting: greenlet) -> None:
        """Make a greenlet end that waits: now, if it belongs to this thread."""
        wait = self._aside.get(waiting)
        if wait is not None and self._greenlets.get(waiting) == threading.get_ident():
            self._resume(waiting, wait, GreenletExit())

    def is_task(self) -> bool:
        """Whether the caller runs in a task's greenlet."""
        return getcurrent() in self._greenlets

    # -- running -------------------------------------------------------------------------------------------------

    def run_until_idle(self) -> None:
        """Take all steps that are to be taken without letting time pass."""
        if self.is_task():
            raise ActorqError("a task cannot run the mesh that runs it: let it wait for a result, or its clock advance")
        self.run_until(lambda: False, self.loop.now_s)

    def run_until(self, done: Callable[[], bool], until_s: float = math.inf) -> None:
        """Take steps until `done`, and let time pass where there are none, up to `until_s`. Raises WouldWaitForEver."""
        with self._locked():
            if until_s < math.inf:
                self.loop.at(until_s, lambda: None)  # Other threads that let time pass do not go beyond it.
        thread = threading.get_ident()
        self._runners[thread] += 1
        try:
            self._run(done, until_s)
            if thread != self._own_thread or any(
                count for each, count in list(self._runners.items()) if each != thread
            ):
                self._finish_own()
        finally:
            self._runners[thread] -= 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and all that happens meanwhile happen."""
        if self.is_task():
            self.bell().wait(seconds)
            return
        self.run_until(lambda: False, self.loop.now_s + seconds)
        self.run_until_idle()

    def wait(self, bell: MeshBell, timeout_s: float | None) -> None:
        """Return when the bell is rung, or the time is over. A task stands aside; anybody else runs the mesh."""
        if self.is_closed:
            raise _closed()
        until_s = math.inf if timeout_s is None else self.loop.now_s + max(timeout_s, 0.0)
        if self.is_task():
            self._stand_aside(bell, until_s)
        else:
            self.run_until(lambda: bell.is_rung, until_s)

    def next_s(self) -> float:
        """When something happens next, if only time passes."""
        sources = [source.next_s() for source in self.sources]
        links = [link.due_s for link in self._links if not link.is_closed]
        return max(min([self.loop.next_s(), self.network.next_s(), *links, *sources]), self.loop.now_s)

    def run_on(self, until_s: float = math.inf) -> float:
        """There are no steps: let time pass until there may be some. Returns when that is. Raises WouldWaitForEver."""
        with self._locked():
            next_s = self.next_s()
            if next_s >= NEVER_S and until_s == math.inf:
                raise WouldWaitForEver(
                    "nothing is left to happen in the mesh, so this wait would not end: no worker offers the task or "
                    "takes its queue, what it waits for never comes, or it is up to a task that another thread has begun "
                    "and has to go on with. `mesh.calls()` shows what was submitted"
                )
            self.loop.run_until(max(min(next_s, until_s), self.loop.now_s))
            return next_s

    def _run(self, done: Callable[[], bool], until_s: float) -> None:
        thread = threading.get_ident()
        idle_since_s = 0.0
        while True:
            with self._locked():
                if done():
                    return
                if self._step(thread):
                    idle_since_s = 0.0
                    continue
                now_s = time.monotonic()
                idle_since_s = idle_since_s or now_s
                if now_s - idle_since_s >= self._patience_s(thread, until_s):
                    idle_since_s = 0.0
                    if until_s <= self.loop.now_s or until_s <= self.run_on(until_s):
                        return
                    continue
            native.sleep(LOOK_AGAIN_S)

    def _step(self, thread: int) -> bool:
        """Make one thing happen. False: there is nothing for this thread to do."""
        if self.is_closed:
            raise _closed()
        now_s = self.loop.now_s
        self.loop.run_until(now_s)
        self.network.deliver(now_s)
        steps: list[Step] = [partial(link.take_turn, now_s) for link in self._links if link.wants_turn(now_s)]
        steps += [partial(self._take, item) for item in self._soon if item[0] in (ANY_THREAD, thread)]
        for source in self.sources:
            if steps and self._rng is None:
                break  # It is the first one in any case.
            steps += source.steps()
        if not steps:
            return False
        step = steps[0] if self._rng is None else self._rng.choice(steps)
        step()
        return True

    def _take(self, item: tuple[int, Step]) -> None:
        self._soon.remove(item)
        item[1]()

    def _patience_s(self, thread: int, until_s: float) -> float:
        """How long, really, to wait for what this thread cannot do, before the clock of the mesh goes on."""
        if any(owner != thread and self._runners[owner] for owner, _ in self._soon):
            return LONG_S
        if not any(source.waits_for_the_world() for source in self.sources):
            return 0.0
        return LONG_S if self.next_s() >= NEVER_S and until_s == math.inf else WORLD_S

    def _finish_own(self) -> None:
        """This thread may end now, and nobody else can go on with its greenlets: let them end, if time need not pass."""
        thread = threading.get_ident()
        self._run(lambda: thread not in self._greenlets.values(), self.loop.now_s)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=LONG_S):
            raise ActorqError(
                "another thread runs the mesh of this test and does not get on: does a task wait for a thread that waits "
                "for a result? That works with real workers only: see actorq.testing.worker"
            )
        try:
            yield
        finally:
            self._lock.release()

    # -- greenlets -----------------------------------------------------------------------------------------------

    def _resume(self, waiting: greenlet, wait: object, error: BaseException | None) -> None:
        if self._aside.get(waiting) is wait:  # Else it has gone on meanwhile.
            self._switch_to(waiting, error)

    def _switch_to(self, target: greenlet, error: BaseException | None = None) -> None:
        """Run a greenlet until it stands aside or has ended. What it raises comes out here."""
        target.parent = getcurrent()
        outer = _set_running_loop(None)
        try:
            if error is None:
                target.switch()
            else:
                target.throw(error)
        finally:
            _set_running_loop(outer)
            if target.dead:
                self._greenlets.pop(target, None)

    def _stand_aside(self, bell: MeshBell, until_s: float) -> None:
        """Back to whoever runs the mesh, until the bell is rung or the time is over."""
        current = getcurrent()
        wait = self._aside[current] = object()
        bell.waiter = current
        if until_s < math.inf:
            self.loop.at(until_s, partial(self._resume_if, current, wait))
        own_loop = _set_running_loop(None)
        try:
            current.parent.switch()
        finally:
            _set_running_loop(own_loop)
            bell.waiter = None
            del self._aside[current]

    def _resume_if(self, waiting: greenlet, wait: object) -> None:
        if self._aside.get(waiting) is wait:
            self.resume_soon(waiting)

    def close(self) -> None:
        """End what still runs, and never run anything again."""
        self.is_closed = True
        for left in list(self._aside):
            self.end(left)


def _closed() -> ActorqError:
    return ActorqError("the mesh of this test is closed: nothing runs in it any more")


def _set_running_loop(loop: Any) -> Any:
    """Which asyncio loop this thread seems to be in; returns the one before. Each greenlet is in one of its own, or none."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    return before
