"""The worker's decisions, without I/O: which leases it holds, what it reports and to whom, how much it asks for.

    core.opened(peer)                    the connection is up: says Hello
    core.receive(peer, message)          for each message, in order
    core.lose(peer)                      the connection is gone
    core.ended(outcomes)                 calls that the pool has finished
    effects = core.finish()              what is to be sent

The pool takes `(call, job)` pairs from the left of `ready`; the watchdog may take from its right what has not started
(`give_back`), from its own thread: both ends of a deque, and `held.pop`, are atomic.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from actorq.config import WorkerSettings
from actorq.errors import ProtocolError, TaskRevokedError
from actorq.wire import messages as m
from actorq.wire.batches import batches
from actorq.wire.messages import Call, CallSpec, Message, Outcome
from actorq.wire.payload import encode_failure

Peer = int
JobFactory = Callable[[CallSpec, "bytes | None"], Any]
REPORT_BATCH = 512
SUSPECTS_PER_TURN = 4
RELAY_S = 60.0
"""For how long the outcomes for a client that could not be reached go through the coordinator."""
ANOTHER_SESSION = -1
"""`client` of a call that an earlier session delivered. Its lease may have been given away meanwhile, to be told in a
moment, and numbers of clients are those of a session; so its outcome is relayed."""


FORGOTTEN = -1
"""`attempt` of a call that runs on although its lease was given away. A new coordinator numbers attempts from 1 again,
so what comes of this one must not be taken for the outcome of a new lease of the same call."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where a client listens for results."""

    session: str
    address: str


@dataclass(slots=True)
class Effects:
    """What the shell is to do after a batch."""

    sends: list[Message] = field(default_factory=list)
    """For the coordinator, in order."""
    results: dict[ReplyTo, list[Outcome]] = field(default_factory=dict)
    """For clients, straight to their reply sockets. Best effort: the coordinator has the outcomes too."""
    end: list[tuple[str, int, bool]] = field(default_factory=list)
    """Running attempts to end: id, attempt (FORGOTTEN if it is that), and whether an outcome is still wanted."""
    hang_up: bool = False
    rejected: str = ""
    """The coordinator does not take this node; says why."""


class Worker:
    """One worker node's decisions."""

    def __init__(
        self,
        name: str,
        epoch: str,
        pid: int,
        queues: Sequence[str],
        offers: Sequence[str],
        make_job: JobFactory,
        settings: WorkerSettings,
        now_s: float = 0.0,
    ) -> None:
        self.name, self.epoch, self.pid = name, epoch, pid
        self.queues, self.offers = list(queues), list(offers)
        self.settings = settings
        self.ready: deque[tuple[Call, Any]] = deque()
        """Calls to run, with their jobs, oldest first."""
        self.held: dict[str, Call] = {}
        """All leases that have not ended: ready, guarded and running."""
        self.slots = settings.concurrency
        self.draining = False
        self.peer: Peer | None = None
        self.welcomed = False
        self.coordinator = ""
        self.leases_hold_until_s = 0.0
        """Results go straight to clients until then; set by the watchdog too."""
        self._make_job = make_job
        self._now_s = now_s
        self._jobs: dict[int, Any] = {}
        self._codes: dict[str, bytes] = {}
        self._clients: dict[int, ReplyTo] = {}
        self._relayed: dict[ReplyTo, float] = {}
        self._guarded: dict[str, tuple[Call, Any]] = {}
        self._announced: set[str] = set()
        """Those of them that have been announced in this session and wait for Begin."""
        self._code_bytes = 0
        self._unacked: deque[tuple[int, list[Outcome]]] = deque()
        self._unacked_sizes: deque[int] = deque()
        """Bytes of the bodies in each."""
        self._unreported: list[Outcome] = []
        self._given_back: deque[tuple[str, int]] = deque()
        self._unacked_count = self._unacked_bytes = 0
        self._owes_relay = False
        self._hello_s = now_s
        self._hellos = 0
        self._nonce = ""
        self._reports = 0
        self.delivered = 0
        """Deliver messages that came in this session."""
        self._capacity = (0, 0)
        self._window_s, self._window_count = now_s, 0
        self._rate = 0.0
        self._effects = Effects()

    # -- the interface to the shell ------------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Set the (monotonic) time."""
        self._now_s = now_s

    def opened(self, peer: Peer) -> None:
        """A connection to a coordinator is up."""
        self.peer, self.welcomed = peer, False
        self._hellos += 1
        self._nonce = f"{self._hellos:08}"  # In order: the coordinator takes none that comes after a later one.
        self._hello_s = self._now_s
        self._capacity = (self.capacity(), self.slots)
        self._given_back.clear()  # Not held any more, so not listed.
        self._effects.sends = [  # What was to be said on an earlier connection is not for this one.
            m.WorkerHello(
                (m.OLDEST_VERSION, m.PROTOCOL_VERSION),
                self._nonce,
                self.name,
                self.epoch,
                self.queues,
                self.offers,
                self.slots,
                self._capacity[0],
                self.coordinator,
                self._list_held(),
                self.pid,
            )
        ]

    def lose(self, peer: Peer) -> None:
        """The connection is gone. Leases and outcomes are kept; the coordinator grants one grace."""
        if peer == self.peer:
            self.peer, self.welcomed = None, False

    def receive(self, peer: Peer, message: Any) -> None:
        """A message came. Whatever comes before Welcome belongs to an earlier session."""
        kind = type(message)
        if peer != self.peer:
            return
        if kind is m.Welcome:
            self._welcome(message)
        elif kind is m.Rejected:
            self._effects.rejected = message.reason
        elif kind is m.Reset:
            self._effects.hang_up = True
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

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """The pool has finished these. Those whose lease is gone are dropped."""
        held, unreported = self.held, self._unreported
        client: int | None = None
        results: list[Outcome] = []
        for outcome in outcomes:
            call = held.pop(outcome.id, None)
            if call is None:
                continue
            if call.attempt != outcome.attempt:
                held[outcome.id] = call
                continue
            unreported.append(outcome)
            if call.client != client:  # The first of a run for one client.
                client = call.client
                results = self._results_for(client)
            results.append(outcome)
        self._window_count += len(outcomes)

    def _results_for(self, client: int) -> list[Outcome]:
        """What goes straight to the client with this number. For nobody, and for one out of reach, it goes nowhere."""
        if not client:
            return []
        reply_to = self._clients.get(client)
        if reply_to is None:
            self._owes_relay = True
            return []
        return self._effects.results.setdefault(reply_to, [])

    def unreachable(self, reply_to: ReplyTo) -> None:
        """The client's reply socket cannot be reached: its outcomes go through the coordinator for a while."""
        self._relayed[reply_to] = self._now_s + RELAY_S

    def finish(self) -> Effects:
        """End the batch and return the effects."""
        self._measure()
        if self.welcomed:
            self._report()
            self._return()
            if self._guarded:
                self._announce_starts()  # After the report: what has ended is known before this process may be ended.
            wanted = (self.capacity(), self.slots)
            if self._is_news(wanted):
                self._capacity = wanted
                self._effects.sends.append(m.Capacity(*wanted))
        elif self._effects.results:
            self._effects.results.clear()
            self._owes_relay = True
        effects, self._effects = self._effects, Effects()
        return effects

    def drain(self) -> None:
        """Take nothing new, and give back what has not started."""
        self.draining = True
        self._given_back.extend(self._take_unstarted())
        for task_id, (call, _) in self._guarded.items():
            self.held.pop(task_id, None)
            self._given_back.append((task_id, call.attempt))
        self._guarded.clear()
        self._announced.clear()

    def is_idle(self) -> bool:
        """Nothing is held, and every outcome is acknowledged."""
        return not self.held and not self._unreported and not self._unacked

    def unacked(self) -> list[Outcome]:
        """Outcomes that the coordinator has not acknowledged. From any thread."""
        return [outcome for _, batch in list(self._unacked) for outcome in batch] + self._unreported

    def capacity(self) -> int:
        """How many leases to ask for: the slots, and as much at hand as is run within a few milliseconds."""
        settings = self.settings
        is_full = self._unacked_count > settings.unacked_limit or self._unacked_bytes > settings.unacked_bytes
        if self.draining or is_full:
            return 0
        return self.slots + min(int(self._rate * settings.lookahead_work_s), settings.lookahead_limit)

    def usage(self) -> dict[str, dict[str, int]]:
        """What this node is made to hold, by the name of each limit. From any thread."""
        settings = self.settings
        rows = {
            "unacked": (self._unacked_count, settings.unacked_limit),
            "unacked_bytes": (self._unacked_bytes, settings.unacked_bytes),
            "specs": (len(self._jobs), settings.spec_limit),
            "code": (self._code_bytes, settings.code_bytes),
        }
        return {name: {"now": now, "limit": limit} for name, (now, limit) in rows.items()}

    def job_of(self, call: Call) -> Any:
        """The job of a call that was delivered."""
        return self._jobs[call.spec]

    # -- also called by the watchdog, from its own thread ----------------------------------------------------------

    def waiting(self) -> list[tuple[Call, Any]]:
        """What has not started, with its jobs. Each `list` copies in one step of the interpreter."""
        return list(self.ready) + list(self._guarded.values())

    def give_back_to(self, sends: list[Message]) -> None:
        """Take what has not started, and append the message that gives it back.

        It is said twice: now, on the watchdog's connection, and when the hub takes a turn, on the one whose loss brings
        the leases in line. If only the first were lost with its connection, the calls would stay leased to nobody.
        """
        attempts = self._take_unstarted()
        if attempts:
            self._rate = 0.0  # What is at hand was not run soon: ask for no more than the slots.
            self._given_back.extend(attempts)
            sends.append(m.Returned(attempts))

    def _take_unstarted(self) -> list[tuple[str, int]]:
        """Empty `ready` from its end; returns the attempts in the order in which they stood there."""
        attempts: list[tuple[str, int]] = []
        while True:
            try:
                call, _ = self.ready.pop()
            except IndexError:
                return attempts[::-1]
            held = self.held.pop(call.id, None)
            if held is call:
                attempts.append((call.id, call.attempt))
            elif held is not None:
                self.held[call.id] = held  # It has just been leased anew.

    # -- messages ------------------------------------------------------------------------------------------------

    def _welcome(self, welcome: m.Welcome) -> None:
        if welcome.nonce != self._nonce or self.welcomed:
            return
        self.welcomed = True
        self._reports = self.delivered = 0
        self.leases_hold_until_s = self._hello_s + self.settings.liveness.grace_s
        self.coordinator = welcome.epoch
        self._clients = {}
        self._codes.clear()  # Sent anew, before what needs them.
        self._code_bytes = 0
        self._relayed = {each: until_s for each, until_s in self._relayed.items() if until_s > self._now_s}
        for call in list(self.held.values()):
            call.client = call.client and ANOTHER_SESSION
        again = [outcome for _, batch in self._unacked for outcome in batch]
        self._unacked.clear()
        self._unacked_sizes.clear()
        self._unacked_count = self._unacked_bytes = 0
        for batch in batches(again, REPORT_BATCH):
            self._send_report(batch, relay=True)
        self._announced.clear()

    def _keep_code(self, message: m.Code) -> None:
        self._code_bytes += len(message.blob) - len(self._codes.pop(message.digest, b""))
        if message.blob:
            self._codes[message.digest] = message.blob
        if self._code_bytes > self.settings.code_bytes:
            raise ProtocolError(f"the coordinator has sent functions of more than {self.settings.code_bytes:,} bytes")

    def _define(self, message: m.Define) -> None:
        for number, spec in message.specs:
            if spec.task or spec.code:
                self._jobs[number] = self._make_job(spec, self._codes.get(spec.code))
            else:
                self._jobs.pop(number, None)
        if len(self._jobs) > self.settings.spec_limit:
            raise ProtocolError(f"the coordinator has defined more than {self.settings.spec_limit:,} specs")
        for number, session, address in message.clients:
            known = self._clients.pop(number, None)
            if known is not None:
                self._relayed.pop(known, None)
            if session:
                self._clients[number] = ReplyTo(session, address)

    def _deliver(self, message: m.Deliver) -> None:
        if message.seq <= self.delivered:
            return
        if any(call.attempt < 0 for call in message.calls):
            raise ProtocolError("a delivery has a number below 0: what becomes of it could not be reported")
        self.delivered = message.seq
        self._acked(message.acked)
        if self.draining:
            self._effects.sends.append(m.Returned([(call.id, call.attempt) for call in message.calls]))
            return
        held, jobs, append = self.held, self._jobs, self.ready.append
        for call in message.calls:
            job = jobs.get(call.spec)
            if job is None:
                raise ProtocolError(f"call {call.id} names options that the coordinator has not defined")
            if held.setdefault(call.id, call) is not call:  # Leased anew: what an earlier lease has left is void.
                self.revoke([call.id], terminate=False, forget=True)
                held[call.id] = call
            if call.lost or job.guarded:
                self._guarded[call.id] = (call, job)
            else:
                append((call, job))

    def _announce_starts(self) -> None:
        """Say which guarded calls are about to start: as many as there are free slots, and at least one.

        So few have begun, as the coordinator sees it, and not started. Those that have lost a worker go a few at a time:
        if this process is killed as well, it counts against few, and short ones among them have ended by then.
        """
        announced = self._announced
        free = self.slots - (len(self.held) - len(self._guarded) - len(self.ready)) - len(announced)
        if free <= 0:
            if announced:
                return
            free = 1
        waiting = (call for call, _ in self._guarded.values() if call.id not in announced)
        starting: list[tuple[str, int]] = []
        suspects = 0
        for call in itertools.islice(waiting, free):
            suspects += call.lost > 0
            if suspects > SUSPECTS_PER_TURN:
                break
            starting.append((call.id, call.attempt))
        if starting:
            announced.update(task_id for task_id, _ in starting)
            self._effects.sends.append(m.Starting(starting))

    def _begin(self, ids: Sequence[str]) -> None:
        for task_id in reversed(ids):
            self._announced.discard(task_id)
            pair = self._guarded.pop(task_id, None)
            if pair is not None:
                self.ready.appendleft(pair)

    def revoke(self, ids: Sequence[str], terminate: bool, forget: bool) -> None:
        """Do not start these; end those that run, if `terminate` or `forget`."""
        waiting = {pair[0].id: pair for pair in self.waiting()}
        for task_id in ids:
            call = self.held.get(task_id)
            pair = waiting.get(task_id)
            if call is None:
                continue
            if pair is not None:
                if not self._withdraw(pair):
                    continue  # The watchdog has just given it back: the coordinator revokes it.
                if not forget:
                    error = encode_failure(TaskRevokedError("it was revoked"), "")
                    self._unreported.append(Outcome(task_id, call.attempt, m.REVOKED, error))
                    self._owes_relay = True
            elif terminate or forget:
                if forget:
                    call.attempt = FORGOTTEN
                self._effects.end.append((task_id, call.attempt, not forget))
            if forget or pair is not None:
                self.held.pop(task_id, None)

    def _withdraw(self, pair: tuple[Call, Any]) -> bool:
        """Take a call that has not started out of where it waits. False if it is not there any more."""
        if self._guarded.pop(pair[0].id, None) is not None:
            self._announced.discard(pair[0].id)
            return True
        try:
            self.ready.remove(pair)
        except ValueError:
            return False
        return True

    # -- reports ---------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        outcomes, self._unreported = self._unreported, []
        relay = self._choose_relay()
        for batch in batches(outcomes, REPORT_BATCH):
            self._send_report(batch, relay)

    def _return(self) -> None:
        count = len(self._given_back)
        if count:
            self._effects.sends.append(m.Returned([self._given_back.popleft() for _ in range(count)]))
            self._capacity = (0, 0)  # The coordinator sends nothing more until it hears how much we want now.

    def _choose_relay(self) -> bool:
        """Whether the coordinator is to pass the outcomes on: our leases may be over, or a client is out of reach."""
        results = self._effects.results
        owed, self._owes_relay = self._owes_relay, False
        if not results:
            return owed
        if self._now_s >= self.leases_hold_until_s:
            results.clear()
            return True
        relay = owed
        for reply_to in [each for each in results if each in self._relayed]:
            if self._relayed[reply_to] > self._now_s:
                del results[reply_to]
                relay = True
            else:
                del self._relayed[reply_to]
        return relay

    def _send_report(self, outcomes: list[Outcome], relay: bool) -> None:
        self._reports += 1
        size_bytes = sum([len(outcome.body) for outcome in outcomes])
        self._unacked.append((self._reports, outcomes))
        self._unacked_sizes.append(size_bytes)
        self._unacked_count += len(outcomes)
        self._unacked_bytes += size_bytes
        self._effects.sends.append(m.Finished(self._reports, outcomes, relay))

    def _acked(self, seq: int) -> None:
        while self._unacked and self._unacked[0][0] <= seq:
            self._unacked_count -= len(self._unacked.popleft()[1])
            self._unacked_bytes -= self._unacked_sizes.popleft()

    def _list_held(self) -> list[tuple[str, int]]:
        held = [(call.id, call.attempt) for call in list(self.held.values())]
        held += [(outcome.id, outcome.attempt) for outcome in self.unacked()]
        return held

    # -- how much to ask for -------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Follow the rate at which calls end, over windows of a few milliseconds."""
        elapsed_s = self._now_s - self._window_s
        if elapsed_s <= self.settings.lookahead_work_s:
            return
        rate = self._window_count / elapsed_s
        self._rate = rate if rate < self._rate / 4 else (self._rate + rate) / 2
        self._window_s, self._window_count = self._now_s, 0

    def _is_news(self, wanted: tuple[int, int]) -> bool:
        """Whether the capacity has changed by so much that the coordinator should know."""
        now, told = wanted[0], self._capacity[0]
        if wanted[1] != self._capacity[1] or (now == 0) != (told == 0):
            return True
        return abs(now - told) * 4 > told
