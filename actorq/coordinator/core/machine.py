"""The coordinator: hands each message to the part that decides, and brings each batch to its end.

Every handler may see the same message twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from actorq.config import CoordinatorSettings
from actorq.coordinator.core import limits
from actorq.coordinator.core.administration import Administration
from actorq.coordinator.core.broadcasts import Broadcasts
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.commands import Commands
from actorq.coordinator.core.effects import Effects, Peer
from actorq.coordinator.core.handover import Handover, Inheritance
from actorq.coordinator.core.intake import Intake
from actorq.coordinator.core.leases import Leases
from actorq.coordinator.core.lines import GONE
from actorq.coordinator.core.mesh import Mesh, PeerLink
from actorq.coordinator.core.receipts import CUMULATIVE, Receipts, still_to_say
from actorq.coordinator.core.searches import Searches
from actorq.coordinator.core.sessions import Sessions
from actorq.coordinator.core.state import SPECS_KEPT, State
from actorq.coordinator.core.workers import Worker
from actorq.stores.api import Kept, size_of
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message

SPECS_PERIOD_S = 60.0
"""Of looking for specs that are not used, where there are many: this looks at all calls."""
FEWEST_THINNED_OUT = 10_000
"""So many messages that wait for the store are not looked through."""
LONGEST_WAIT_S = 3600.0
"""A time may be thousands of years away, which is more than timers take."""


class Coordinator:
    """One coordinator's decisions."""

    def __init__(
        self,
        name: str,
        epoch: str,
        settings: CoordinatorSettings,
        now_s: float,
        wall_s: float,
        joins: Sequence[str] = (),
    ) -> None:
        """`joins`: addresses of coordinators that are there already."""
        self.state = State(name, epoch, settings, now_s, wall_s)
        self.mesh = Mesh(self.state, joins)
        self._searches = Searches(self.state, self.mesh)
        self._broadcasts = Broadcasts()
        self._receipts = Receipts()
        self._intake = Intake(self.state, self._searches)
        self._leases = Leases(self.state)
        self._sessions = Sessions(self.state, self.mesh, self._leases, self._broadcasts)
        self._handover = Handover(self.state, self.mesh)
        self._inheritance = Inheritance(self.state)
        self._administration = Administration(self.state)
        self._commands = Commands(
            self.state, self.mesh, self._searches, self._broadcasts, self._handover, self._administration
        )
        self._liveness_due_s = self._specs_due_s = now_s
        self._unconfirmed: deque[tuple[int, int, list[tuple[Peer, Message]]]] = deque()
        """Batches that are not durable yet: token, number of records, what is said when it is."""
        self._thinned_out = 0
        """How many of these messages were left when they were thinned out the last time."""
        self._handlers: dict[type[Message], Callable[[Peer, Any, Any], None]] = {
            m.Submit: self._intake.submit,
            m.Code: self._intake.keep_code,
            m.Query: self._commands.query,
            m.Unwatch: self._commands.unwatch,
            m.Control: self._commands.control,
            m.Ping: _do_nothing,  # From a session that is not known it is answered with Reset; that is its use.
            m.Capacity: self._leases.set_capacity,
            m.Consume: self._leases.consume,
            m.Finished: self._leases.finished,
            m.Returned: self._leases.returned,
            m.Starting: self._leases.starting,
            m.Noted: self._leases.noted,
            m.Heartbeat: self._sessions.heartbeat,
            m.Reply: self._commands.reply,
            m.HandOver: self._inheritance.take,
            m.HandOverOutcomes: self._inheritance.take_outcomes,
            m.Bye: self._sessions.bye,
        }

    # -- the interface to the shell ------------------------------------------------------------------------------

    def restore(self, kept: Kept) -> None:
        """Take over what a store kept. The calls wait one grace for workers to list what they run."""
        self.state.keeping.restore(kept)

    def begin(self, now_s: float, wall_s: float) -> None:
        """Nodes can connect from now on (monotonic and Unix time), which may be long after all began: so does the grace."""
        state = self.state
        state.started_s, state.now_s, state.wall_s = now_s, now_s, wall_s

    def allowed(self, peer: Peer) -> frames.Kinds:
        """The kinds of messages that `peer` may send now."""
        return self._sessions.allowed(peer)

    def advance(self, now_s: float, wall_s: float) -> None:
        """Set the time: monotonic and Unix."""
        state = self.state
        pause_s = now_s - state.now_s
        if pause_s > state.settings.liveness.suspect_s / 2 and (state.workers or state.held_back):
            # This process stood still (stopped, suspended): that is not the silence of the workers.
            state.started_s += pause_s
            for worker in state.workers.values():
                worker.heard_s += pause_s
                worker.lost_s += pause_s
        state.now_s, state.wall_s = now_s, wall_s
        state.latest_wall_s = max(state.latest_wall_s, wall_s)

    def receive(self, peer: Peer, message: Message) -> None:
        """A message came. One from a session without a Hello changes nothing and is answered with Reset."""
        state = self.state
        link = self.mesh.link(peer)
        if link is not None:
            self._hear_coordinator(link, message)
            return
        party: Client | Worker | None = state.peers.get(peer)
        if party is None and peer in state.controls:
            party = state.workers.get(state.controls[peer])
        if isinstance(party, Worker):
            self._sessions.heard(party, by_hub=peer == party.peer)
        handler = self._handlers.get(type(message))
        if handler is not None and party is not None:
            handler(peer, party, message)
        elif not self._sessions.welcome(peer, message):
            state.send(peer, m.Reset())

    def _hear_coordinator(self, link: PeerLink, message: Message) -> None:
        """On a connection that we have dialled another coordinator answers."""
        if not link.is_open or isinstance(message, (m.View, m.Reset, m.Rejected)):
            if self.mesh.receive(link, message):
                self._searches.watch_again(link)
        elif isinstance(message, m.Settled):
            self._searches.settled(message.outcomes)
        elif isinstance(message, m.Accepted):
            self._handover.accepted(link.peer, message.seq)
        elif isinstance(message, m.Report):
            self._searches.report(link.peer, message)
        elif isinstance(message, m.Replies):
            for value in message.replies.values():
                self._broadcasts.reply(message.token, link.member.epoch, value)

    def lose(self, peer: Peer) -> None:
        """The session ended; nothing that is sent to it arrives any more."""
        self._searches.lose(peer)
        if self.mesh.lose(peer) is not None:
            return
        self._sessions.lose(peer)
        self._receipts.forget(peer)
        # If it was a worker, its grace is over then.
        self._liveness_due_s = min(self._liveness_due_s, self.state.now_s + self.state.settings.liveness.grace_s)

    def persisted(self, token: int) -> None:
        """All operations up to `token` are durable: what waited for that may be said."""
        state = self.state
        state.confirmed = token
        while self._unconfirmed and self._unconfirmed[0][0] <= token:
            _, count, acks = self._unconfirmed.popleft()
            state.unwritten -= count
            self._say(acks, state.effects)

    def report_trouble(self, trouble: str) -> None:
        """The store cannot be written at present, for this reason; empty: it can again.

        Until then no calls are taken that are to be kept. All else goes on.
        """
        state = self.state
        state.trouble = trouble
        for client in state.clients.values():
            if not client.pressed:
                state.send(client.peer, m.Pressure(trouble))

    def finish(self) -> Effects:
        """End the batch: run what is due, dispatch, and return the effects."""
        state = self.state
        self._run_due()
        self._searches.finish()
        self._intake.accept_deferred()
        self._searches.answer_parked()
        self._handover.finish()
        if state.gates:
            state.gates.share(1 + len(self.mesh.open_links()), max(len(state.workers), 1), state.at_hand)
        if not state.is_leaving:
            self._leases.dispatch()
        for peer, replies, is_order in self._broadcasts.pop_done(state.now_s):
            if is_order and not state.trouble:
                # What it has changed is said when it is durable. An answer need not wait, and nothing waits for a disk
                # that cannot be written.
                state.acks.append((peer, replies))
            else:
                state.send(peer, replies)
        state.ages.note(state.seq, state.now_s)
        if self.mesh.finish():
            self._tell_view()
        for peer in list(state.effects.hang_ups):
            self.lose(peer)  # The shell will say so, too; but nothing that is still said there counts from here on.
        effects, state.effects = state.effects, Effects()
        self._hold_acks(effects)
        effects.deadline_s = self._deadline_s()
        # Who waits for a receipt would wait for ever, and call at an address where nobody is.
        effects.has_left = self._handover.is_done and not self._unconfirmed and self._receipts.next_s() is None
        return effects

    def stats(self) -> dict[str, Any]:
        """What `actorq status` shows of this coordinator."""
        return self._commands.stats()

    # -- the end of a batch --------------------------------------------------------------------------------------

    def _hold_acks(self, effects: Effects) -> None:
        """Send the acknowledgements now if nothing is to be stored before them, else when it is."""
        state = self.state
        acks, state.acks = state.acks, []
        if state.operations:
            state.token += 1
            effects.persist, state.operations = state.operations, []
            effects.token = state.token
            count = sum([size_of(operation) for operation in effects.persist])
            state.unwritten += count
            self._unconfirmed.append((state.token, count, acks))
        elif acks and self._unconfirmed:
            self._hold_longer(self._unconfirmed[-1][2], acks)  # In order: after those that still wait for the store.
        else:
            self._say(acks, effects)
        self._receipts.join(effects.sends, state.now_s)

    def _say(self, acks: list[tuple[Peer, Message]], effects: Effects) -> None:
        """Nothing has to be stored before these any more."""
        now_s = self.state.now_s
        for peer, message in acks:
            if isinstance(message, CUMULATIVE):
                self._receipts.add(peer, message, now_s)
            else:
                effects.sends[peer].append(message)

    def _hold_longer(self, held: list[tuple[Peer, Message]], acks: list[tuple[Peer, Message]]) -> None:
        """Now and then thinned out: a disk may be full for days, in which clients go on trying."""
        held += acks
        if len(held) >= max(2 * self._thinned_out, FEWEST_THINNED_OUT):
            peers, controls, link = self.state.peers, self.state.controls, self.mesh.link
            held[:] = still_to_say(held, lambda peer: peer in peers or peer in controls or link(peer) is not None)
            self._thinned_out = len(held)

    def _run_due(self) -> None:
        state = self.state
        state.gates.open_due(state.now_s)
        for call in state.schedule.pop_due(state.wall_s):
            if (
                state.calls.get(call.id) is not call
                or call.worker
                or call.attempt == GONE
                or call.id in state.held_back
            ):
                continue
            if call.expires and call.expires <= state.wall_s:
                state.withdraw(call)
                state.expire(call)
            elif call.not_before:
                state.enqueue([call])
        if state.held_back and not state.is_young():
            self._free_held_back()
        if state.now_s >= self._liveness_due_s:
            self._liveness_due_s = state.now_s + state.settings.liveness.heartbeat_s
            self._sessions.judge_workers()
            self._forget_old()

    def _free_held_back(self) -> None:
        """The grace is over: what no worker has listed runs nowhere."""
        state = self.state
        held, state.held_back = state.held_back, {}
        for call in held.values():
            state.place(call)

    def _tell_view(self) -> None:
        """The other coordinators have changed: everybody hears of it."""
        view = self.mesh.view()
        for peer in self.state.peers:
            self.state.send(peer, view)

    def _forget_old(self) -> None:
        state = self.state
        state.outcomes.expire(state.now_s)
        self._forget_revocations()
        gone = list(limits.clients_to_forget(state))
        if gone:
            state.keeping.forget_clients(gone)
        for client in gone:
            del state.clients[client.session], state.clients_by_number[client.number]
            self._leases.undefine(client)
        if len(state.entries) > SPECS_KEPT and state.now_s >= self._specs_due_s:
            self._specs_due_s = state.now_s + SPECS_PERIOD_S
            state.forget_specs()
        state.schedule.prune(lambda call: state.calls.get(call.id) is call)

    def _forget_revocations(self) -> None:
        """Those over age, and the oldest of too many. In one pass: to begin at a dict's front takes as long as much of it
        is gone.
        """
        state, revoked = self.state, self.state.revoked
        surplus = len(revoked) - state.settings.revocation_count
        old: list[str] = []
        for task_id, (until_s, _) in revoked.items():
            if until_s > state.wall_s and len(old) >= surplus:
                break
            old.append(task_id)
        for task_id in old:
            del revoked[task_id]

    def _deadline_s(self) -> float | None:
        state = self.state
        due = [self._liveness_due_s] if state.workers or state.held_back else []
        if state.held_back:
            due.append(state.started_s + state.settings.liveness.grace_s)
        scheduled_s = state.schedule.next_s()
        if scheduled_s is not None:
            due.append(state.now_s + min(max(scheduled_s - state.wall_s, 0.0), LONGEST_WAIT_S))
        others = (state.gates, self._broadcasts, self._receipts, self._searches, self.mesh, self._handover)
        due += [when_s for other in others if (when_s := other.next_s()) is not None]
        return min(due, default=None)


def _do_nothing(peer: Peer, party: Any, message: Any) -> None:
    pass
