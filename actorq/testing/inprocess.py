"""`mesh`: an application's mesh for a test, in the test's own process and thread, with a clock that the test moves."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from actorq.config import DEFAULT_QUEUE, CoordinatorSettings, LivenessSettings, WorkerSettings
from actorq.errors import ImproperlyConfigured, NotRegistered, nearest
from actorq.native import Bell
from actorq.stores.memory import Shelf
from actorq.tasks.result import AsyncResult
from actorq.testing.clock import Clock
from actorq.testing.coordinator_node import CoordinatorNode
from actorq.testing.scheduler import Scheduler
from actorq.testing.session import MeshSession
from actorq.testing.worker_node import WorkerNode
from actorq.wire.frames import bytes_of
from actorq.wire.records import Call, CallSpec

if TYPE_CHECKING:
    from actorq.app import ActorQ

NEVER_S = 1e9
"""Nobody falls silent here, so nobody has to look, again and again, whether the others live."""
LIVENESS = LivenessSettings(heartbeat_s=NEVER_S, suspect_s=NEVER_S, lease_s=NEVER_S)


@dataclass(frozen=True)
class Submitted:
    """A call that was submitted in the mesh, by the test or by a task."""

    name: str
    """Of the task."""
    args: tuple[Any, ...]
    """As they will come to the task: after the serializer."""
    kwargs: dict[str, Any]
    app: ActorQ
    spec: CallSpec
    call: Call

    @property
    def id(self) -> str:
        """The call's id."""
        return self.call.id

    @property
    def queue(self) -> str:
        """Where it waits, or has waited."""
        return self.spec.queue

    @property
    def priority(self) -> int:
        """From 0 to 9, higher first."""
        return self.spec.priority

    @property
    def eta(self) -> float | None:
        """Unix time of the earliest start; None: at once."""
        return self.call.not_before or None

    @property
    def expires(self) -> float | None:
        """Unix time of the latest start; None: there is none."""
        return self.call.expires or None

    @property
    def result(self) -> AsyncResult[Any]:
        """Its result, as whoever has submitted it has it."""
        return self.app.AsyncResult(self.id)

    @property
    def state(self) -> str:
        """As of its result."""
        return self.result.state


class Mesh:
    """A coordinator and workers in this process. Made by `mesh`."""

    def __init__(
        self,
        app: ActorQ,
        workers: int,
        concurrency: int,
        queues: Sequence[str],
        durable: bool,
        seed: int | None,
        start: datetime | None,
    ) -> None:
        self.app = app
        self._scheduler = Scheduler(seed, time.time() if start is None else start.timestamp())
        self.clock = Clock(self._scheduler)
        """What time it is for calls: for their ETA, expiry, retries and limits."""
        self._queues = list(queues)
        self._concurrency = concurrency
        self._shelf = Shelf() if durable else None
        self._submitted: list[Submitted] = []
        self._failures: dict[str, deque[BaseException]] = {}
        self._epochs = 0
        self._names = 0
        self._coordinator = self._start_coordinator()
        self._workers: dict[str, WorkerNode] = {}
        self._leaving: list[WorkerNode] = []
        """Those that others have taken the place of, and that end what they run."""
        for _ in range(workers):
            self.add_worker()

    # -- running -------------------------------------------------------------------------------------------------

    def run_until_idle(self) -> None:
        """Run all that can run now. Time stands still, so what is scheduled for later does not run."""
        self._scheduler.run_until_idle()

    def run(self) -> None:
        """Run all that was submitted, and let as much time pass as that takes, scheduled calls included.

        Returns when every call has settled, or nothing is left to happen.
        """
        core = self._coordinator.core
        self.run_until_idle()
        while core.state.calls and self._scheduler.next_s() < NEVER_S / 10:
            self._scheduler.run_on()
            self.run_until_idle()
            core = self._coordinator.core

    # -- what a test may look at ---------------------------------------------------------------------------------

    def calls(self, task: str | Any = "") -> list[Submitted]:
        """The calls that were submitted, in order: all, or those of one task, which is given or named.

        Raises NotRegistered for a name of which there is neither a task nor a call.
        """
        name = getattr(task, "name", task)
        if not name:
            return list(self._submitted)
        found = [each for each in self._submitted if each.name == name]
        if not found and name not in self.app.tasks:
            raise NotRegistered(name, self.app.tasks)
        return found

    def forget_calls(self) -> None:
        """Let `calls` begin anew."""
        self._submitted.clear()

    def fail_next(self, task: str | Any, error: BaseException, times: int = 1) -> None:
        """Have the next runs of a task raise `error` instead of running. Raises NotRegistered."""
        name = getattr(task, "name", task)
        if name not in self.app.tasks:
            raise NotRegistered(name, self.app.tasks)
        self._failures.setdefault(name, deque()).extend([error] * times)

    @property
    def workers(self) -> list[str]:
        """Names of the workers that are there."""
        return [name for name, node in self._workers.items() if not node.has_left]

    # -- trouble -------------------------------------------------------------------------------------------------

    def add_worker(self, queues: Sequence[str] = (), concurrency: int | None = None) -> str:
        """Start one more worker, by default as the others are. Returns its name."""
        self._names += 1
        name = f"worker-{self._names}"
        self._start_worker(name, list(queues) or self._queues or [DEFAULT_QUEUE], concurrency or self._concurrency)
        return name

    def kill_worker(self, name: str = "", restart: bool = True) -> None:
        """A worker's process dies, with all that it was running: by default the first one's that is there.

        `restart`: a new process takes its place, as supervisors do it; else the calls go to others when the grace of the
        lost one is over. A task may do this to its own worker. Raises ImproperlyConfigured.
        """
        node = self._node(name)
        if restart:
            self._start_worker(node.name, node.core.queues, node.pool.concurrency)
        else:
            del self._workers[node.name]
        node.crash()

    def stop_worker(self, name: str = "") -> None:
        """A worker is told to end, as by SIGTERM: it ends what it runs, and takes nothing new."""
        self._node(name).drain()

    def restart_coordinator(self) -> None:
        """The coordinator's process dies, and another one starts. A durable mesh has a journal, and so loses nothing."""
        self._coordinator.crash()
        self._coordinator = self._start_coordinator()

    # -- its parts -----------------------------------------------------------------------------------------------

    def _start_coordinator(self) -> CoordinatorNode:
        self._epochs += 1
        settings = CoordinatorSettings(liveness=LIVENESS, durable=self._shelf is not None)
        epoch = f"coordinator/{self._epochs}"
        return CoordinatorNode(self._scheduler, "coordinator", epoch, settings, self._shelf)

    def _start_worker(self, name: str, queues: Sequence[str], concurrency: int) -> None:
        self._epochs += 1
        liveness = replace(LIVENESS, grace_s=NEVER_S)
        settings = WorkerSettings(liveness=liveness, concurrency=concurrency, lookahead_limit=0)
        node = WorkerNode(self._scheduler, name, f"{name}/{self._epochs}", self.app, queues, settings)
        node.pool.failures = self._failures
        self._workers[name] = node

    def _renew_workers(self, queue: str) -> None:
        """Have workers that know all tasks, one of which was registered since they have started, and take calls of one
        more queue, unless the test has said of which. Those that are there end what they run."""
        self._leaving = [node for node in self._leaving if not node.has_left]
        for name, node in list(self._workers.items()):
            if not node.core.draining:
                self._leaving.append(node)
                queues = node.core.queues if self._queues else list(dict.fromkeys([*node.core.queues, queue]))
                self._start_worker(name, queues, node.pool.concurrency)
                node.drain()

    def _node(self, name: str) -> WorkerNode:
        names = self.workers
        if not names or (name and name not in names):
            hint = nearest(name, names) or f"there are: {', '.join(names) or 'none'}"
            raise ImproperlyConfigured(f"there is no worker {name!r} in this mesh: {hint}")
        return self._workers[name or names[0]]

    # -- for the application (see actorq.client.testbed.Testbed) ---------------------------------------------------

    def now_s(self) -> float:
        """The monotonic time."""
        return self._scheduler.loop.now_s

    def wall_s(self) -> float:
        """Unix time."""
        return self._scheduler.wall_s

    def new_bell(self) -> Bell:
        """A bell for whoever waits: the mesh runs meanwhile."""
        return self._scheduler.bell()

    def open_session(self) -> MeshSession:
        """A session for the application."""
        settings = replace(self.app.settings, heartbeat_s=NEVER_S)
        return MeshSession(self._scheduler, settings, self._note_call)

    def _note_call(self, session: MeshSession, call: Call) -> None:
        spec = session.core.specs[call.spec - 1][1]
        if not self._is_served(spec):
            self._renew_workers(spec.queue)
        args, kwargs = self.app.serializers.decode_call(spec.content, bytes_of(call.body))
        self._submitted.append(Submitted(spec.task, tuple(args), kwargs, self.app, spec, call))

    def _is_served(self, spec: CallSpec) -> bool:
        """Whether workers know the task and take calls of the queue, as far as that is not for the test to say."""
        nodes = self._workers.values()
        if not self._queues and not any(spec.queue in node.core.queues for node in nodes):
            return False
        return (
            bool(spec.code) or spec.task not in self.app.tasks or all(spec.task in node.core.offers for node in nodes)
        )

    def close(self) -> None:
        """End it, with all that still runs."""
        try:
            for node in [*self._workers.values(), *self._leaving]:
                if not node.has_left:
                    node.crash()
        finally:
            self._scheduler.close()


@contextmanager
def mesh(
    app: ActorQ,
    workers: int = 1,
    concurrency: int = 4,
    *,
    queues: Sequence[str] = (),
    durable: bool = False,
    seed: int | None = None,
    start: datetime | None = None,
) -> Iterator[Mesh]:
    """Run `app` on a mesh in this process, as long as the block lasts; its `url` does not matter meanwhile.

        with actorq.testing.mesh(app, workers=2) as mesh:
            assert add.delay(2, 3).get() == 5

    The coordinator, the workers and the session are the real ones, and arguments and results go through the serializer.
    But there is no other process, no thread and no socket: tasks run in the thread of whoever waits, when it waits, by
    `get()`, ``await``, `mesh.run_until_idle()` or `mesh.clock.advance()`. Time is the mesh's own: it stands still, but for
    what the test lets pass, and for the time that somebody waits where nothing is left to do meanwhile. So a call with
    a countdown of an hour is there at once if it is waited for.

    concurrency: calls that run at once in each worker, which matters where tasks wait for others. queues: that the
    workers take calls from, by default all that calls name. durable: the coordinator has a
    journal (in memory). seed: draw the order in which things happen, where it is open, the same for the same seed; by
    default it is that in which they were submitted. start: the time at the beginning, by default now.

    `coverage` needs ``concurrency = greenlet`` to follow tasks that wait for others.
    """
    if app.testbed is not None:
        raise ImproperlyConfigured("this application has a mesh in this process already: use that, or end it first")
    app.close()
    running = Mesh(app, workers, concurrency, queues, durable, seed, start)
    app.testbed = running
    app.forget_specs()
    try:
        running.run_until_idle()
        yield running
    finally:
        try:
            running.close()
            app.close()
        finally:
            app.testbed = None
            app.forget_specs()
