"""The actors of a process, or of one native thread of it, from their start to their end."""

from __future__ import annotations

import logging
from types import TracebackType

from actorq import errors
from actorq.actors.cell import Cell
from actorq.actors.gate import HubGate
from actorq.actors.reasons import Ended, Reason
from actorq.actors.ref import ActorRef
from actorq.actors.signals import Watch
from actorq.actors.spec import ChildSpec, Restart
from actorq.actors.supervisor import ListChildren, StartChild, StopChild, Strategy, Supervisor

log = logging.getLogger("actorq.actors")


class ActorSystem:
    """A root supervisor, whose children run on the gevent hub of the native thread that makes the system.

        with ActorSystem("node") as system:
            link = system.start(ChildSpec(Link, "link"))
            system.start(ChildSpec(lambda: Worker(link), "worker"))
            system.join()

    The end of the block stops the children in reverse order; if the system had failed before, it raises why. Nothing
    needs to be monkey-patched. The methods may be called from any native thread; those that wait, not from an actor of
    the system: an actor that wants it to end calls ``system.root.stop()``.
    """

    def __init__(
        self,
        name: str,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: int = 3,
        period_s: float = 5.0,
    ) -> None:
        supervisor = Supervisor((), strategy, intensity, period_s)
        spec = ChildSpec(lambda: supervisor, name, Restart.TEMPORARY)
        gate = HubGate()
        self._root = Cell(spec, gate, parent=None)
        self._root.start()
        self._root.mailbox.signal(Watch(self, lambda _: gate.close()))

    @property
    def root(self) -> ActorRef:
        """The root supervisor."""
        return self._root.ref

    def start(self, spec: ChildSpec) -> ActorRef:
        """Start one more child, and wait until its `on_start` has returned.

        Raises what its factory or `on_start` raised (the child is forgotten then), ImproperlyConfigured if the name is
        taken, and ActorStopped if the system has ended.
        """
        ref: ActorRef = self.root.ask(StartChild(spec))
        return ref

    def stop_child(self, name: str) -> Reason:
        """Stop a child for good, wait until it has ended, and return why it did. Raises ImproperlyConfigured."""
        reason: Reason = self.root.ask(StopChild(name))
        return reason

    def children(self) -> dict[str, ActorRef]:
        """The children by name, in the order of their start."""
        found: dict[str, ActorRef] = self.root.ask(ListChildren())
        return found

    def stop(self, timeout_s: float | None = None) -> None:
        """Stop all children in reverse order, each within its `shutdown_s`, and return when they have ended.

        Those that are left after `timeout_s` are killed. Does nothing if the system has ended.
        """
        self.root.stop(Ended.SHUTDOWN)
        try:
            self.root.join(timeout_s)
        except errors.TimeoutError:
            log.warning("system %s has not stopped within %s s: its actors are killed", self.root.name, timeout_s)
            self._root.kill()
            self.root.join()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until the system has ended. Raises the reason if it failed, and TimeoutError after `timeout_s`."""
        reason = self.root.join(timeout_s)
        if isinstance(reason, BaseException):
            raise reason

    def run(self, *specs: ChildSpec) -> None:
        """Start these children in order and wait until the system has ended. Raises as `start` and `join` do.

        On the way out, for whatever reason, all that was started is stopped.
        """
        with self:
            for spec in specs:
                self.start(spec)
            self.join()

    def __enter__(self) -> ActorSystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            self.join()

    def __repr__(self) -> str:
        return f"<actor system {self.root.name}{', ended' if self.root.stopped else ''}>"
