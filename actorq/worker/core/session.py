"""One node's session with one coordinator: its handshake, its leases, its reports.

It outlives connections, and the coordinator's restarts: what it holds and what is not acknowledged is listed in the
next Hello.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from actorq.config import HIGHEST_PRIORITY, WorkerSettings
from actorq.errors import ProtocolError, TaskRevokedError
from actorq.wire import messages as m
from actorq.wire.batches import NOTE_BATCH, batches, chunks
from actorq.wire.declarations import Declaration
from actorq.wire.messages import Message
from actorq.wire.payload import encode_failure
from actorq.wire.records import REVOKED, Call, CallSpec, Member, Note, Outcome
from actorq.worker.core.effects import Effects, Peer, ReplyTo
from actorq.worker.core.leases import FORGOTTEN, Attempts, Leases

JobFactory = Callable[[CallSpec, "bytes | None"], Any]
REPORT_BATCH = 512
RELAY_S = 60.0
"""For how long the outcomes for a client that could not be reached go through the coordinator."""
ANOTHER_SESSION = -1
"""`client` of a call that was delivered before the last Welcome. Its lease may have been given away meanwhile, to be
told in a moment, and numbers of clients are those of a session; so its outcome is relayed."""


@dataclass(slots=True)
class Shared:
    """What all sessions of a node share."""

    name: str
    epoch: str
    pid: int
    queues: list[str]
    offers: list[str]
    settings: WorkerSettings
    make_job: JobFactory
    slots: int
    now_s: float
    leases: Leases
    declares: list[Declaration] = field(default_factory=list)
    draining: bool = False
    taken: int = 0
    """Calls that came to be run here; counted where there is a limit of them."""
    unreachable: dict[ReplyTo, float] = field(default_factory=dict)
    """Clients that could not be reached, and until when their outcomes go through the coordinators."""


class Session:
    """What is between this node and one coordinator."""

    def __init__(self, number: int, shared: Shared, effects: Callable[[], Effects]) -> None:
        self.number = number
        self.peer: Peer | None = None
        self.welcomed = False
        self.coordinator = ""
        """Epoch of the coordinator that has granted what is held."""
        self.address = ""
        """Where that one is to be called, as it says itself."""
        self.leases_hold_until_s = 0.0
        """Results go straight to clients until then; set by the watchdog too."""
        self.has_lapsed = False
        """Since the connection was lost, these leases have ended where they had not started."""
        self.delivered = 0
        """Deliver messages that came in this session."""
        self.backlog = 0
        """Calls that wait there for this node, when it was heard of the last time."""
        self.heard_s = 0.0
        """When the last delivery came."""
        self.capacity = (0, 0)
        """What it was told: leases it may grant, and slots."""
        self.unreported: list[Outcome] = []
        self.unacked_count = self.unacked_bytes = 0
        self.code_bytes = 0
        self._shared = shared
        self._leases = shared.leases
        self._effects = effects
        self._results: dict[ReplyTo, list[Outcome]] = {}
        self._notes: list[tuple[int, Note]] = []
        """What running calls have said of themselves, each with the number of the client."""
        self._jobs: dict[int, Any] = {}
        self._codes: dict[str, bytes] = {}
        self._clients: dict[int, ReplyTo] = {}
        self._unacked: deque[tuple[int, list[Outcome]]] = deque()
        self._unacked_sizes: deque[int] = deque()
        """Bytes of the bodies in each."""
        self._given_back: deque[tuple[str, int]] = deque()
        self._owes_relay = False
        self._opened_to = ""
        """Epoch of the coordinator to which Hello was said."""
        self._hello_s = 0.0
        self._hellos = 0
        self._nonce = ""
        self._reports = 0

    # -- the connection ------------------------------------------------------------------------------------------

    @property
    def is_to_lapse(self) -> bool:
        """Whether what it has leased and has not started is to be dropped when its leases do not hold any more."""
        return self.peer is None and not self.has_lapsed

    @property
    def leads_to(self) -> str:
        """Epoch of the coordinator at the other end; where there is no connection, of the last one."""
        return self._opened_to or self.coordinator

    def open(self, peer: Peer, capacity: int, coordinator: Member) -> None:
        """A connection leads to the coordinator: say Hello."""
        shared = self._shared
        self._opened_to, self.address = coordinator.epoch, coordinator.address
        self.peer, self.welcomed = peer, False
        self._hellos += 1
        self._nonce = f"{self._hellos:08}"  # In order: the coordinator takes none that comes after a later one.
        self._hello_s = shared.now_s
        self.capacity = (capacity, shared.slots)
        self._given_back.clear()  # Not held any more, so not listed.
        self._send(
            m.WorkerHello(
                (m.OLDEST_VERSION, m.PROTOCOL_VERSION),
                self._nonce,
                shared.name,
                shared.epoch,
                shared.queues,
                shared.offers,
                shared.slots,
                capacity,
                self.coordinator,
                self.held(),
                shared.pid,
                shared.declares,
            )
        )

    def lose(self) -> None:
        """The connection is gone. Leases and outcomes are kept; the coordinator grants one grace."""
        self.peer, self.welcomed, self._opened_to, self.has_lapsed = None, False, "", False
        self._forget_announced()

    def receive(self, message: Any) -> None:
        """A message came. Whatever comes before Welcome belongs to an earlier connection."""
        kind = type(message)
        if kind is m.Welcome:
            self._welcome(message)
        elif not self.welcomed:
            return
        elif kind is m.Deliver:
            self._deliver(message)
        elif kind is m.Acked:
            self._acked(message.seq)
        elif kind is m.Define:
            self._define(message)
        elif kind is m.Code:
            self._keep_code(message)
        elif kind is m.Begin:
            self._begin(message.ids)
        elif kind is m.Revoke:
            self.revoke(message.ids, message.terminate, message.forget)

    def _welcome(self, welcome: m.Welcome) -> None:
        if welcome.nonce != self._nonce or self.welcomed:
            return
        shared = self._shared
        self.welcomed = True
        self._reports = self.delivered = 0
        self.leases_hold_until_s = self._hello_s + shared.settings.liveness.grace_s
        self.coordinator = welcome.epoch
        self._clients = {}
        self._codes.clear()  # Sent anew, before what needs them.
        self.code_bytes = 0
        unreachable = shared.unreachable
        for each in [each for each, until_s in unreachable.items() if until_s <= shared.now_s]:
            del unreachable[each]
        for call in list(self._leases.held.values()):
            if call.worker == self.number:
                call.client = call.client and ANOTHER_SESSION
        again = [outcome for _, batch in self._unacked for outcome in batch]
        self._unacked.clear()
        self._unacked_sizes.clear()
        self.unacked_count = self.unacked_bytes = 0
        for batch in batches(again, REPORT_BATCH):
            self._send_report(batch, relay=True)
        self._forget_announced()

    def _forget_announced(self) -> None:
        """Their Begin will not come any more; they are announced again."""
        guarded, announced = self._leases.guarded, self._leases.announced
        for task_id in [each for each in announced if each in guarded and guarded[each][0].worker == self.number]:
            announced.discard(task_id)

    # -- messages ------------------------------------------------------------------------------------------------

    def _keep_code(self, message: m.Code) -> None:
        self.code_bytes += len(message.blob) - len(self._codes.pop(message.digest, b""))
        if message.blob:
            self._codes[message.digest] = message.blob
        limit_bytes = self._shared.settings.code_bytes
        if self.code_bytes > limit_bytes:
            raise ProtocolError(f"the coordinator has sent functions of more than {limit_bytes:,} bytes")

    @property
    def spec_count(self) -> int:
        """How many specs it has defined."""
        return len(self._jobs)

    def _define(self, message: m.Define) -> None:
        for number, spec in message.specs:
            if spec.task or spec.code:
                self._jobs[number] = self._shared.make_job(spec, self._codes.get(spec.code))
            else:
                self._jobs.pop(number, None)
        if len(self._jobs) > self._shared.settings.spec_limit:
            raise ProtocolError(f"the coordinator has defined more than {self._shared.settings.spec_limit:,} specs")
        keys = dict(message.keys)
        for number, session, address in message.clients:
            known = self._clients.pop(number, None)
            if known is not None:
                self._shared.unreachable.pop(known, None)
            if session:
                self._clients[number] = ReplyTo(session, address, keys.get(number, ""))

    def _deliver(self, message: m.Deliver) -> None:
        if message.seq <= self.delivered:
            return
        if min([call.attempt for call in message.calls], default=0) < 0:
            raise ProtocolError("a delivery has a number below 0: what becomes of it could not be reported")
        self.delivered = message.seq
        self.backlog, self.heard_s = message.backlog, self._shared.now_s
        self._acked(message.acked)
        if self._shared.draining:
            self._send(m.Returned([(call.id, call.attempt) for call in message.calls]))
            return
        leases, jobs, number = self._leases, self._jobs, self.number
        held, append = leases.held, leases.ready.append
        lowest, is_sorted = leases.lowest if leases.ready else HIGHEST_PRIORITY, True
        last: Any = None
        for call in self._share_of(message.calls) if self._shared.settings.max_calls else message.calls:
            job = jobs.get(call.spec)
            if job is None:
                raise ProtocolError(f"call {call.id} names options that the coordinator has not defined")
            if job is not last:  # The first of a run with one spec.
                last, priority = job, job.spec.priority
                is_sorted = is_sorted and priority <= lowest
                lowest = min(lowest, priority)
            call.worker = number
            known = held.setdefault(call.id, call)
            if known is not call:
                if known.worker != number:
                    leases.add_double(call, job)
                    continue
                self.revoke([call.id], terminate=False, forget=True)  # What an earlier lease has left is void.
                held[call.id] = call
            if call.lost or job.guarded:
                leases.guarded[call.id] = (call, job)
            else:
                append((call, job))
        leases.lowest = lowest
        if not is_sorted:
            leases.sort()

    def _share_of(self, calls: list[Call]) -> list[Call]:
        """As many as may still run here. The rest goes back, and with the last one the node takes nothing new."""
        shared = self._shared
        left = shared.settings.max_calls - shared.taken
        if len(calls) > left:
            self._send(m.Returned([(call.id, call.attempt) for call in calls[left:]]))
        shared.taken += min(len(calls), left)
        shared.draining = len(calls) >= left
        return calls[:left]

    def _begin(self, ids: Sequence[str]) -> None:
        leases = self._leases
        for task_id in reversed(ids):
            pair = leases.guarded.get(task_id)
            if pair is not None and pair[0].worker == self.number:
                del leases.guarded[task_id]
                leases.announced.discard(task_id)
                leases.ready.appendleft(pair)

    def revoke(self, ids: Sequence[str], terminate: bool, forget: bool) -> None:
        """Do not start these; end those that run, if `terminate` or `forget`."""
        leases = self._leases
        waiting = {pair[0].id: pair for pair in leases.waiting()}
        for task_id in ids:
            if leases.doubles:
                double = leases.take_double(task_id, self.number)
                if double is not None and not forget:
                    self._report_revoked(double)
            call = leases.held.get(task_id)
            if call is None or call.worker != self.number:
                continue
            pair = waiting.get(task_id)
            if pair is not None:
                if not leases.withdraw(pair):
                    continue  # The watchdog has just given it back: the coordinator revokes it.
                if not forget:
                    self._report_revoked(call)
                    self._effects().discarded.append(pair)
            elif not (terminate or forget):
                leases.cancelled.add(task_id)
            else:
                if forget:
                    call.attempt = FORGOTTEN
                self._effects().end.append((task_id, call.attempt, not forget))
            if forget or pair is not None:
                leases.held.pop(task_id, None)

    def _report_revoked(self, call: Call) -> None:
        error = encode_failure(TaskRevokedError("it was revoked"), "")
        self.unreported.append(Outcome(call.id, call.attempt, REVOKED, error))
        self._owes_relay = True

    # -- reports ---------------------------------------------------------------------------------------------------

    def results_for(self, client: int) -> list[Outcome]:
        """What goes straight to the client with this number. For nobody, and for one out of reach, it goes nowhere."""
        if not client:
            return []
        reply_to = self._clients.get(client)
        if reply_to is None:
            self._owes_relay = True
            return []
        return self._results.setdefault(reply_to, [])

    def end_double(self, call: Call, outcome: Outcome) -> None:
        """A call that was leased here too has ended, as another coordinator's."""
        self.unreported.append(Outcome(call.id, call.attempt, outcome.state, outcome.body, outcome.content))
        self._owes_relay = True

    def note(self, client: int, note: Note) -> None:
        """A running call has said something of itself."""
        self._notes.append((client, note))

    def _report_notes(self) -> None:
        """Best effort: what a call says now is old when the connection is back."""
        notes, self._notes = self._notes, []
        if not self.welcomed:
            return
        for batch in chunks([note for _, note in notes], NOTE_BATCH):
            self._send(m.Noted(list(batch)))
        told = self._effects().told
        if self._shared.now_s < self.leases_hold_until_s:
            for client, note in notes:
                reply_to = self._clients.get(client)
                if reply_to is not None and reply_to not in self._shared.unreachable:
                    told.setdefault(reply_to, []).append(note)

    def report(self) -> None:
        """Say what has ended and what is given back; the results go straight to clients, if they may."""
        if self._notes:
            self._report_notes()
        if not self.welcomed:
            if self._results:
                self._results.clear()
                self._owes_relay = True
            return
        outcomes, self.unreported = self.unreported, []
        relay = self._choose_relay()
        for batch in batches(outcomes, REPORT_BATCH):
            self._send_report(batch, relay)
        count = len(self._given_back)
        if count:
            self._send(m.Returned([self._given_back.popleft() for _ in range(count)]))
            self.capacity = (0, 0)  # The coordinator sends nothing more until it hears how much we want now.

    def _choose_relay(self) -> bool:
        """Whether the coordinator is to pass the outcomes on: our leases may be over, or a client is out of reach."""
        results = self._results
        owed, self._owes_relay = self._owes_relay, False
        if not results:
            return owed
        self._results = {}
        now_s = self._shared.now_s
        if now_s >= self.leases_hold_until_s:
            return True
        relay, unreachable, straight = owed, self._shared.unreachable, self._effects().results
        for reply_to, outcomes in results.items():
            if reply_to in unreachable:
                if unreachable[reply_to] > now_s:
                    relay = True
                    continue
                del unreachable[reply_to]
            if reply_to in straight:
                straight[reply_to] += outcomes
            else:
                straight[reply_to] = outcomes
        return relay

    def _send_report(self, outcomes: list[Outcome], relay: bool) -> None:
        self._reports += 1
        size_bytes = sum([len(outcome.body) for outcome in outcomes])
        self._unacked.append((self._reports, outcomes))
        self._unacked_sizes.append(size_bytes)
        self.unacked_count += len(outcomes)
        self.unacked_bytes += size_bytes
        self._send(m.Finished(self._reports, outcomes, relay))

    def _acked(self, seq: int) -> None:
        while self._unacked and self._unacked[0][0] <= seq:
            self.unacked_count -= len(self._unacked.popleft()[1])
            self.unacked_bytes -= self._unacked_sizes.popleft()

    def held(self) -> list[tuple[str, int]]:
        """Ids and attempts of what is leased from there, and of the outcomes that it has not acknowledged. From any
        thread.
        """
        return self._leases.of(self.number) + [(outcome.id, outcome.attempt) for outcome in self.unacked()]

    def unacked(self) -> list[Outcome]:
        """Outcomes that the coordinator has not acknowledged. From any thread."""
        return [outcome for _, batch in list(self._unacked) for outcome in batch] + self.unreported

    def is_idle(self) -> bool:
        """Every outcome is acknowledged."""
        return not self.unreported and not self._unacked

    # -- what is asked for and given back -------------------------------------------------------------------------

    def give_back(self, attempts: Sequence[tuple[str, int]]) -> None:
        """These go back with the next report. From any thread."""
        self._given_back.extend(attempts)

    def ask_for(self, capacity: int, is_news: bool) -> None:
        """Say how many leases it may grant, if the coordinator should know."""
        if is_news:
            self.capacity = (capacity, self._shared.slots)
            self._send(m.Capacity(*self.capacity))

    def consume(self) -> None:
        """Say of which queues the node takes calls now. (Who is not welcomed yet says so in the next Hello.)"""
        self._send(m.Consume(list(self._shared.queues)))

    def announce(self, attempts: list[tuple[str, int]]) -> None:
        """Say that guarded calls are about to start."""
        self._send(m.Starting(attempts))

    def job_of(self, call: Call) -> Any:
        """The job of a call that was delivered."""
        return self._jobs[call.spec]

    def _send(self, message: Message) -> None:
        if self.peer is not None:
            self._effects().sends[self.peer].append(message)


def give_back_all(sessions: dict[int, Session], attempts: Attempts) -> None:
    """Each attempt goes back to the coordinator that has leased it."""
    for number, each in attempts.items():
        if number in sessions:
            sessions[number].give_back(each)
