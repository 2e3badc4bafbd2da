"""Sessions: who is there, who is in touch, and who has gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actorq.coordinator.core import limits
from actorq.coordinator.core.broadcasts import Broadcasts
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.leases import Leases
from actorq.coordinator.core.mesh import Mesh
from actorq.coordinator.core.state import State
from actorq.coordinator.core.workers import Contact, Worker
from actorq.errors import ImproperlyConfigured, VersionMismatch
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message

REASON_CHARS = 1000
"""So much is kept of why a node ended."""
COORDINATOR = "coordinator "
"""Begins the names of the sessions of other coordinators, whose epochs everybody knows: no client has such a one."""


class Sessions:
    """Handshakes, heartbeats, and the end of sessions."""

    def __init__(self, state: State, mesh: Mesh, leases: Leases, broadcasts: Broadcasts) -> None:
        self._state = state
        self._mesh = mesh
        self._leases = leases
        self._broadcasts = broadcasts

    def welcome(self, peer: Peer, message: Message) -> bool:
        """Open a session, if the message is a Hello, or say who is here. Returns whether it was either."""
        if isinstance(message, m.Discover):
            self._state.send(peer, self._mesh.view(message.nonce))
            return True
        admit = _ADMIT.get(type(message))
        if admit is None:
            return False
        if self._is_untimely(peer, message):
            self._state.send(peer, m.Reset())  # Who still lives at its other end tries again.
        else:
            self._welcome(peer, message, lambda peer, hello: admit(self, peer, hello))
        return True

    def _is_untimely(self, peer: Peer, hello: Message) -> bool:
        """Whether a node's second connection came before its first, or a Hello after a later one of the same node.

        What such an old Hello does not list may have been leased since, and be running.
        """
        if isinstance(hello, m.ControlHello):
            return hello.epoch not in self._state.workers and not self._brings_leases(hello)
        if isinstance(hello, m.WorkerHello):
            worker = self._state.workers.get(hello.epoch)
            return worker is not None and worker.peer != peer and hello.nonce <= worker.nonce
        return False

    def _brings_leases(self, hello: m.ControlHello) -> bool:
        """Whether the node holds what an earlier coordinator has leased. Its hub may be too busy to say Hello for long."""
        return bool(hello.held) and hello.coordinator not in ("", self._state.epoch)

    def allowed(self, peer: Peer) -> frames.Kinds:
        """The kinds of messages that `peer` may send now."""
        if peer in self._state.controls:
            return frames.FROM_CONTROL
        if self._mesh.link(peer) is not None:
            return frames.TO_COORDINATOR
        party = self._state.peers.get(peer)
        if party is None:
            return frames.HELLO
        if isinstance(party, Worker):
            return frames.FROM_WORKER
        return frames.FROM_COORDINATOR if party.is_coordinator else frames.FROM_CLIENT

    def lose(self, peer: Peer) -> None:
        """The session ended; nothing that is sent to it arrives any more."""
        self._broadcasts.forget(peer)
        epoch = self._state.controls.pop(peer, None)
        if epoch is not None:
            worker = self._state.workers.get(epoch)
            if worker is not None and worker.control == peer:
                worker.control = None
                worker.lost_s = self._state.now_s
            return
        party = self._state.peers.pop(peer, None)
        if isinstance(party, Client) and party.peer == peer:
            self._state.disconnect(party)
            party.left_s = self._state.now_s
        elif isinstance(party, Worker) and party.peer == peer:
            party.forget_session()
            party.leave_line()
            party.contact = Contact.LOST
            party.lost_s = self._state.now_s

    def _welcome(self, peer: Peer, hello: Any, admit: Callable[[Peer, Any], None]) -> None:
        if self._state.is_leaving and isinstance(hello, m.ClientHello):
            self._state.send(peer, m.Rejected("this coordinator leaves the mesh: use another one"))
            self._state.effects.hang_ups.append(peer)
            return
        if isinstance(hello, m.ClientHello) and hello.session.startswith(COORDINATOR):
            self._state.send(peer, m.Rejected(f"no client's session begins with {COORDINATOR!r}: use another id"))
            self._state.effects.hang_ups.append(peer)
            return
        try:
            version = frames.agree_version(hello.versions)
        except VersionMismatch as error:
            self._state.send(peer, m.Rejected(str(error)))
            self._state.effects.hang_ups.append(peer)
            return
        reason = limits.why_rejected(self._state, peer, hello)
        if reason:
            self._state.send(peer, m.Rejected(reason))
            self._state.effects.hang_ups.append(peer)
            return
        admit(peer, hello)
        settings = self._state.settings
        self._state.effects.sends[peer].insert(
            0,
            m.Welcome(
                version,
                hello.nonce,
                self._state.name,
                self._state.epoch,
                settings.client_window,
                settings.durable,
                settings.max_body_bytes,
                self._state.slots,
                sorted(settings.transient_queues) if settings.durable else [],
                self._mesh.own.address,
                self._mesh.others(),
                settings.client_window_bytes,
            ),
        )

    def _client_hello(self, peer: Peer, hello: m.ClientHello) -> None:
        client = self._state.client(hello.session, hello.name, hello.reply_address)
        if client.peer == peer:
            return
        self._forget_other(peer)
        if client.peer is not None:
            self._state.peers.pop(client.peer, None)
            self._state.hang_up(client.peer)
        self._state.disconnect(client)
        has_moved = (client.reply_address, client.reply_key) != (hello.reply_address, hello.reply_key)
        is_changed = has_moved or client.name != hello.name
        if has_moved:
            client.reply_address, client.reply_key = hello.reply_address, hello.reply_key
            for worker in self._state.workers.values():
                worker.clients.discard(client.number)
        client.name = hello.name
        client.is_coordinator = False
        if is_changed and client.is_kept:
            self._state.keeping.keep_client(client)
        client.peer = peer
        if self._state.trouble:
            self._state.send(peer, m.Pressure(self._state.trouble))
        self._state.peers[peer] = client

    def _peer_hello(self, peer: Peer, hello: m.PeerHello) -> None:
        """Another coordinator has connected: it asks as a client does."""
        session = COORDINATOR + hello.own.epoch
        self._client_hello(peer, m.ClientHello(hello.versions, hello.nonce, hello.own.name, session, ""))
        client = self._state.clients[session]
        client.is_coordinator, client.epoch = True, hello.own.epoch
        self._mesh.meet(hello.own)
        if (
            self._state.is_leaving
        ):  # It may have begun since they asked who is here: then they must not hand over to us.
            self._state.send(peer, self._mesh.view())

    def _worker_hello(self, peer: Peer, hello: m.WorkerHello) -> None:
        worker = self._state.workers.get(hello.epoch)
        if worker is not None and worker.peer == peer:
            return
        self._forget_other(peer)
        if worker is None:
            worker = self._join(hello.name, hello.epoch, hello.queues, hello.offers)
        elif worker.peer is not None:
            self._state.peers.pop(worker.peer, None)
            self._state.hang_up(worker.peer)
        self._leases.set_names(worker, hello.queues, hello.offers)  # They may have changed while it was out of touch.
        worker.forget_session()
        worker.peer, worker.nonce, worker.pid = peer, hello.nonce, hello.pid
        worker.capacity = hello.capacity
        worker.slots = hello.slots
        worker.contact = Contact.READY
        worker.heard_s = self._state.now_s
        self._state.peers[peer] = worker
        self._leases.reconcile(worker, hello)
        self._declare(hello)
        self._state.count_slots()
        worker.list_if_idle()

    def _join(self, name: str, epoch: str, queues: Sequence[str] = (), offers: Sequence[str] = ()) -> Worker:
        """A node is new here."""
        state = self._state
        self._release_predecessors(name)
        state.numbers += 1
        worker = Worker(state.numbers, name, epoch, 0, state.lanes.join(queues, offers), 0, 0, None)
        worker.contact = Contact.LOST
        worker.joined_s = worker.lost_s = state.now_s
        state.workers[epoch] = worker
        state.workers_by_number[worker.number] = worker
        state.lanes.direct.join(worker)
        return worker

    def _declare(self, hello: m.WorkerHello) -> None:
        """What its application knows is declared, but for what is known already, also that it is gone."""
        topology = self._state.topology
        try:
            at_s = topology.new_time_s()
            topology.declare([msgspec.structs.replace(each, at_s=at_s) for each in hello.declares], only_new=True)
        except ImproperlyConfigured:
            self._state.hits["declarations"] += 1  # It has looked at them itself: there are too many.

    def _forget_other(self, peer: Peer) -> None:
        """Whoever says Hello on a connection that was another's has taken its place: that one is not there any more."""
        if peer in self._state.peers or peer in self._state.controls:
            self.lose(peer)

    def _release_predecessors(self, name: str) -> None:
        """A node of this name has started anew: its last incarnation, if it is out of touch, will not come back.

        Unless several have the name: then nobody knows which of them this one takes the place of.
        """
        others = [each for each in self._state.workers.values() if each.name == name]
        if len(others) == 1 and others[0].is_out_of_touch():
            self._leases.release(others[0], f"worker {name} was lost and has started again", counted=True)
        elif any(each.capacity and not each.is_out_of_touch() for each in others):  # Else it leaves.
            self._state.note(
                f"several workers are named {name!r}: what is asked of one of them is asked of all (-n NAME)"
            )

    def _control_hello(self, peer: Peer, hello: m.ControlHello) -> None:
        worker = self._state.workers.get(hello.epoch)
        if worker is None:
            worker = self._join(hello.name, hello.epoch)
            self._leases.take_over(worker, peer, hello.coordinator, hello.held)
        if worker.control != peer:
            self._forget_other(peer)
            if worker.control is not None:
                self._state.controls.pop(worker.control, None)
                self._state.hang_up(worker.control)
            worker.control = peer
            self._state.controls[peer] = hello.epoch
            for command in self._broadcasts.take_held(worker.epoch):
                self._state.send(peer, command)
            self._leases.revoke_again(worker, peer)
        self.heard(worker)

    def heard(self, worker: Worker, by_hub: bool = False) -> None:
        worker.heard_s = self._state.now_s
        if worker.contact is Contact.SUSPECT or (by_hub and worker.contact is Contact.BUSY):
            worker.contact = Contact.READY
            worker.list_if_idle()

    def heartbeat(self, peer: Peer, worker: Worker, message: m.Heartbeat) -> None:
        worker.running = {task_id: attempt for task_id, attempt in message.running if task_id in worker.leases}
        worker.lag_s, worker.rss_bytes = message.lag_s, message.rss_bytes
        if worker.contact in (Contact.READY, Contact.BUSY):
            is_busy = message.lag_s >= self._state.settings.liveness.busy_s
            worker.contact = Contact.BUSY if is_busy else Contact.READY
            worker.list_if_idle()
        # Also while its work connection is lost: as long as this one is there its leases hold, and one grace longer.
        self._state.send(peer, m.Renewed(message.sent_s))

    def bye(self, peer: Peer, party: Worker | Client, message: m.Bye) -> None:
        if isinstance(party, Client):
            self._mesh.part(party.epoch)
            return
        worker = party
        reason = message.reason[:REASON_CHARS]
        self._leases.release(worker, reason, counted=False)
        self._broadcasts.left(worker.epoch, reason)

    def judge_workers(self) -> None:
        liveness = self._state.settings.liveness
        for worker in list(self._state.workers.values()):
            silent_s = self._state.now_s - worker.heard_s
            if worker.is_out_of_touch():
                if self._state.now_s >= worker.lost_s + liveness.grace_s:
                    self._leases.release(
                        worker, f"worker {worker.name} lost its connection and did not return", counted=True
                    )
            elif silent_s >= liveness.lease_s:
                self._leases.release(worker, f"worker {worker.name} was silent for {silent_s:.0f} s", counted=True)
            elif silent_s >= liveness.suspect_s and worker.contact in (Contact.READY, Contact.BUSY):
                worker.contact = Contact.SUSPECT
            elif worker.exclusive_waiting:
                self._leases.give_last_chance(worker)


_ADMIT: dict[type[Message], Callable[[Sessions, Peer, Any], None]] = {
    m.ClientHello: Sessions._client_hello,
    m.WorkerHello: Sessions._worker_hello,
    m.ControlHello: Sessions._control_hello,
    m.PeerHello: Sessions._peer_hello,
}
