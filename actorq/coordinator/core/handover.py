"""A coordinator that leaves the mesh hands what it has to another one, and what another one hands over is taken in.

It dispatches nothing any more and sends its clients away. What is leased ends here; what waits goes in batches to one
other coordinator, which acknowledges a batch when it is durable there. Only then it is forgotten here. The outcomes
follow when nothing else is left. If the other one is lost meanwhile, what it has not acknowledged goes to the next: it
may run twice then. What may run only once is given up instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.ledger import Entry
from actorq.coordinator.core.mesh import Mesh, PeerLink
from actorq.coordinator.core.state import State
from actorq.stores.api import KeepStarts, Settle
from actorq.wire import messages as m
from actorq.wire.batches import batches, chunks
from actorq.wire.plans import why_unsound
from actorq.wire.records import Call, Outcome

BATCH = 512
ALONE_S = 10.0
"""So long after the last one that could take over is lost, it stays in the mesh."""
IN_FLIGHT = 8
"""Batches that may be on their way at once."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch that is not acknowledged: calls, or workflows."""

    seq: int
    calls: Sequence[Call] = ()
    plans: Sequence[Entry] = ()


@dataclass(slots=True)
class _Heir:
    """Who takes over, and what it has not acknowledged."""

    link: PeerLink
    seq: int = 0
    sent: deque[_Sent] = field(default_factory=deque)


class Handover:
    """Leaving, on the side of the one that leaves."""

    def __init__(self, state: State, mesh: Mesh) -> None:
        self._state = state
        self._mesh = mesh
        self._heir: _Heir | None = None
        self._sent: set[str] = set()
        self._sent_plans: set[str] = set()
        self._noted: dict[str, int] = {}
        """Calls that may run only once, with the number of the batch after which that is in the journal."""
        self._outcomes: Iterator[list[Outcome]] | None = None
        self._had_heir_s = 0.0
        self.is_done = False
        """Nothing is left here, and the others know that this one is gone."""

    def begin(self) -> str:
        """Leave the mesh. Returns what is to be done until then, for people. Raises ValueError if nobody is there."""
        state = self._state
        if not self._mesh.heirs():
            raise ValueError("no other coordinator is in touch, to which its calls could go")
        if not state.is_leaving:
            state.is_leaving = True
            self._had_heir_s = state.now_s
            self._mesh.announce_leave()
            for party in [each for each in state.clients.values() if each.peer is not None]:
                if not party.is_coordinator:
                    self._send_away(party)
            state.note(f"this coordinator {self._to_do()}")
        return self._to_do()

    def _to_do(self) -> str:
        leased = sum(len(worker.leases) for worker in self._state.workers.values())
        return f"leaves the mesh: {len(self._state.calls) - leased} calls to hand over, {leased} leased ones to end"

    def _send_away(self, client: Client) -> None:
        assert client.peer is not None
        peer = client.peer
        self._state.send(peer, self._mesh.view())
        self._state.peers.pop(peer, None)
        self._state.disconnect(client)
        client.left_s = self._state.now_s
        self._state.hang_up(peer)

    def finish(self) -> None:
        """Hand over what waits, as far as the other one has acknowledged what went before."""
        if not self._state.is_leaving or self.is_done:
            return
        heir = self._choose_heir()
        if heir is None:
            if self._state.now_s >= self._had_heir_s + ALONE_S or self._is_first_of_all_that_leave():
                self._stay()
            return
        self._had_heir_s = self._state.now_s
        while len(heir.sent) < IN_FLIGHT:
            calls = list(islice(self._waiting(), BATCH))
            if not calls:
                break
            self._send(heir, calls)
        if self._state.ledger.entries:
            self._send_plans(heir)
        if not self._state.calls and not self._state.ledger.entries and not heir.sent:
            self._send_outcomes(heir)

    def _is_first_of_all_that_leave(self) -> bool:
        """All are told to leave at once. One has to stay, and it is this one."""
        epochs = [link.member.epoch for link in self._mesh.open_links()]
        return bool(epochs) and self._state.epoch < min(epochs) and not self._mesh.silent()

    def _stay(self) -> None:
        """Nobody is there any more who could take over."""
        self._state.is_leaving = False
        self._noted.clear()
        self._give_up_heir()
        self._mesh.announce_leave()
        self._state.note("this coordinator stays in the mesh: no other one is there that could take over")

    def next_s(self) -> float | None:
        """When to give up leaving, if nobody takes over."""
        return self._had_heir_s + ALONE_S if self._state.is_leaving and not self._mesh.heirs() else None

    def _choose_heir(self) -> _Heir | None:
        links, last = self._mesh.heirs(), self._heir
        if last is not None and last.link in links:
            return last
        if not links:
            return None
        same = [link for link in links if last is not None and link.member.epoch == last.link.member.epoch]
        if same:
            self._sent.clear()  # It takes nothing twice.
            self._sent_plans.clear()
        else:
            self._give_up_heir()
        self._outcomes = None
        self._heir = _Heir((same or links)[0])
        return self._heir

    def _give_up_heir(self) -> None:
        """The last one does not come back. What may run only once may have started there, or will."""
        last, self._heir = self._heir, None
        self._sent.clear()
        self._sent_plans.clear()
        sent = [] if last is None else list(last.sent)
        ledger = self._state.ledger
        for call in [call for each in sent for call in (*each.calls, *ledger.released(each.plans))]:
            is_here = self._state.calls.get(call.id) is call and not call.worker
            if is_here and self._state.entries_by_number[call.spec].spec.at_most_once:
                self._state.withdraw(call)
                self._state.give_up(call, "it was handed over to a coordinator that was lost, and may run only once")

    def _waiting(self) -> Iterator[Call]:
        """Calls that are not leased, and not on their way."""
        held_back, sent, members = self._state.held_back, self._sent, self._state.ledger.members
        for call in self._state.calls:
            is_free = not call.worker and call.spec != FOREIGN and call.id not in held_back and call.id not in sent
            if is_free and call.id not in members and (not call.row or self._is_noted(call)):
                yield call

    def _is_noted(self, call: Call) -> bool:
        """Whether it is written down, where it may run only once, that it may have started. It may as soon as it is handed
        over, whatever becomes of this coordinator.
        """
        state, noted = self._state, self._noted
        if call.spec == FOREIGN:
            return False
        if not state.entries_by_number[call.spec].spec.at_most_once:
            return True
        if call.id not in noted:
            if call.row:
                state.operations.append(KeepStarts([(call.row, max(call.attempt, 1))]))
            elif not state.ledger.note_start(call):
                return True
            noted[call.id] = state.token + 1
        return noted[call.id] <= state.confirmed

    def _send(self, heir: _Heir, calls: list[Call]) -> None:
        """Send calls, those that need one function after it: the other one may drop a function that no call needs yet."""
        state = self._state
        groups: dict[str, list[Call]] = {}
        for call in [call for call in calls if not self._lacks_code(call)]:
            groups.setdefault(state.entries_by_number[call.spec].spec.code, []).append(call)
        for code, group in groups.items():
            if code in state.codes:
                state.send(heir.link.peer, m.Code(code, state.codes[code]))
            self._send_group(heir, group)

    def _send_plans(self, heir: _Heir) -> None:
        """Workflows of which nothing is leased: what is, ends here first."""
        state, ledger = self._state, self._state.ledger
        for group in ledger.idle_groups():
            if len(heir.sent) >= IN_FLIGHT:
                return
            is_sent = any(entry.plan.id in self._sent_plans for entry in group)
            noted = [self._is_noted(call) for call in ledger.released(group)]
            if is_sent or not all(noted):
                continue
            handed = [ledger.hand_over(entry) for entry in group]
            specs = {node.call.spec for each in handed for node in each.plan.nodes}
            for code in {state.entries_by_number[number].spec.code for number in specs} & state.codes.keys():
                state.send(heir.link.peer, m.Code(code, state.codes[code]))
            message = self._message(heir, specs, {each.client for each in handed})
            message.plans = handed
            heir.sent.append(_Sent(heir.seq, plans=group))
            self._sent_plans.update([entry.plan.id for entry in group])
            state.send(heir.link.peer, message)

    def _message(self, heir: _Heir, numbers: set[int], client_numbers: set[int]) -> m.HandOver:
        """The next one, with what it says of these specs and clients."""
        state = self._state
        clients = [state.clients_by_number.get(number) for number in client_numbers if number]
        known = [(each.number, each.session, each.name, each.reply_address) for each in clients if each is not None]
        keys = [(each.number, each.reply_key) for each in clients if each is not None and each.reply_key]
        specs = [(number, state.entries_by_number[number].spec) for number in numbers]
        heir.seq += 1
        return m.HandOver(heir.seq, known, specs, [], keys)

    def _send_group(self, heir: _Heir, calls: list[Call]) -> None:
        specs, clients = {call.spec for call in calls}, {call.client for call in calls}
        for batch in batches(calls):
            message = self._message(heir, specs, clients)
            message.calls = list(batch)
            heir.sent.append(_Sent(heir.seq, list(batch)))
            self._sent.update([call.id for call in batch])
            self._state.send(heir.link.peer, message)

    def _lacks_code(self, call: Call) -> bool:
        """Whether its function was lost with a part of the journal: then it ends here."""
        state = self._state
        code = state.entries_by_number[call.spec].spec.code
        if not code or code in state.codes:
            return False
        state.withdraw(call)
        state.give_up(call, "its function is not there any more")
        return True

    def _send_outcomes(self, heir: _Heir) -> None:
        if self._outcomes is None:
            self._outcomes = iter([list(each) for each in chunks(self._state.outcomes.all())])
        outcomes = next(self._outcomes, None)
        if outcomes is None:
            for link in self._mesh.open_links():
                self._state.send(link.peer, m.Bye("it has left the mesh"))
            self.is_done = True
            self._state.note("this coordinator has left the mesh: another one has all that it had")
            return
        for batch in batches(outcomes):
            heir.seq += 1
            heir.sent.append(_Sent(heir.seq))
            self._state.send(heir.link.peer, m.HandOverOutcomes(heir.seq, list(batch)))

    def accepted(self, peer: Peer, seq: int) -> None:
        """All batches up to `seq` are the other one's now."""
        heir = self._heir
        if heir is None or heir.link.peer != peer:
            return
        while heir.sent and heir.sent[0].seq <= seq:
            sent = heir.sent.popleft()
            calls = sent.calls
            self._sent.difference_update([call.id for call in calls])
            self._sent_plans.difference_update([entry.plan.id for entry in sent.plans])
            self._state.ledger.forget(sent.plans)
            self._forget([call for call in calls if self._state.calls.get(call.id) is call and not call.worker])

    def _forget(self, calls: Sequence[Call]) -> None:
        state = self._state
        for call in calls:
            state.withdraw(call)
            state.calls.remove(call)
            state.body_bytes -= len(call.body)
        state.uniques.free(calls)
        state.forget_notes(call.id for call in calls)
        state.keeping.forget(calls)


class Inheritance:
    """The other side: what is handed over by a coordinator that leaves."""

    def __init__(self, state: State) -> None:
        self._state = state

    def take(self, peer: Peer, giver: Client, message: m.HandOver) -> None:
        """Take calls in, each once."""
        state = self._state
        if state.is_leaving:
            state.hang_up(peer)  # The giver connects anew, hears so, and looks for another one.
            return
        codes = {spec.code for _, spec in message.specs if spec.code}
        if not codes <= state.codes.keys():
            # No call has used it for a while, and it was forgotten: it is sent anew, with the calls.
            state.hang_up(peer)
            return
        keys = dict(message.keys)
        clients = {
            number: self._client(session, name, address, keys.get(number, ""))
            for number, session, name, address in message.clients
        }
        entries = {number: state.entry(spec, is_owed=True) for number, spec in message.specs}
        new: dict[int, list[Call]] = {}
        for call in message.calls:
            entry, client, known = entries.get(call.spec), clients.get(call.client), state.calls.get(call.id)
            if entry is None or (known is not None and known.spec != FOREIGN):
                continue
            if state.outcomes.get(call.id) is not None or state.ledger.waiting(call.id) is not None:
                continue
            call.spec, call.worker, call.row = entry.number, 0, 0
            call.client = client.number if client is not None and entry.replies else 0
            call.attempt = max(call.attempt, 0)
            if known is not None:  # A worker runs it, which has it from an earlier coordinator.
                state.seq += 1
                call.seq = state.seq
                state.recognise(known, call)
                call = known
            if (known is not None or self._place(call)) and entry.durable:
                call.row = state.keeping.new_row()
                new.setdefault(call.client, []).append(call)
        for handed in message.plans:
            client = clients.get(handed.client)
            if all(node.call.spec in entries for node in handed.plan.nodes) and not why_unsound(handed.plan):
                for node in handed.plan.nodes:
                    node.call.spec = entries[node.call.spec].number
                state.ledger.take_over(handed, client.number if client is not None else 0)
        for number, calls in new.items():
            state.keeping.keep(state.clients_by_number.get(number, giver), calls)
        state.acks.append((peer, m.Accepted(message.seq)))

    def take_outcomes(self, peer: Peer, giver: Client, message: m.HandOverOutcomes) -> None:
        """Take in how calls have ended that the other one had."""
        state = self._state
        if state.is_leaving:
            state.hang_up(peer)
            return
        new = [each for each in message.outcomes if state.outcomes.get(each.id) is None and each.id not in state.calls]
        state.outcomes.add(new, state.now_s, state.wall_s)
        if state.settings.durable and new:
            state.operations.append(Settle([], new, state.wall_s))
        state.tell_watchers(new)
        state.ledger.settled(new)  # Some may be of workflows that have come here already.
        state.acks.append((peer, m.Accepted(message.seq)))

    def _client(self, session: str, name: str, reply_address: str, reply_key: str) -> Client:
        state = self._state
        client = state.clients.get(session)
        if client is None:
            client = state.client(session, name, reply_address)
            client.reply_key = reply_key
            client.left_s = state.now_s
        return client

    def _place(self, call: Call) -> bool:
        """Enter it, and put it where it has to wait. False if it ends here."""
        state = self._state
        state.calls.add(call)
        state.body_bytes += len(call.body)
        return state.place(call)
