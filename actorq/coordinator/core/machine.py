"""The coordinator: what it knows, and what it does with each message.

A call is in exactly one place: a lane (ready), the schedule (waits for its time), a worker's leases, or `_held_back`
(sent again by a client while this coordinator is young: a worker may still run it). `check` verifies that the indexes
agree. Every handler may see the same message twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from actorq import states
from actorq.config import CoordinatorSettings
from actorq.coordinator.core.broadcasts import Broadcasts
from actorq.coordinator.core.clients import Client, SpecEntry
from actorq.coordinator.core.effects import Effects, Peer
from actorq.coordinator.core.outcomes import OutcomeCache
from actorq.coordinator.core.queues import GONE, Lanes
from actorq.coordinator.core.schedule import Schedule
from actorq.coordinator.core.workers import Contact, Worker
from actorq.errors import TaskRevokedError, VersionMismatch, WorkerLostError
from actorq.stores.api import KeepCalls, KeepCode, KeepOutcomes, Kept, KeepRevocations, Operation
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Blob, Call, CallSpec, Message, Outcome
from actorq.wire.payload import encode_failure

FOREIGN = 0
"""Spec number of a lease from an earlier coordinator whose call has not been sent again yet."""
SPEC_LIMIT = 100_000


class Coordinator:
    """One coordinator's decisions."""

    def __init__(self, name: str, epoch: str, settings: CoordinatorSettings, now_s: float, wall_s: float) -> None:
        self.name = name
        self.epoch = epoch
        self.settings = settings
        self._now_s, self._wall_s, self._started_s = now_s, wall_s, now_s
        self._calls: dict[str, Call] = {}
        self._lanes = Lanes()
        self._schedule = Schedule()
        self._held_back: dict[str, Call] = {}
        self._outcomes = OutcomeCache(settings.outcome_count, settings.outcome_bytes, settings.outcome_age_s)
        self._revoked: dict[str, float] = {}
        self._dead_letters: deque[dict[str, Any]] = deque(maxlen=settings.dead_letter_count)
        self._workers: dict[str, Worker] = {}
        self._workers_by_number: dict[int, Worker] = {}
        self._clients: dict[str, Client] = {}
        self._clients_by_number: dict[int, Client] = {}
        self._deferring: dict[str, Client] = {}
        self._peers: dict[Peer, Client | Worker] = {}
        self._controls: dict[Peer, str] = {}
        self._entries: dict[CallSpec, SpecEntry] = {}
        self._entries_by_number: dict[int, SpecEntry] = {}
        self._codes: dict[str, bytes] = {}
        self._code_bytes = 0
        self._blob_bytes = 0
        self._watchers: dict[str, set[Peer]] = {}
        self._broadcasts = Broadcasts()
        self._seq = 0
        self._numbers = 0
        self._slots = 0
        self._liveness_due_s = now_s
        self._effects = Effects()
        self._operations: list[Operation] = []
        self._unconfirmed: deque[tuple[int, list[tuple[Peer, Message]]]] = deque()
        self._token = 0
        self._acks: list[tuple[Peer, Message]] = []
        self.late_reports = 0
        self.settled_count = 0
        self._handlers: dict[type[Message], Callable[[Any, Any, Any], None]] = {
            m.Submit: self._submit,
            m.Code: self._keep_code,
            m.Query: self._query,
            m.Control: self._control,
            m.Ping: self._ping,
            m.Capacity: self._set_capacity,
            m.Finished: self._finished,
            m.Returned: self._returned,
            m.Starting: self._starting,
            m.Heartbeat: self._heartbeat,
            m.Reply: self._reply,
            m.Bye: self._bye,
        }

    # -- the interface to the shell ------------------------------------------------------------------------------

    def restore(self, kept: Kept) -> None:
        """Take over what a store kept. The calls wait one grace for workers to list what they run."""
        for digest, blob in kept.codes:
            self._codes[digest] = blob
            self._code_bytes += len(blob)
        for session, spec, call in kept.calls:
            client = self._client(session, "", "")
            client.left_s = self._now_s
            entry = self._entry(spec)
            call.spec, call.client, call.worker = entry.number, client.number, 0
            self._seq += 1
            call.seq = self._seq
            self._calls[call.id] = call
            self._held_back[call.id] = call
            self._count_blob(call, 1)
        self._outcomes.add(kept.outcomes, self._now_s)
        self._revoked.update(kept.revocations)

    def allowed(self, peer: Peer) -> frames.Kinds:
        """The kinds of messages that `peer` may send now."""
        if peer in self._controls:
            return frames.FROM_CONTROL
        party = self._peers.get(peer)
        if party is None:
            return frames.HELLO
        return frames.FROM_CLIENT if isinstance(party, Client) else frames.FROM_WORKER

    def advance(self, now_s: float, wall_s: float) -> None:
        """Set the time: monotonic and Unix."""
        pause_s = now_s - self._now_s
        if pause_s > self.settings.liveness.suspect_s / 2 and self._workers:
            # This process stood still (stopped, suspended): that is not the silence of the workers.
            for worker in self._workers.values():
                worker.heard_s += pause_s
                worker.lost_s += pause_s
        self._now_s, self._wall_s = now_s, wall_s

    def receive(self, peer: Peer, message: Any) -> None:
        """A message came. One from a session without a Hello changes nothing and is answered with Reset."""
        kind = type(message)
        if kind is m.ClientHello:
            self._welcome(peer, message, self._client_hello)
        elif kind is m.WorkerHello:
            self._welcome(peer, message, self._worker_hello)
        elif kind is m.ControlHello and message.epoch in self._workers:
            self._welcome(peer, message, self._control_hello)
        else:
            party: Client | Worker | None = self._peers.get(peer)
            if party is None and peer in self._controls:
                party = self._workers.get(self._controls[peer])
            if party is None:
                self._send(peer, m.Reset())
                return
            if isinstance(party, Worker):
                self._heard(party)
            self._handlers[kind](peer, party, message)

    def lose(self, peer: Peer) -> None:
        """The session ended; nothing that is sent to it arrives any more."""
        self._broadcasts.forget(peer)
        epoch = self._controls.pop(peer, None)
        if epoch is not None:
            worker = self._workers.get(epoch)
            if worker is not None and worker.control == peer:
                worker.control = None
            return
        party = self._peers.pop(peer, None)
        if isinstance(party, Client) and party.peer == peer:
            party.forget_connection()
            party.left_s = self._now_s
        elif isinstance(party, Worker) and party.peer == peer:
            party.forget_session()
            party.contact = Contact.LOST
            party.lost_s = self._now_s

    def persisted(self, token: int) -> None:
        """All operations up to `token` are durable: what waited for that may be said."""
        while self._unconfirmed and self._unconfirmed[0][0] <= token:
            for peer, message in self._unconfirmed.popleft()[1]:
                self._send(peer, message)

    def finish(self) -> Effects:
        """End the batch: run what is due, dispatch, and return the effects."""
        self._run_due()
        self._accept_deferred()
        self._dispatch()
        for peer, replies in self._broadcasts.pop_done(self._now_s):
            self._send(peer, replies)
        effects, self._effects = self._effects, Effects()
        effects.deadline_s = self._deadline_s()
        if self._operations:
            self._token += 1
            effects.persist, self._operations = self._operations, []
            effects.token = self._token
            self._unconfirmed.append((self._token, self._acks))
        elif self._acks and self._unconfirmed:
            self._unconfirmed[-1][1].extend(self._acks)  # In order: after those that still wait for the store.
        else:
            for peer, message in self._acks:
                effects.sends[peer].append(message)
        self._acks = []
        return effects

    # -- sessions ------------------------------------------------------------------------------------------------

    def _send(self, peer: Peer | None, message: Message) -> None:
        if peer is not None:
            self._effects.sends[peer].append(message)

    def _welcome(self, peer: Peer, hello: Any, admit: Callable[[Peer, Any], None]) -> None:
        try:
            version = frames.agree_version(hello.versions)
        except VersionMismatch as error:
            self._send(peer, m.Rejected(str(error)))
            self._effects.hang_ups.append(peer)
            return
        admit(peer, hello)
        settings = self.settings
        self._effects.sends[peer].insert(
            0,
            m.Welcome(
                version,
                hello.nonce,
                self.name,
                self.epoch,
                settings.client_window,
                settings.durable,
                settings.max_body_bytes,
                self._slots,
            ),
        )

    def _client(self, session: str, name: str, reply_address: str) -> Client:
        client = self._clients.get(session)
        if client is None:
            self._numbers += 1
            client = Client(self._numbers, session, name, reply_address, None)
            self._clients[session] = client
            self._clients_by_number[client.number] = client
        return client

    def _client_hello(self, peer: Peer, hello: m.ClientHello) -> None:
        client = self._client(hello.session, hello.name, hello.reply_address)
        if client.peer == peer:
            return
        if client.peer is not None:
            self._peers.pop(client.peer, None)
            self._effects.hang_ups.append(client.peer)
        client.forget_connection()
        if client.reply_address != hello.reply_address:
            client.reply_address = hello.reply_address
            for worker in self._workers.values():
                worker.clients.discard(client.number)
        client.name = hello.name
        client.peer = peer
        self._peers[peer] = client

    def _worker_hello(self, peer: Peer, hello: m.WorkerHello) -> None:
        worker = self._workers.get(hello.epoch)
        if worker is not None and worker.peer == peer:
            return
        if worker is None:
            self._release_predecessors(hello.name)
            self._numbers += 1
            group = self._lanes.join(hello.queues, hello.offers)
            worker = Worker(self._numbers, hello.name, hello.epoch, hello.pid, group, hello.slots, 0, None)
            self._workers[hello.epoch] = worker
            self._workers_by_number[worker.number] = worker
        elif worker.peer is not None:
            self._peers.pop(worker.peer, None)
            self._effects.hang_ups.append(worker.peer)
        worker.forget_session()
        worker.peer = peer
        worker.capacity = hello.capacity
        worker.slots = hello.slots
        worker.contact = Contact.READY
        worker.heard_s = self._now_s
        self._peers[peer] = worker
        self._reconcile(worker, hello)
        self._count_slots()
        worker.list_if_idle()

    def _release_predecessors(self, name: str) -> None:
        """A node of this name has started anew: its last incarnation, if it is out of touch, will not come back."""
        for other in [each for each in self._workers.values() if each.name == name]:
            if other.contact is Contact.LOST:
                self._release(other, f"worker {name} was lost and has started again", counted=True)

    def _control_hello(self, peer: Peer, hello: m.ControlHello) -> None:
        worker = self._workers[hello.epoch]
        if worker.control is not None and worker.control != peer:
            self._controls.pop(worker.control, None)
            self._effects.hang_ups.append(worker.control)
        worker.control = peer
        self._controls[peer] = hello.epoch
        self._heard(worker)

    def _reconcile(self, worker: Worker, hello: m.WorkerHello) -> None:
        """Bring the leases in line with what the node says that it holds."""
        held = dict(hello.held)
        missing = [call for call in worker.leases.values() if held.get(call.id) != call.attempt]
        self._requeue(worker, missing)  # They were lost on the way: never started.
        forgotten = []
        for task_id, attempt in held.items():
            if task_id in worker.leases:
                continue
            if hello.coordinator != self.epoch and self._adopt(worker, task_id, attempt):
                continue
            forgotten.append(task_id)
        if forgotten:
            self._send(worker.peer, m.Revoke(forgotten, forget=True))
        if worker.begun:
            self._send(worker.peer, m.Begin([each for each in worker.begun if each in worker.leases]))

    def _adopt(self, worker: Worker, task_id: str, attempt: int) -> bool:
        """Lease a call to the node that got it from an earlier coordinator. False if somebody else has it."""
        if self._outcomes.get(task_id) is not None:
            return False
        call = self._calls.get(task_id)
        if call is None:
            call = self._calls[task_id] = Call(task_id, FOREIGN, b"")
        elif self._held_back.pop(task_id, None) is None:
            return False
        call.attempt = attempt
        call.worker = worker.number
        worker.leases[task_id] = call
        return True

    # -- submission ----------------------------------------------------------------------------------------------

    def _submit(self, peer: Peer, client: Client, message: m.Submit) -> None:
        if message.seq <= client.seq:
            return
        client.seq = message.seq
        for number, spec in message.specs:
            client.specs[number] = self._entry(spec)
        if client.deferred or not self._has_room(client, message):
            client.deferred.append(message)
            self._deferring[client.session] = client
            if not client.pressed:
                client.pressed = True
                self._send(peer, m.Pressure(self._pressure(client, message)))
            return
        self._accept(client, message)

    def _entry(self, spec: CallSpec) -> SpecEntry:
        entry = self._entries.get(spec)
        if entry is None:
            number = len(self._entries) + 1
            entry = SpecEntry(number, spec, self._lanes.lane(spec.queue, spec.offer), not spec.ignore_result)
            if number <= SPEC_LIMIT:  # Beyond it calls are refused, see _accept.
                self._entries[spec] = self._entries_by_number[number] = entry
        return entry

    def _full_queue(self, client: Client, message: m.Submit) -> str:
        limit = self.settings.queue_limit
        if len(self._calls) < limit:
            return ""
        for number in {call.spec for call in message.calls}:
            entry = client.specs.get(number)
            if entry is not None and entry.lane.queue.size >= limit:
                return entry.spec.queue
        return ""

    def _has_room(self, client: Client, message: m.Submit) -> bool:
        return self._blob_bytes < self.settings.queued_blob_bytes and not self._full_queue(client, message)

    def _pressure(self, client: Client, message: m.Submit) -> str:
        queue = self._full_queue(client, message)
        if queue:
            return (
                f"queue {queue!r} holds its limit of {self.settings.queue_limit:,} calls: start more workers for it, "
                f"or submit more slowly"
            )
        return f"large arguments fill their limit of {self.settings.queued_blob_bytes:,} bytes at the coordinator"

    def _accept_deferred(self) -> None:
        for client in list(self._deferring.values()):
            while client.deferred and self._has_room(client, client.deferred[0]):
                self._accept(client, client.deferred.popleft())
            if not client.deferred:
                del self._deferring[client.session]
                client.pressed = False
                self._send(client.peer, m.Pressure(""))

    def _accept(self, client: Client, message: m.Submit) -> None:
        refused: list[tuple[str, str]] = []
        accepted: list[Call] = []
        must_check = not message.fresh or message.resent or bool(self._revoked)
        calls, specs, number, seq = self._calls, client.specs, client.number, self._seq
        run, previous = 0, None
        for call in message.calls:
            entry = specs.get(call.spec)
            if entry is None or entry.number > SPEC_LIMIT or (entry.spec.code and entry.spec.code not in self._codes):
                refused.append((call.id, self._why_refused(entry)))
                continue
            call.spec = entry.number
            call.client = number if entry.replies else 0
            call.attempt = call.lost = call.worker = 0
            seq += 1
            call.seq = seq
            if call.id in calls or (must_check and not self._is_new(call)):
                self._again(client, call)
                continue
            calls[call.id] = call
            accepted.append(call)
            if call.body.__class__ is not bytes:
                self._count_blob(call, 1)
            if call.expires:
                self._schedule.add(call.expires, call)
            if message.resent and self._is_young():
                self._held_back[call.id] = call
                continue
            if call.not_before > self._wall_s:
                self._schedule.add(call.not_before, call)
                continue
            call.not_before = 0
            if entry is not previous:
                if previous is not None:
                    previous.lane.grow(run)
                previous, run = entry, 0
            entry.lane.levels[entry.spec.priority].append(call)
            run += 1
        if previous is not None:
            previous.lane.grow(run)
        self._seq = seq
        if refused:
            self._send(client.peer, m.Refused(refused))
        if self.settings.durable and accepted:
            entries = self._entries_by_number
            self._operations.append(KeepCalls(client.session, [(entries[each.spec].spec, each) for each in accepted]))
        if client.peer is not None:
            self._acks.append((client.peer, m.Accepted(message.seq, self._slots)))

    def _why_refused(self, entry: SpecEntry | None) -> str:
        if entry is None:
            return "it names options that this session has not sent"
        if entry.number > SPEC_LIMIT:
            return (
                f"more than {SPEC_LIMIT:,} different combinations of task and options are in use: use fewer "
                f"different time limits or queues"
            )
        return CODE_MISSING

    def _is_young(self) -> bool:
        return self._now_s < self._started_s + self.settings.liveness.grace_s

    def _is_new(self, call: Call) -> bool:
        """False if the call has settled or was revoked before it came."""
        return self._outcomes.get(call.id) is None and call.id not in self._revoked

    def _again(self, client: Client, call: Call) -> None:
        """A call that is known came again, or one that was revoked before it came."""
        outcome = self._outcomes.get(call.id)
        if outcome is not None:
            self._send(client.peer, m.Settled([outcome]))
            return
        known = self._calls.get(call.id)
        if known is None:
            self._settle_here(call, m.REVOKED, TaskRevokedError("it was revoked before it was submitted"))
        elif known.spec == FOREIGN:
            known.spec, known.body, known.client, known.seq = call.spec, call.body, call.client, call.seq
            known.expires = call.expires
            self._count_blob(known, 1)
        elif known.client != client.number and client.peer is not None:
            self._watchers.setdefault(call.id, set()).add(client.peer)

    def _keep_code(self, peer: Peer, client: Client, message: m.Code) -> None:
        if message.digest not in self._codes:
            if self._code_bytes + len(message.blob) > self.settings.code_bytes:
                self._drop_unused_code()
            self._codes[message.digest] = message.blob
            self._code_bytes += len(message.blob)
            if self.settings.durable:
                self._operations.append(KeepCode(message.digest, message.blob))

    def _drop_unused_code(self) -> None:
        entries = self._entries_by_number
        used = {entries[number].spec.code for number in {call.spec for call in self._calls.values()} - {FOREIGN}}
        self._codes = {digest: blob for digest, blob in self._codes.items() if digest in used}
        self._code_bytes = sum(map(len, self._codes.values()))

    def _count_blob(self, call: Call, sign: int) -> None:
        if isinstance(call.body, Blob):
            self._blob_bytes += sign * len(call.body)

    # -- dispatch ------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        busy = []
        for group in list(self._lanes.groups.values()):
            while group.active and (group.free or group.ahead):
                ring = group.free or group.ahead
                worker = ring.popleft()
                worker.listed = False
                room = (worker.slots if ring is group.free else worker.capacity) - len(worker.leases)
                room = min(room, worker.credit)
                if worker.contact is not Contact.READY or room <= 0:
                    worker.list_if_idle()
                    continue
                share = -(-group.ready() // (len(ring) + 1))
                calls = group.take(min(room, share))
                if calls:
                    if not worker.outgoing:
                        busy.append(worker)
                    self._lease(worker, calls)
                worker.list_if_idle()
        for worker in busy:
            self._send_outgoing(worker)

    def _lease(self, worker: Worker, calls: list[Call]) -> None:
        leases, number = worker.leases, worker.number
        specs, clients = worker.specs, worker.clients
        for call in calls:
            call.attempt += 1
            call.worker = number
            leases[call.id] = call
            if call.spec not in specs or call.client not in clients:
                self._define(worker, call)
        worker.outgoing += calls

    def _define(self, worker: Worker, call: Call) -> None:
        """Tell the worker what the numbers in `call` mean, and give it the function if that travels by value."""
        define = m.Define([], [])
        if call.spec not in worker.specs:
            worker.specs.add(call.spec)
            spec = self._entries_by_number[call.spec].spec
            if spec.code and spec.code not in worker.codes:
                worker.codes.add(spec.code)
                self._send(worker.peer, m.Code(spec.code, self._codes[spec.code]))
            define.specs.append((call.spec, spec))
        if call.client not in worker.clients:
            worker.clients.add(call.client)
            client = self._clients_by_number.get(call.client)
            if client is not None:
                define.clients.append((client.number, client.session, client.reply_address))
        self._send(worker.peer, define)

    def _send_outgoing(self, worker: Worker) -> None:
        size = self.settings.deliver_batch
        calls, worker.outgoing = worker.outgoing, []
        for start in range(0, len(calls), size):
            worker.deliveries += 1
            self._send(worker.peer, m.Deliver(worker.deliveries, calls[start : start + size]))

    # -- reports of workers --------------------------------------------------------------------------------------

    def _finished(self, peer: Peer, worker: Worker, message: m.Finished) -> None:
        leases, calls = worker.leases, self._calls
        taken: list[Outcome] = []
        relay: dict[int, list[Outcome]] = {}
        for outcome in message.outcomes:
            call = leases.pop(outcome.id, None)
            if call is None:
                self.late_reports += 1
                continue
            if call.attempt != outcome.attempt:
                leases[outcome.id] = call
                self.late_reports += 1
                continue
            del calls[outcome.id]
            taken.append(outcome)
            if call.body.__class__ is not bytes:
                self._count_blob(call, -1)
            if message.relay:
                relay.setdefault(call.client, []).append(outcome)
        self._settle(taken)
        for number, outcomes in relay.items():
            client = self._clients_by_number.get(number)
            if client is not None:
                self._send(client.peer, m.Settled(outcomes))
        if worker.begun:
            self._ended_guarded(worker)
        worker.list_if_idle()
        self._acks.append((peer, m.Acked(message.seq)))

    def _settle(self, outcomes: list[Outcome]) -> None:
        """These calls, which are in no index any more, have ended."""
        if not outcomes:
            return
        self.settled_count += len(outcomes)
        self._outcomes.add(outcomes, self._now_s)
        if self.settings.durable:
            self._operations.append(KeepOutcomes(outcomes))
        if self._watchers:
            for outcome in outcomes:
                for peer in self._watchers.pop(outcome.id, ()):
                    self._send(peer, m.Settled([outcome]))

    def _settle_here(self, call: Call, state: int, error: Exception) -> None:
        """End a call that is in no index but `_calls`, without a worker; its client is told."""
        self._calls.pop(call.id, None)
        self._count_blob(call, -1)
        outcome = Outcome(call.id, max(call.attempt, 0), state, encode_failure(error, ""))
        self._settle([outcome])
        client = self._clients_by_number.get(call.client)
        if client is not None and client.peer is not None:
            self._acks.append((client.peer, m.Settled([outcome])))

    def _returned(self, peer: Peer, worker: Worker, message: m.Returned) -> None:
        calls = []
        for task_id, attempt in message.attempts:
            call = worker.leases.get(task_id)
            if call is not None and call.attempt == attempt and task_id not in worker.begun:
                calls.append(call)
        self._requeue(worker, calls)
        worker.list_if_idle()

    def _starting(self, peer: Peer, worker: Worker, message: m.Starting) -> None:
        """Guarded calls are about to start: note it, then let them. Those with one chance left go one at a time."""
        ready = []
        for task_id, attempt in message.attempts:
            call = worker.leases.get(task_id)
            if call is None or call.attempt != attempt:
                continue
            if self._is_last_chance(call) and worker.exclusive not in ("", task_id):
                if task_id not in worker.exclusive_waiting:
                    worker.exclusive_waiting.append(task_id)
                continue
            if self._is_last_chance(call):
                worker.exclusive = task_id
            worker.begun.add(task_id)
            ready.append(task_id)
        if ready:
            self._send(worker.peer, m.Begin(ready))

    def _is_last_chance(self, call: Call) -> bool:
        return call.lost > 0 and call.lost + 1 >= self._entries_by_number[call.spec].spec.max_deliveries

    def _ended_guarded(self, worker: Worker) -> None:
        worker.begun = {each for each in worker.begun if each in worker.leases}
        if worker.exclusive and worker.exclusive not in worker.leases:
            worker.exclusive = ""
            while worker.exclusive_waiting and not worker.exclusive:
                call = worker.leases.get(worker.exclusive_waiting.popleft())
                if call is not None:
                    worker.exclusive = call.id
                    worker.begun.add(call.id)
                    self._send(worker.peer, m.Begin([call.id]))

    def _set_capacity(self, peer: Peer, worker: Worker, message: m.Capacity) -> None:
        worker.capacity, worker.slots = message.capacity, message.slots
        self._count_slots()
        worker.list_if_idle()

    def _heartbeat(self, peer: Peer, worker: Worker, message: m.Heartbeat) -> None:
        worker.running = dict(message.running)
        worker.lag_s, worker.rss_bytes = message.lag_s, message.rss_bytes
        self._send(peer, m.Renewed(message.sent_s))

    def _bye(self, peer: Peer, worker: Worker, message: m.Bye) -> None:
        self._release(worker, message.reason, counted=False)

    # -- leases that end without an outcome ----------------------------------------------------------------------

    def _requeue(self, worker: Worker, calls: Sequence[Call]) -> None:
        """Take leases back and put the calls in front of their lanes, in order; revoked ones end here."""
        back: dict[tuple[int, int], list[Call]] = {}
        for call in calls:
            del worker.leases[call.id]
            call.worker = 0
            if call.spec == FOREIGN:
                del self._calls[call.id]
            elif call.id in self._revoked:
                self._settle_here(call, m.REVOKED, TaskRevokedError("it was revoked"))
            elif call.expires and call.expires <= self._wall_s:
                self._settle_here(call, m.REVOKED, TaskRevokedError("it expired before it started"))
            else:
                entry = self._entries_by_number[call.spec]
                back.setdefault((call.spec, entry.spec.priority), []).append(call)
        for (number, priority), group in back.items():
            self._entries_by_number[number].lane.put_back(priority, group)
        if worker.begun:
            self._ended_guarded(worker)

    def _release(self, worker: Worker, reason: str, counted: bool) -> None:
        """A node's session is over: its leases go back, or are given up after too many deliveries."""
        back = []
        for call in list(worker.leases.values()):
            if counted and call.spec != FOREIGN and self._may_have_run(worker, call):
                call.lost += 1
                spec = self._entries_by_number[call.spec].spec
                if spec.at_most_once or call.lost >= spec.max_deliveries:
                    self._give_up(worker, call, spec, reason)
                    continue
            back.append(call)
        worker.begun.clear()
        self._requeue(worker, back)
        worker.capacity = 0
        worker.contact = Contact.LOST
        for peer in (worker.peer, worker.control):
            if peer is not None:
                self._peers.pop(peer, None)
                self._controls.pop(peer, None)
                self._effects.hang_ups.append(peer)
        del self._workers[worker.epoch], self._workers_by_number[worker.number]
        self._lanes.leave(worker.group)
        self._count_slots()

    def _may_have_run(self, worker: Worker, call: Call) -> bool:
        """Whether the death of the worker counts against the call.

        A guarded call has run only if its start was acknowledged. Of the others we cannot know; they are guarded the
        next time, so being beside a task that kills its process counts once at the most.
        """
        if call.lost or self._entries_by_number[call.spec].spec.at_most_once:
            return call.id in worker.begun
        return True

    def _give_up(self, worker: Worker, call: Call, spec: CallSpec, reason: str) -> None:
        del worker.leases[call.id]
        call.worker = 0
        times = f"{call.lost} times" if call.lost > 1 else "once"
        text = f"{spec.task}[{call.id}] was given up: its worker was lost {times} while it ran (last: {reason})"
        self._dead_letters.append(
            {
                "id": call.id,
                "task": spec.task,
                "queue": spec.queue,
                "reason": text,
                "worker": worker.name,
                "deliveries": call.attempt,
                "time": self._wall_s,
            }
        )
        self._settle_here(call, m.FAILURE, WorkerLostError(text))

    # -- time ----------------------------------------------------------------------------------------------------

    def _run_due(self) -> None:
        for call in self._schedule.pop_due(self._wall_s):
            if self._calls.get(call.id) is not call or call.worker or call.attempt == GONE:
                continue
            if call.expires and call.expires <= self._wall_s:
                self._withdraw(call)
                self._settle_here(call, m.REVOKED, TaskRevokedError("it expired before it started"))
            elif call.not_before and call.id not in self._held_back:
                self._enqueue([call])
        if self._held_back and not self._is_young():
            held, self._held_back = self._held_back, {}
            for call in held.values():
                if call.not_before > self._wall_s:
                    self._schedule.add(call.not_before, call)
                else:
                    self._enqueue([call])
        if self._now_s >= self._liveness_due_s:
            self._liveness_due_s = self._now_s + self.settings.liveness.heartbeat_s
            self._judge_workers()
            self._forget_old()

    def _enqueue(self, calls: Iterable[Call]) -> None:
        """Put calls at the end of their lanes, unless they stand there."""
        for call in calls:
            entry = self._entries_by_number[call.spec]
            entry.lane.levels[entry.spec.priority].append(call)
            call.not_before = 0
            entry.lane.grow(1)

    def _withdraw(self, call: Call) -> None:
        """Take a call that is not leased out of the place where it waits."""
        if self._held_back.pop(call.id, None) is None and not call.not_before:
            self._entries_by_number[call.spec].lane.take_out(call)

    def _judge_workers(self) -> None:
        liveness = self.settings.liveness
        for worker in list(self._workers.values()):
            silent_s = self._now_s - worker.heard_s
            if worker.contact is Contact.LOST:
                if self._now_s - worker.lost_s >= liveness.grace_s:
                    self._release(worker, f"worker {worker.name} lost its connection and did not return", counted=True)
            elif silent_s >= liveness.lease_s:
                self._release(worker, f"worker {worker.name} was silent for {silent_s:.0f} s", counted=True)
            elif silent_s >= liveness.suspect_s:
                worker.contact = Contact.SUSPECT

    def _heard(self, worker: Worker) -> None:
        worker.heard_s = self._now_s
        if worker.contact is Contact.SUSPECT:
            worker.contact = Contact.READY
            worker.list_if_idle()

    def _forget_old(self) -> None:
        self._outcomes.expire(self._now_s)
        settings = self.settings
        while self._revoked:
            oldest = next(iter(self._revoked))
            if self._revoked[oldest] > self._wall_s and len(self._revoked) <= settings.revocation_count:
                break
            del self._revoked[oldest]
        gone = self._now_s - settings.client_age_s
        for client in [each for each in self._clients.values() if each.peer is None and each.left_s < gone]:
            del self._clients[client.session], self._clients_by_number[client.number]

    def _deadline_s(self) -> float | None:
        due = [self._liveness_due_s] if self._workers or self._held_back else []
        scheduled_s = self._schedule.next_s()
        if scheduled_s is not None:
            due.append(self._now_s + max(scheduled_s - self._wall_s, 0.0))
        broadcast_s = self._broadcasts.next_s()
        if broadcast_s is not None:
            due.append(broadcast_s)
        return min(due, default=None)

    def _count_slots(self) -> None:
        self._slots = sum(worker.slots for worker in self._workers.values() if worker.contact is not Contact.LOST)

    # -- questions and commands ----------------------------------------------------------------------------------

    def _ping(self, peer: Peer, client: Client, message: m.Ping) -> None:
        pass  # A Ping from a session that is not known is answered with Reset; that is its use.

    def _query(self, peer: Peer, client: Client, message: m.Query) -> None:
        settled, report = [], []
        for task_id in message.ids:
            outcome = self._outcomes.get(task_id)
            if outcome is not None:
                settled.append(outcome)
                continue
            report.append((task_id, self._state(task_id)))
            if message.wait:
                self._watchers.setdefault(task_id, set()).add(peer)
        if settled:
            self._send(peer, m.Settled(settled))
        self._send(peer, m.Report(message.token, report))

    def _state(self, task_id: str) -> str:
        call = self._calls.get(task_id)
        if call is None:
            return ""
        if not call.worker:
            return states.PENDING
        worker = self._workers_by_number[call.worker]
        return states.STARTED if worker.running.get(task_id) == call.attempt else states.RECEIVED

    def _control(self, peer: Peer, client: Client, message: m.Control) -> None:
        own = self._own_commands().get(message.command)
        if own is not None:
            self._acks.append((peer, m.Replies(message.token, {self.name: own(message.arguments)}, [])))
            return
        nodes = [each for each in self._workers.values() if not message.destination or each.name in message.destination]
        names = [each.name for each in nodes] + [
            name for name in message.destination if name not in {each.name for each in nodes}
        ]
        token = self._broadcasts.open(peer, message.token, names, self._now_s + message.timeout_s)
        for node in nodes:
            self._send(node.control, m.Command(token, message.command, message.arguments))

    def _reply(self, peer: Peer, worker: Worker, message: m.Reply) -> None:
        self._broadcasts.reply(message.token, worker.name, message.value)

    def _own_commands(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        return {
            "revoke": self._revoke,
            "coordinator": lambda _: self.stats(),
            "queues": lambda _: {name: queue.size for name, queue in self._lanes.queues.items()},
            "dead_letters": lambda _: list(self._dead_letters),
        }

    def _revoke(self, arguments: dict[str, Any]) -> dict[str, str]:
        """End calls, wherever they are. Returns what became of each."""
        ids, terminate = arguments.get("ids", []), bool(arguments.get("terminate"))
        until_s = self._wall_s + self.settings.revocation_age_s
        if self.settings.durable:
            self._operations.append(KeepRevocations(ids, until_s))
        return {task_id: self._revoke_one(task_id, terminate, until_s) for task_id in ids if isinstance(task_id, str)}

    def _revoke_one(self, task_id: str, terminate: bool, until_s: float) -> str:
        if self._outcomes.get(task_id) is not None:
            return "already settled"
        call = self._calls.get(task_id)
        if call is None or call.worker:
            self._revoked.pop(task_id, None)
            self._revoked[task_id] = until_s
        if call is None:
            return "unknown here; it will not start if it comes later"
        if call.worker:
            worker = self._workers_by_number[call.worker]
            self._send(worker.peer, m.Revoke([task_id], terminate))
            self._send(worker.control, m.Revoke([task_id], terminate))
            return "its worker was told"
        self._withdraw(call)
        self._settle_here(call, m.REVOKED, TaskRevokedError("it was revoked"))
        return "removed"

    def stats(self) -> dict[str, Any]:
        """What `actorq status` shows of this coordinator."""
        return {
            "name": self.name,
            "epoch": self.epoch,
            "uptime_s": round(self._now_s - self._started_s, 3),
            "durable": self.settings.durable,
            "calls": len(self._calls),
            "scheduled": len(self._schedule),
            "outcomes": len(self._outcomes),
            "settled": self.settled_count,
            "late_reports": self.late_reports,
            "dead_letters": len(self._dead_letters),
            "clients": sum(client.peer is not None for client in self._clients.values()),
            "queues": {name: queue.size for name, queue in self._lanes.queues.items()},
            "workers": [
                {
                    "name": worker.name,
                    "pid": worker.pid,
                    "state": worker.contact.value,
                    "slots": worker.slots,
                    "leases": len(worker.leases),
                    "running": len(worker.running),
                    "lag_s": worker.lag_s,
                    "rss_bytes": worker.rss_bytes,
                    "silent_s": round(self._now_s - worker.heard_s, 3),
                    "queues": sorted(worker.group.queues),
                    "offers": sorted(worker.group.offers),
                }
                for worker in self._workers.values()
            ],
        }


CODE_MISSING = "its function is not here; it is sent again"
"""Why a call by value is refused when the coordinator has dropped or never had the function. The client sends it again."""
