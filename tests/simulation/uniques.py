"""Calls with unique keys: what must hold of them, by the calls that coordinators have, whatever those say of keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.uniques import key_of
from actorq.wire import messages as m
from actorq.wire.records import UNTIL_START, Call
from tests.simulation.oracle import IN_TOUCH_S, Record

if TYPE_CHECKING:
    from tests.simulation.mesh import Mesh

Searched = Callable[[dict[str, str], list[str]], None]


class UniqueCalls:
    """Listens in on one coordinator: which calls with a key it takes, and which it does not."""

    def __init__(self, mesh: Mesh, core: Coordinator) -> None:
        self.mesh = mesh
        self.core = core
        self.state = core.state
        self.asked: dict[str, frozenset[str]] = {}
        """By call: the epochs of the coordinators that have said whether they know it, or its key."""

    def claim(self, claim: Callable[..., None], client: Client, peer: int, ids: Sequence[str], done: Searched) -> None:
        """The others are asked, before calls are taken."""
        links = {link.member.epoch: link.member.name for link in self.core.mesh.open_links()}

        def answered(states: dict[str, str], silent: list[str]) -> None:
            heard = frozenset([epoch for epoch, name in links.items() if name not in silent])
            self.asked.update(dict.fromkeys(ids, heard))
            done(states, silent)

        claim(client, peer, ids, answered)

    def check_taken(self, message: m.Submit) -> None:
        """Of the calls that were taken now, none has a key that another one holds: unless it may have been running."""
        if message.resent:
            return
        later = {call.id for call in message.calls}
        for call in message.calls:
            later.discard(call.id)
            if key_of(call) and self.state.calls.get(call.id) is call:
                self.mesh.oracle.record(call.id).alone[self.state.epoch] = None
                for epoch, other in (*self._holders_here(call), *self._holders_elsewhere(call)):
                    if other.id not in later:
                        text = f"{self.state.epoch} takes {call.id}, {epoch} has {other.id}, which holds its key"
                        self.mesh.oracle.fail("unique", text, call.id, other.id)

    def _holders_here(self, call: Call) -> Iterator[tuple[str, Call]]:
        return ((self.state.epoch, other) for other in holders(self.core, call))

    def _holders_elsewhere(self, call: Call) -> Iterator[tuple[str, Call]]:
        """Those of coordinators in touch: each has asked the other one, and was told of nothing."""
        for process in self.mesh.coordinator_processes():
            for other in holders(process.core, call) if process.core is not self.core else ():
                epoch, theirs = process.core.state.epoch, process.uniques
                have_asked = epoch in self._asked(call, epoch) and self.state.epoch in theirs._asked(other, epoch)
                record = self.mesh.oracle.record(other.id)
                # Leased, it may have held its key no longer when it was asked for, and has come back since.
                was_free = until_start(other) and record.lessors
                if have_asked and not was_free and epoch in record.alone:
                    yield epoch, other

    def _asked(self, call: Call, epoch: str) -> Collection[str]:
        """Who has answered before the call was taken, or had to be asked."""
        asked = self.asked.get(call.id)
        if asked is None and self.mesh.options.is_calm and self.mesh.loop.now_s > IN_TOUCH_S:
            return [link.member.epoch for link in self.core.mesh.open_links()]
        return asked or ()

    def check_refused(self, message: Any) -> None:
        """A call is not taken only where another one with its key has not ended since it was submitted."""
        if not isinstance(message, m.Duplicates):
            return
        for task_id, holder_id in message.calls:
            oracle, epoch = self.mesh.oracle, self.state.epoch
            record, holder = oracle.record(task_id), oracle.record(holder_id)
            self.mesh.note(f"{epoch} does not take {task_id}: {holder_id} holds its key", task_id, holder_id)
            if task_id == holder_id or not _has_same_key(record, holder):
                oracle.fail("unique", f"{task_id} is not taken, {holder_id} does not have its key", task_id, holder_id)
            if task_id in self.state.calls:
                oracle.fail("unique", f"{epoch} says that it does not take {task_id}, and has it", task_id)
            if self._is_over(holder, record.submitted_s):
                text = f"{task_id} is not taken, {holder_id} has ended before it was submitted"
                oracle.fail("unique", text, task_id, holder_id)

    def _is_over(self, holder: Record, since_s: float) -> bool:
        """Whether a call has ended before that time, at each coordinator that has had it."""
        here = self.state.calls.get(holder.id)
        if here is not None:
            return not holds_key(here, self.state.wall_s)
        if not holder.accepted or any(epoch not in holder.settled for epoch in holder.accepted):
            return False
        return not self.mesh.coordinators_with(holder.id) and holder.settled_s < since_s


def holds_key(call: Call, wall_s: float) -> bool:
    """Whether a call that has not ended holds its key."""
    until_s = 0.0 if call.extra is None else call.extra.unique_until_s
    return not call.worker if until_start(call) else not until_s or until_s > wall_s


def until_start(call: Call) -> bool:
    """Whether a call holds its key only until it is leased."""
    return call.extra is not None and call.extra.unique_until_s == UNTIL_START


def holders(core: Coordinator, call: Call) -> Iterator[Call]:
    """Other calls that a coordinator has, with the key of this one."""
    for other in core.state.calls:
        if other.id != call.id and key_of(other) == key_of(call) and holds_key(other, core.state.wall_s):
            yield other


def _has_same_key(record: Record, other: Record) -> bool:
    keys = {each.extra.unique for each in (record, other) if each.extra is not None}
    return len(keys) == 1 and "" not in keys and record.extra is not None and other.extra is not None
