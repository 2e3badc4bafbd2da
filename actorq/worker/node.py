"""A worker node: its parts, put together, from its start to its end.

Two actors: the worker, which owns the link and has the core, and the watchdog's, which starts and stops its thread. A
failure of either ends the process, and a fresh one takes its place: what was leased to it is delivered again.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType

from actorq import ids
from actorq.actors import Actor, ActorRef, ActorSystem, ChildSpec, Reason
from actorq.actors.gate import HubGate
from actorq.config import WorkerSettings
from actorq.transport import LinkKeys
from actorq.wire.declarations import Declaration
from actorq.worker.base import Pool
from actorq.worker.commands import Commands
from actorq.worker.core import Worker
from actorq.worker.dump import dump_all_at_signal
from actorq.worker.forking import protect_children
from actorq.worker.jobs import Application, Jobs
from actorq.worker.kinds import GREEN
from actorq.worker.life import Life
from actorq.worker.options import EXIT_RECYCLED, EXIT_TOLD, remapped
from actorq.worker.pools import make_pool
from actorq.worker.shell import Consume, Drain, WorkerActor
from actorq.worker.watchdog import SIGNAL, Watchdog

HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, SIGNAL, signal.SIGALRM)

logger = logging.getLogger("actorq.worker")


class Node:
    """One worker node, for the main thread of a process; monkey-patched, if its pool is of that `kind`."""

    def __init__(
        self,
        name: str,
        pid: int,
        application: Application,
        addresses: Sequence[str],
        queues: Sequence[str],
        settings: WorkerSettings,
        drain_s: float,
        by_value: bool = True,
        pulse_fd: int | None = None,
        keys: LinkKeys | None = None,
        declares: Sequence[Declaration] = (),
        life: Life | None = None,
        kind: str = GREEN,
    ) -> None:
        self.error = ""
        """Why the node could not go on, once `run` has returned; empty if it ended as it was told."""
        self._drain_s = drain_s
        self._life = life
        self._inbox: ActorRef | None = None
        self._stops = 0
        self._reason = ""
        self._gate = HubGate()
        self._system: ActorSystem | None = None
        jobs = Jobs(application, by_value)
        epoch, now_s = ids.random_id(), time.monotonic()
        core = Worker(name, epoch, pid, queues, jobs.offers(), jobs.make, settings, addresses, now_s, declares)
        self._pool: Pool = make_pool(
            kind,
            core.ready,
            name,
            settings.concurrency,
            lambda outcomes: self._worker.ended(outcomes),
            self._gate.call_soon,
        )
        self._pool.cancelled = core.leases.cancelled
        commands = Commands(core, self._pool, jobs, self._shut_down, self._consume)
        self._watchdog = Watchdog(core, self._pool, commands, self._gate, settings, pulse_fd, keys, life)
        self._worker = WorkerActor(core, self._pool, jobs, self._watchdog, addresses, self._leave, keys, life)

    def run(self) -> None:
        """Run until it is told to stop. Raises what one of its actors has failed with."""
        with ActorSystem("worker", intensity=0) as system:
            self._system = system
            self._inbox = system.start(ChildSpec(lambda: self._worker, "worker"))
            if self._reason:
                self._drain()  # It was told to stop before there was anybody to hear it.
            system.start(ChildSpec(lambda: WatchdogActor(self._watchdog), "watchdog"))
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            signal.signal(signal.SIGQUIT, self._on_signal)
            signal.signal(signal.SIGHUP, lambda *_: self.restart("told to restart by SIGHUP"))
            dump_all_at_signal(self._pool)
            protect_children(self._pool, HANDLED_SIGNALS)
            system.join()

    @property
    def status(self) -> int:
        """The exit status of the process, once `run` has returned without an error."""
        return self._watchdog.end_status if self._stops or not self._worker.retires else EXIT_RECYCLED

    def restart(self, reason: str) -> None:
        """As `stop`, with a status that has a fresh process take this one's place. From any thread."""
        if not self._stops:
            self._watchdog.end_status = EXIT_RECYCLED
            self._end(reason, self._drain_s)

    def stop(self, reason: str, signal_name: str = "") -> None:
        """End: first give back what has not started, and let run what runs for `drain_s`. Again: end that as well, now.

        From any thread, also in a signal handler.
        """
        self._stops += 1
        self._watchdog.end_status = EXIT_TOLD
        self._end(reason, self._drain_s if self._stops == 1 else 0.0)
        if self._life is not None:
            self._gate.call_soon(self._life.ending, signal_name, self._stops > 1)

    def _end(self, reason: str, drain_s: float) -> None:
        self._reason = self._reason or reason
        self._watchdog.shut_down_at_s = time.monotonic() + drain_s
        self._watchdog.wake()
        self._gate.call_soon(self._drain)

    def _shut_down(self) -> None:
        """The command, which may come twice: the second time is no order to make haste, as a second signal is."""
        if not self._stops:
            self.stop("told to shut down")

    def _consume(self, queues: list[str]) -> None:
        """From any thread: take calls of these queues."""
        self._gate.call_soon(lambda: self._tell(Consume(queues)))

    def stop_with_parent(self, parent_fd: int) -> None:
        """Stop when `parent_fd`, the reading end of a pipe, says that nobody holds the other end any more."""
        os.set_inheritable(parent_fd, False)
        watcher = self._gate.hub.loop.io(parent_fd, 1)

        def on_readable() -> None:
            watcher.stop()
            self.stop("its parent process has died")

        watcher.start(on_readable)

    def _drain(self) -> None:
        self._tell(Drain(self._reason))

    def _tell(self, message: Consume | Drain) -> None:
        if self._inbox is not None and not self._inbox.stopped:
            self._inbox.tell(message)

    def _leave(self, error: str) -> None:
        self.error = self.error or error
        if self._system is not None:
            self._system.root.stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if remapped(signal.Signals(number)) == signal.SIGQUIT:
            self._stops += 1
        name = signal.Signals(number).name
        self.stop(f"told to end by {name}", name)


class WatchdogActor(Actor):
    """The watchdog's thread lives and dies with it."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog

    def on_start(self) -> None:
        self._watchdog.start()

    def on_stop(self, reason: Reason) -> None:
        self._watchdog.stop()
