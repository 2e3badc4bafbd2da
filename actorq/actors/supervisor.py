"""An actor that starts others, starts them again when they fail, and gives up when that does not help.

Source: supervisors of Erlang/OTP, https://www.erlang.org/doc/system/sup_princ.html. Different from there: a
restart keeps the child's reference and mailbox, and a child that is not started again is forgotten.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from actorq import errors
from actorq.actors.actor import Actor
from actorq.actors.cell import KILL_GRACE_S, Cell, ChildEnded
from actorq.actors.handlers import handles
from actorq.actors.reasons import Ended, Reason, describe, is_interrupt, reason_of
from actorq.actors.ref import ActorRef
from actorq.actors.restarts import RestartBudget
from actorq.actors.spec import ChildSpec, Restart
from actorq.errors import ActorStopped, ImproperlyConfigured, RestartsExhausted, nearest

log = logging.getLogger("actorq.actors")


class Strategy(Enum):
    """Who is started again together with a child that has ended."""

    ONE_FOR_ONE = "one for one"
    """Nobody."""
    ONE_FOR_ALL = "one for all"
    """All other children: they are stopped in reverse order, then all are started in order."""
    REST_FOR_ONE = "rest for one"
    """The children that were started after it, in the same way."""


@dataclass(frozen=True, slots=True)
class StartChild:
    """Ask a supervisor to start one more child, as its last. The answer is its ActorRef, once `on_start` has returned.

    The asker gets what the factory or `on_start` raised, and ImproperlyConfigured if the name is taken.
    """

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StopChild:
    """Ask a supervisor to stop a child for good. Answered when it has ended, with the reason."""

    name: str


@dataclass(frozen=True, slots=True)
class ListChildren:
    """Ask a supervisor for its children: a dict from name to ActorRef, in the order of their start."""


class Supervisor(Actor):
    """Starts `children` in order, stops them in reverse, and starts them again as their specs and `strategy` say.

    If that would be more than `intensity` restarts within `period_s`, it fails with RestartsExhausted: its children
    stop, and its own supervisor decides. It fails as well when a child cannot be started in `on_start`. An attempt to
    start a child again that fails is followed by another one, which counts too. A *temporary* child that is stopped
    for the sake of another one is not started again. When it is killed, it kills its children.

    The default of OTP is an intensity of 1 in 5 s. Here it is 3, so that a child that fails twice because of something
    else that is just being started again does not take all down.
    """

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: int = 3,
        period_s: float = 5.0,
    ) -> None:
        self._specs = list(children)
        self._strategy = strategy
        self._budget = RestartBudget(intensity, period_s)
        self._cells: dict[str, Cell] = {}  # In the order of their start.

    def on_start(self) -> None:
        try:
            for spec in self._specs:
                self._add(spec)
        except BaseException as error:
            self.on_stop(reason_of(error))
            raise

    def on_stop(self, reason: Reason) -> None:
        try:
            if reason is not Ended.KILLED:
                for cell in self._newest_first():
                    self._end(cell)
        finally:
            self._kill_all()

    def on_failure(self, error: BaseException, message: Any) -> None:
        if not isinstance(message, (StartChild, StopChild)):
            raise error
        log.warning("supervisor %s: %s failed: %s", self.ref.name, type(message).__qualname__, error)

    @handles(StartChild)
    def start_child(self, message: StartChild) -> ActorRef:
        return self._add(message.spec).ref

    @handles(StopChild)
    def stop_child(self, message: StopChild) -> Reason:
        cell = self._cells.get(message.name)
        if cell is None:
            hint = nearest(message.name, self._cells) or f"its children are: {', '.join(self._cells) or 'none'}"
            raise ImproperlyConfigured(f"supervisor {self.ref.name} has no child {message.name!r}: {hint}")
        self._end(cell)
        return cell.reason

    @handles(ListChildren)
    def list_children(self, message: ListChildren) -> dict[str, ActorRef]:
        return {name: cell.ref for name, cell in self._cells.items()}

    @handles(ChildEnded)
    def child_ended(self, ended: ChildEnded) -> None:
        cell = ended.cell
        if self._cells.get(cell.spec.name) is not cell or ended.incarnation != cell.incarnation:
            return  # It was stopped, or has been started again, on behalf of another one.
        if is_interrupt(ended.reason):
            self.stop(ended.reason)
        elif cell.is_closed:
            self._forget(cell)
        else:
            self._restart(cell, ended.reason)

    # -- one child -----------------------------------------------------------------------------------------------

    def _add(self, spec: ChildSpec) -> Cell:
        if spec.name in self._cells:
            raise ImproperlyConfigured(
                f"supervisor {self.ref.name} has a child {spec.name!r} already: choose another name"
            )
        cell = self._cells[spec.name] = Cell(spec, self.ref._mailbox.gate, self.ref)
        reason = cell.start()
        if reason is None:
            return cell
        self._forget(cell)
        if is_interrupt(reason):
            self.stop(reason)
        elif isinstance(reason, BaseException):
            raise reason
        raise ActorStopped(f"actor {cell.ref.name} {describe(reason)} while it started")

    def _end(self, cell: Cell) -> None:
        """Stop a child for good."""
        cell.stop(cell.spec.shutdown_s)
        self._forget(cell)

    def _forget(self, cell: Cell) -> None:
        self._cells.pop(cell.spec.name, None)
        cell.close()

    # -- several -------------------------------------------------------------------------------------------------

    def _newest_first(self) -> list[Cell]:
        return list(reversed(self._cells.values()))

    def _restart(self, failed: Cell, reason: Reason) -> None:
        """Start a child again, and those that its end concerns, until all of them have started."""
        while True:
            self._spend(failed, reason)
            group = self._concerned(failed)
            for cell in reversed(group):
                self._pause(cell)
            for cell in group:
                if cell.is_closed:
                    continue
                not_started = cell.start()
                if not_started is not None:
                    failed, reason = cell, not_started
                    break
            else:
                return
            if is_interrupt(reason):
                self.stop(reason)
                return

    def _concerned(self, failed: Cell) -> list[Cell]:
        """The children to be started again, in order."""
        cells = list(self._cells.values())
        if self._strategy is Strategy.ONE_FOR_ALL:
            return cells
        if self._strategy is Strategy.REST_FOR_ONE:
            return cells[cells.index(failed) :]
        return [failed]

    def _pause(self, cell: Cell) -> None:
        """Stop a child so that it can be started again."""
        if not cell.stop(cell.spec.shutdown_s):
            raise errors.TimeoutError(f"actor {cell.ref.name} does not end, so that it cannot be started again")
        if cell.spec.restart is Restart.TEMPORARY:
            self._forget(cell)

    def _spend(self, failed: Cell, reason: Reason) -> None:
        cause = reason if isinstance(reason, BaseException) else None
        if not self._budget.spend(time.monotonic()):
            raise RestartsExhausted(
                self.ref.name, failed.spec.name, self._budget.intensity, self._budget.period_s
            ) from cause
        log.warning("supervisor %s starts %s again, which %s", self.ref.name, failed.spec.name, describe(reason))

    def _kill_all(self) -> None:
        """End the children that are left without waiting for what they do, other than their `on_stop`."""
        cells = self._newest_first()
        try:
            for cell in cells:
                cell.kill()
            for cell in cells:
                cell.join(KILL_GRACE_S)
            for cell in cells:
                cell.stop(0)
        finally:
            for cell in cells:
                cell.kill()  # If this greenlet was killed while it waited.
                self._forget(cell)
