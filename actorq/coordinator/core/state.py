"""What a coordinator knows, and the elementary moves that keep it consistent.

A call is in exactly one place: a lane (ready, or limited), the schedule (waits for its time), a worker's leases, or `held_back`
(sent again by a client while this coordinator is young: a worker may still run it). `checks.check` verifies that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from actorq.config import CoordinatorSettings
from actorq.coordinator.core.ages import Ages
from actorq.coordinator.core.calls import Calls
from actorq.coordinator.core.clients import Client, SpecEntry
from actorq.coordinator.core.dead_letters import DeadLetters
from actorq.coordinator.core.effects import Effects, Peer
from actorq.coordinator.core.gates import Gates, LimitedLane
from actorq.coordinator.core.keeping import Keeping
from actorq.coordinator.core.ledger import Ledger
from actorq.coordinator.core.lines import age
from actorq.coordinator.core.outcomes import OutcomeCache, made_of
from actorq.coordinator.core.queues import FairLane, Lane, Lanes, Queue
from actorq.coordinator.core.schedule import Schedule
from actorq.coordinator.core.topology import Topology
from actorq.coordinator.core.uniques import Uniques
from actorq.coordinator.core.workers import Contact, Worker
from actorq.errors import TaskRevokedError, WorkerLostError
from actorq.policies.rate import Rate
from actorq.stores.api import ForgetDeadLetters, KeepDeadLetter, Operation
from actorq.wire import messages as m
from actorq.wire.batches import batches, chunks
from actorq.wire.frames import body_of
from actorq.wire.messages import Message
from actorq.wire.payload import encode_failure
from actorq.wire.records import FAILURE, REVOKED, Call, CallSpec, Note, Outcome

TREE = "\x1ftree "
"""Before the id of a root: all calls that go back to it."""
NO_ROOM = -1
"""Spec number of an entry beyond SPEC_LIMIT: its calls are refused."""
SPEC_LIMIT = 100_000
SPECS_KEPT = 10_000
"""So many may be there without use."""


class State:
    """The tables of one coordinator, shared by the parts that decide."""

    def __init__(self, name: str, epoch: str, settings: CoordinatorSettings, now_s: float, wall_s: float) -> None:
        self.name = name
        self.epoch = epoch
        self.settings = settings
        self.now_s = now_s
        """Monotonic time of the batch."""
        self.wall_s = wall_s
        """Unix time of the batch."""
        self.latest_wall_s = wall_s
        """The latest that the clock has said: it may have been set back since."""
        self.started_s = now_s
        self.counts: Callable[[], dict[str, int]] = dict
        """What the shell counts besides, for `Commands.stats`."""
        self.calls = Calls()
        self.lanes = Lanes()
        self.gates = Gates(now_s)
        self.uniques = Uniques()
        self.schedule = Schedule()
        self.held_back: dict[str, Call] = {}
        self.outcomes = OutcomeCache(settings.outcome_count, settings.outcome_bytes, settings.outcome_age_s)
        self.revoked: dict[str, tuple[float, bool]] = {}
        """Calls that must not start if they come, or come back: until when (Unix time), and whether to end them too. With
        TREE before the id: all calls that go back to that one."""
        self.dead_letters = DeadLetters(settings.dead_letter_count, settings.dead_letter_bytes)
        self.watchers: dict[str, dict[Client, None]] = {}
        """Who else wants to hear of a call's outcome."""
        self.workers: dict[str, Worker] = {}
        self.workers_by_number: dict[int, Worker] = {}
        self.clients: dict[str, Client] = {}
        self.clients_by_number: dict[int, Client] = {}
        self.peers: dict[Peer, Client | Worker] = {}
        """Open sessions."""
        self.controls: dict[Peer, str] = {}
        """Second connections of worker nodes, with the node's epoch."""
        self.entries: dict[CallSpec, SpecEntry] = {}
        self.entries_by_number: dict[int, SpecEntry] = {}
        self.extended: dict[int, CallSpec] = {}
        """By number: those whose calls are to be known when they have settled."""
        self.no_lane = Lane(Queue(""), "")
        """Of the specs whose calls are refused: nothing ever stands in it."""
        self.spec_numbers = 0
        """Never given again: workers remember what they mean."""
        self.codes: dict[str, bytes] = {}
        self.code_bytes = 0
        self.body_bytes = 0
        """Size of the arguments of all calls."""
        self.seq = 0
        self.numbers = 0
        self.slots = 0
        self.at_hand = 0
        """Calls that workers want beside those in slots."""
        self.hits: Counter[str] = Counter()
        """How often each limit was reached, by its name."""
        self.late_reports = 0
        self.settled_count = 0
        self.effects = Effects()
        self.operations: list[Operation] = []
        """To be stored at the end of the batch."""
        self.keeping = Keeping(self)
        self.topology = Topology(self)
        self.ages = Ages()
        """When the calls in lanes came."""
        self.ledger = Ledger(self)
        self.notes: dict[str, Note] = {}
        """What calls that have not settled have said of themselves last."""
        self.is_leaving = False
        """It hands all that it has to other coordinators, and ends."""
        self.token = self.confirmed = 0
        """Numbers of the last batch that was handed to the store, and of the last one that is durable."""
        self.trouble = ""
        """Why nothing can be stored at present, if so."""
        self.unwritten = 0
        """Records that were handed to the store and are not durable yet."""
        self.acks: list[tuple[Peer, Message]] = []
        """To be sent when the operations are durable."""

    def send(self, peer: Peer | None, message: Message) -> None:
        if peer is not None:
            self.effects.sends[peer].append(message)

    def hang_up(self, peer: Peer) -> None:
        """End a session from this side.

        A listener cannot close a connection: whoever still lives at its other end is told to begin again.
        """
        self.send(peer, m.Reset())
        self.effects.hang_ups.append(peer)

    def note(self, news: str) -> None:
        """Have a line written to the log."""
        self.effects.news.append(news)

    def disconnect(self, client: Client) -> None:
        """The client's connection is over."""
        client.forget_connection()
        self.unwatch(client, list(client.watched))

    def unwatch(self, client: Client, task_ids: Iterable[str]) -> None:
        """The client does not want to be told of these any more."""
        for task_id in client.watched.intersection(task_ids):
            client.watched.discard(task_id)
            watchers = self.watchers[task_id]
            del watchers[client]
            if not watchers:
                del self.watchers[task_id]

    def watch(self, client: Client, task_id: str, asks_again: bool = False) -> None:
        """Have the client told when the call settles, or that it waits for too many. `asks_again`: the call is its own, so
        that it asks for it in any case.
        """
        is_full = len(client.watched) >= self.settings.watch_limit and task_id not in client.watched
        if is_full and not client.is_coordinator:  # Which waits for what its clients may wait for.
            self.hits["watched"] += 1
            if asks_again:
                return
            limit = f"this client waits for the outcomes of {self.settings.watch_limit:,} calls of others already"
            self.send(client.peer, m.Refused([(task_id, f"{limit}: wait for fewer at a time")]))
            return
        self.watchers.setdefault(task_id, {})[client] = None
        client.watched.add(task_id)

    def client(self, session: str, name: str, reply_address: str) -> Client:
        client = self.clients.get(session)
        if client is None:
            self.numbers += 1
            client = Client(self.numbers, session, name, reply_address, None)
            self.clients[session] = client
            self.clients_by_number[client.number] = client
        return client

    def entry(self, spec: CallSpec, is_owed: bool = False) -> SpecEntry:
        """Where calls with this spec belong. `is_owed`: they were accepted already, so there has to be room.

        Raises ImproperlyConfigured if it has no queue, and its address leads to none.
        """
        entry = self.entries.get(spec)
        if entry is None and not spec.queue:
            return self.entry(msgspec.structs.replace(spec, queue=self.topology.targets(spec)[0]), is_owed)
        if entry is None:
            if len(self.entries) >= SPEC_LIMIT and not is_owed:
                self.hits["specs"] += 1
                return SpecEntry(NO_ROOM, spec, self.no_lane, False)
            self.spec_numbers += 1
            number = self.spec_numbers
            entry = self.enter_spec(number, spec)
        return entry

    def enter_spec(self, number: int, spec: CallSpec) -> SpecEntry:
        """A new entry, under a number of its own."""
        # Who sends calls with an address does not know where they go, and takes all for kept.
        is_transient = spec.queue in self.settings.transient_queues and not (spec.exchange or spec.routing_key)
        durable = self.settings.durable and not is_transient
        is_limited = self.gates.is_limited(spec)
        lane = self.lanes.lane(spec.queue, spec.offer, LimitedLane if is_limited else Lane)
        entry = SpecEntry(number, spec, lane, not spec.ignore_result, durable, is_limited=is_limited)
        self.entries[spec] = self.entries_by_number[number] = entry
        if spec.extended:
            self.extended[number] = spec
        return entry

    def forget_specs(self) -> None:
        """Forget the specs, and lanes, that no call and no connected client uses; others may have their room."""
        used = {call.spec for call in self.calls} | self.ledger.specs_in_use()
        for client in self.clients.values():
            used.update([entry.number for entry in client.specs.values()])
        unused = [each for each in self.entries.values() if each.number not in used]
        for entry in unused:
            del self.entries[entry.spec], self.entries_by_number[entry.number]
            self.extended.pop(entry.number, None)
        self.keeping.forget_specs(unused)
        for worker in self.workers.values():
            gone = [(number, CallSpec("")) for number in sorted(worker.specs - used)]
            for each in chunks(gone, m.MAX_NAMES):
                self.send(worker.peer, m.Define(list(each), []))
            worker.specs &= used
        self.lanes.forget_empty({entry.lane for entry in self.entries.values()})
        for client in self.clients.values():
            for number in [number for number, entry in client.specs.items() if entry.number == NO_ROOM]:
                client.specs[number] = self.entry(client.specs[number].spec)

    def settle(self, calls: Sequence[Call], outcomes: list[Outcome]) -> None:
        """These calls, which are in no index any more, have ended: each with its outcome."""
        if not outcomes:
            return
        self.settled_count += len(outcomes)
        worker = self.workers_by_number.get(calls[0].worker)  # Of all of them: they came in one report, or from none.
        self.outcomes.add(outcomes, self.now_s, self.wall_s, "" if worker is None else worker.name)
        if self.extended:
            extended = self.extended
            self.outcomes.know([made_of(extended[call.spec], call) for call in calls if call.spec in extended])
        if self.uniques:
            self.uniques.free(calls)
        if self.settings.durable:
            self.keeping.settle(calls, outcomes)
        if self.ledger.members:
            self.ledger.settled(outcomes)
        self.forget_notes(outcome.id for outcome in outcomes)
        if self.watchers:
            self.tell_watchers(outcomes)

    def tell_watchers(self, outcomes: Sequence[Outcome]) -> None:
        """Tell these to whoever waits for calls of others."""
        for outcome in outcomes:
            for client in self.watchers.pop(outcome.id, ()):
                client.watched.discard(outcome.id)
                self.tell(client, m.Settled([outcome]))

    def settle_here(self, call: Call, state: int, error: Exception) -> None:
        """End a call that is in no index but `calls`, without a worker; its client is told."""
        if self.calls.get(call.id) is not None:
            self.calls.remove(call)
            self.body_bytes -= len(call.body)
        self.end(call, Outcome(call.id, max(call.attempt, 0), state, body_of(encode_failure(error, ""))))

    def end(self, call: Call, outcome: Outcome) -> None:
        """A call that is in no index has ended without a worker that says so; its client is told."""
        self.settle([call], [outcome])
        client = self.clients_by_number.get(call.client)
        if client is not None:
            self.tell(client, m.Settled([outcome]))

    def settle_all_here(self, calls: Sequence[Call], state: int, error: Exception) -> None:
        """As `settle_here`, of many."""
        body = body_of(encode_failure(error, ""))
        told: dict[int, list[Outcome]] = {}
        outcomes = []
        for call in calls:
            self.calls.remove(call)
            self.body_bytes -= len(call.body)
            outcome = Outcome(call.id, max(call.attempt, 0), state, body)
            outcomes.append(outcome)
            told.setdefault(call.client, []).append(outcome)
        self.settle(calls, outcomes)
        for number, each in told.items():
            client = self.clients_by_number.get(number)
            if client is not None:
                self.tell_settled(client, each)

    def expire(self, call: Call) -> None:
        """Its time is over, and it has not started."""
        entry = self.entries_by_number.get(call.spec)
        if entry is not None and self.topology.option(entry.spec.queue, "dead_letter_expired"):
            self.write_letter(call, "it expired before it started")
        self.settle_here(call, REVOKED, TaskRevokedError("it expired before it started"))

    def tell(self, client: Client, message: Message) -> None:
        """Send to a client what must not be said before what is decided now is durable."""
        if client.peer is not None:
            self.acks.append((client.peer, message))

    def tell_settled(self, client: Client, outcomes: Sequence[Outcome]) -> None:
        """Tell a client outcomes that are durable, or will be with what is decided now."""
        for batch in batches(outcomes):
            self.tell(client, m.Settled(batch))

    def give_up(self, call: Call, reason: str, worker: str = "") -> None:
        """End a call that is in no index but `calls` as failed, and keep it as a dead letter."""
        spec = self.entries_by_number[call.spec].spec
        text = f"{spec.task}[{call.id}] was given up: {reason}"
        self.write_letter(call, text, worker)
        self.settle_here(call, FAILURE, WorkerLostError(text))

    def write_letter(self, call: Call, reason: str, worker: str = "") -> None:
        """Keep a call that ends now among the dead letters."""
        spec = self.entries_by_number[call.spec].spec
        said = {
            "id": call.id,
            "task": spec.task,
            "queue": spec.queue,
            "reason": reason,
            "worker": worker,
            "deliveries": max(call.attempt, 0),
            "time": self.wall_s,
        }
        letter = self.dead_letters.write(said, spec, call)
        gone = self.dead_letters.excess()
        if self.settings.durable:
            self.operations.append(KeepDeadLetter(letter.number, letter.said, letter.call))
            if gone:
                self.operations.append(ForgetDeadLetters(gone))

    def place(self, call: Call, is_held_back: bool = False) -> bool:
        """Put a call, which is in `calls` and nowhere else, where it has to wait: in its lane, or in the schedule until its
        time has come. False if it ends here; see `ends_here`.

        `is_held_back`: a worker may run it. It waits until all have listed what they run.
        """
        self.uniques.take(call)
        if not is_held_back and self.ends_here(call):
            return False
        if call.expires:
            self.schedule.add(call.expires, call)
        if is_held_back:
            self.held_back[call.id] = call
        elif not self.must_wait(call):
            self.enqueue([call])
        return True

    def ends_here(self, call: Call) -> bool:
        """Settle a call that must not start: it was revoked, its time is over, or it may have started (as far as those
        know who have brought it) and may run only once. False if it may start.
        """
        if self.revoked and self.revocation_of(call):
            self.settle_here(call, REVOKED, TaskRevokedError("it was revoked"))
        elif call.lost and self.entries_by_number[call.spec].spec.at_most_once:
            self.give_up(call, "a coordinator was lost or started anew, it may have started, and it may run only once")
        elif 0 < call.expires <= self.wall_s:
            self.expire(call)
        else:
            return False
        return True

    def must_wait(self, call: Call) -> bool:
        """Whether the time of its start is to come: then it is in the schedule now."""
        if call.not_before <= self.wall_s:
            return False
        self.schedule.add(call.not_before, call)
        return True

    def enqueue(self, calls: Iterable[Call]) -> None:
        """Put calls whose time has come at the end of their lanes."""
        for call in calls:
            entry = self.entries_by_number[call.spec]
            self.seq += 1
            call.seq = self.seq
            call.not_before = 0
            self.line_up([call], entry)

    def line_up(self, calls: list[Call], entry: SpecEntry) -> None:
        """Put calls that may start where they have to wait for that: all in one place, which that of the first one is."""
        lane, level = self.lane_of(calls[0], entry), entry.spec.priority
        if isinstance(lane, LimitedLane):
            lane.wait_at(self.gates.of(calls[0], entry.spec), level, calls)
        else:
            lane.put(level, calls)

    def put_back(self, calls: Sequence[Call]) -> None:
        """Put calls of one spec that were leased where they belong by age."""
        entry = self.entries_by_number[calls[0].spec]
        level = entry.spec.priority
        by_lane: dict[Lane, list[Call]] = {}
        for call in calls:
            by_lane.setdefault(self.lane_of(call, entry), []).append(call)
        for lane, each in by_lane.items():
            if isinstance(lane, LimitedLane):
                for call in each:
                    lane.put_in_front(level, call, self.gates.of(call, entry.spec))
            else:
                lane.put_back(level, each)

    def lane_of(self, call: Call, entry: SpecEntry) -> Lane:
        """Where the call stands, if it stands in a lane."""
        if call.extra is None or not call.extra.fair_key or entry.is_limited:
            return entry.lane
        return self.lanes.lane(entry.spec.queue, entry.spec.offer, FairLane)

    def set_rate(self, task: str, rate: Rate | None) -> None:
        """Calls of the task start at this rate from now on, those that wait already as well. None: as soon as they can."""
        self.gates.set_rate(task, rate)
        for entry in [each for each in self.entries.values() if each.spec.task == task and not each.is_limited]:
            self._limit(entry)

    def _limit(self, entry: SpecEntry) -> None:
        """Calls with this spec wait at gates from now on."""
        lanes = (entry.lane, self.lanes.lane(entry.spec.queue, entry.spec.offer, FairLane))
        waiting = [call for lane in lanes for call in lane.take_all(entry.number)]
        entry.is_limited = True
        entry.lane = self.lanes.lane(entry.spec.queue, entry.spec.offer, LimitedLane)
        for call in self.calls:
            if call.spec == entry.number and call.worker:
                self.leased_before(call)
        for call in sorted(waiting, key=age):
            self.line_up([call], entry)

    def freed(self, calls: Sequence[Call]) -> None:
        """These are leased no more: others may start that are limited together with them."""
        if not self.gates:
            return
        keyed = [(call.spec, call.extra.limit_key) for call in calls if call.extra is not None and call.extra.limit_key]
        counts = Counter([call.spec for call in calls])
        counts.subtract([number for number, _ in keyed])
        self._freed("", counts)
        for number, key in keyed:
            self._freed(key, {number: 1})

    def _freed(self, key: str, counts: Mapping[int, int]) -> None:
        """So many leases have ended of these specs."""
        for number, count in counts.items():
            entry = self.entries_by_number.get(number)
            if count and entry is not None and entry.is_limited:
                self.gates.freed(key, entry.spec, count)

    def notes_of(self, task_ids: Iterable[str]) -> list[Note]:
        """What these have said of themselves, as far as they have."""
        return [self.notes[task_id] for task_id in task_ids if task_id in self.notes]

    def forget_notes(self, task_ids: Iterable[str]) -> None:
        """These have ended, or are another coordinator's."""
        if self.notes:
            for task_id in task_ids:
                self.notes.pop(task_id, None)

    def recognise(self, known: Call, call: Call) -> None:
        """The call of a lease that an earlier coordinator has granted (FOREIGN) has come."""
        known.spec, known.body, known.client, known.seq = call.spec, call.body, call.client, call.seq
        known.expires, known.lost = call.expires, call.lost
        known.extra, known.inputs = call.extra, call.inputs
        if known.expires:
            self.schedule.add(known.expires, known)
        self.body_bytes += len(known.body)
        self.leased_before(known)
        self.uniques.take(known)
        order = self.revocation_of(known)
        if order is not None:
            self.tell_revoked(known, order[1])

    def revocation_of(self, call: Call) -> tuple[float, bool] | None:
        """The order to end the call, or the tree that it belongs to, if there is one."""
        order = self.revoked.get(call.id)
        if order is None and call.extra is not None and call.extra.root:
            order = self.revoked.get(TREE + call.extra.root)
        return order

    def tell_revoked(self, call: Call, terminate: bool) -> None:
        """Tell the worker that has the call, on both of its connections."""
        worker = self.workers_by_number[call.worker]
        self.send(worker.peer, m.Revoke([call.id], terminate))
        self.send(worker.control, m.Revoke([call.id], terminate))

    def leased_before(self, call: Call) -> None:
        """An earlier coordinator has leased it: that counts for its limits."""
        entry = self.entries_by_number.get(call.spec)
        if entry is not None and entry.is_limited:
            gate = self.gates.of(call, entry.spec)
            gate.running += 1
            gate.refresh()

    def withdraw(self, call: Call) -> None:
        """Take a call that is not leased out of the place where it waits."""
        if self.held_back.pop(call.id, None) is None and not call.not_before:
            self.lane_of(call, self.entries_by_number[call.spec]).take_out(call)

    def is_young(self) -> bool:
        return self.now_s < self.started_s + self.settings.liveness.grace_s

    def count_slots(self) -> None:
        """Workers, or what they can take, have changed."""
        self.at_hand = sum(max(worker.capacity - worker.slots, 0) for worker in self.workers.values())
        self.slots = sum(worker.slots for worker in self.workers.values() if worker.contact is not Contact.LOST)
