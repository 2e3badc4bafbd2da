"""The worker node: its connections, its sessions, and what they share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from actorq.config import WorkerSettings
from actorq.policies.directory import Connection, Directory
from actorq.wire import messages as m
from actorq.wire.declarations import Declaration
from actorq.wire.messages import Message
from actorq.wire.records import REPLACED, Call, Member, Note, Outcome
from actorq.worker.core.credit import share
from actorq.worker.core.effects import Effects, Peer, ReplyTo
from actorq.worker.core.leases import Leases
from actorq.worker.core.session import RELAY_S, JobFactory, Session, Shared, give_back_all

SUSPECTS_PER_TURN = 4
QUIET_S = 0.02
"""A coordinator that grants nothing for so long although it may has nothing that waits."""
COUNT_EVERY_S = 0.005
"""Of counting which coordinator has how much of the node, where there are several."""


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
        addresses: Sequence[str],
        now_s: float = 0.0,
        declares: Sequence[Declaration] = (),
    ) -> None:
        """`declares`: what the application knows of exchanges, queues and bindings."""
        self.name, self.epoch = name, epoch
        self.queues, self.offers = list(queues), list(offers)
        self.settings = settings
        self.leases = Leases()
        self.ready, self.held = self.leases.ready, self.leases.held
        self.sessions: dict[int, Session] = {}
        """By number. Also those whose coordinators are out of reach now."""
        self.directory = Directory(addresses, epoch, now_s, settings.loopback_only)
        self._shared = Shared(
            name, epoch, pid, self.queues, self.offers, settings, make_job, settings.concurrency, now_s, self.leases,
            list(declares),
        )  # fmt: skip
        self._numbers = self._nonces = 0
        self._window_s, self._window_count = now_s, 0
        self._rate = 0.0
        self._share_s = now_s
        """When to share the slots between coordinators again, at the earliest."""
        self._is_share_due = False
        self._effects = Effects()

    @property
    def slots(self) -> int:
        """How many calls it runs at once."""
        return self._shared.slots

    @slots.setter
    def slots(self, slots: int) -> None:
        self._shared.slots = slots

    @property
    def draining(self) -> bool:
        """It takes nothing new."""
        return self._shared.draining

    @property
    def has_had_its_share(self) -> bool:
        """It was given as many calls as it may run."""
        return 0 < self.settings.max_calls <= self._shared.taken

    @property
    def welcomed(self) -> bool:
        """Whether a coordinator knows this node."""
        return any(session.welcomed for session in self.sessions.values())

    # -- the interface to the shell ------------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Set the (monotonic) time."""
        self._shared.now_s = now_s

    def dialled(self, address: str, peer: Peer) -> None:
        """The shell has begun to open a connection, as asked by `Effects.dial`."""
        self.directory.dialled(address, peer)

    def opened(self, peer: Peer) -> None:
        """The connection is up: ask who is there."""
        connection = self.directory.of(peer)
        if connection is not None:
            self._nonces += 1
            self.directory.opened(connection, str(self._nonces), self._shared.now_s)
            self._effects.sends[peer] = [m.Discover(connection.nonce)]

    def lose(self, peer: Peer) -> None:
        """The connection is gone."""
        connection = self.directory.of(peer)
        if connection is not None:
            session = self._session_at(connection)
            if session is not None:
                session.lose()
            self.directory.lose(connection, self._shared.now_s)

    def receive(self, peer: Peer, message: Any) -> None:
        """A message came. Raises ProtocolError: then the connection is to be closed."""
        connection = self.directory.of(peer)
        if connection is None:
            return
        kind = type(message)
        if kind is m.View:
            self._view(connection, message)
        elif kind is m.Reset:
            self._effects.hang_ups.append(peer)
        elif kind is m.Rejected:
            self._reject(connection, message.reason)
        else:
            session = self._session_at(connection)
            if session is not None:
                session.receive(message)
                if kind is m.Welcome and session.welcomed:
                    self.directory.welcomed(connection)
                    self._learn(connection, message.others)

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """The pool has finished these. Those whose lease is gone are dropped."""
        held, doubles = self.held, self.leases.doubles
        client: int | None = None
        number = -1
        results: list[Outcome] = []
        unreported: list[Outcome] = []
        for outcome in outcomes:
            call = held.pop(outcome.id, None)
            if call is None:
                continue
            if call.attempt != outcome.attempt:
                held[outcome.id] = call
                continue
            if call.client != client or call.worker != number:  # The first of a run for one client.
                client, number = call.client, call.worker
                session = self.sessions[number]
                results, unreported = session.results_for(client), session.unreported
            unreported.append(outcome)
            if outcome.state != REPLACED:
                results.append(outcome)
            if doubles:
                for double in self.leases.pop_doubles(outcome.id):
                    self.sessions[double.worker].end_double(double, outcome)
        self._window_count += len(outcomes)

    def noted(self, notes: Iterable[tuple[Call, int, Note]]) -> None:
        """Running calls have said these of themselves. Of what one says with one state, the last counts."""
        last = {(note.id, note.state): (call, client, note) for call, client, note in notes}
        for call, client, note in last.values():
            held = self.held.get(note.id)
            if held is call and call.attempt == note.attempt:
                self.sessions[call.worker].note(client, note)

    def unreachable(self, reply_to: ReplyTo) -> None:
        """The client's reply socket cannot be reached: its outcomes go through the coordinator for a while."""
        self._shared.unreachable[reply_to] = self._shared.now_s + RELAY_S

    def finish(self) -> Effects:
        """End the batch and return the effects."""
        self._measure()
        self._drop_what_is_over()
        if self.leases.cancelled:
            self.leases.forget_cancelled()
        if self.leases.doubles:
            for call, job in self.leases.pop_widows():
                self.held[call.id] = call
                self.leases.guarded[call.id] = (call, job)  # Its first run may still be ending.
        for session in self.sessions.values():
            session.report()
        if self.leases.guarded:
            self._announce_starts()  # After the reports: what has ended is known before this process may be ended.
        self._grant()
        self._look_after_connections()
        effects, self._effects = self._effects, Effects()
        return effects

    def next_s(self) -> float:
        """Monotonic time at which `finish` is to be called again, even if nothing happens."""
        next_s = self.directory.next_s()
        for session in self.sessions.values():
            if session.is_to_lapse:
                next_s = min(next_s, session.leases_hold_until_s)
        return min(next_s, self._share_s) if self._is_share_due else next_s

    def drain(self) -> None:
        """Take nothing new, and give back what has not started."""
        self._shared.draining = True
        give_back_all(self.sessions, self.leases.take_waiting())

    def consume(self, queues: Sequence[str]) -> None:
        """Take calls of these queues from now on."""
        self.queues[:] = queues
        for session in self.sessions.values():
            session.consume()

    def is_idle(self) -> bool:
        """Nothing is held, and every outcome is acknowledged."""
        return not self.held and all(session.is_idle() for session in self.sessions.values())

    def capacity(self) -> int:
        """How many leases to ask for: the slots, and as much at hand as is run within a few milliseconds."""
        if self.draining:
            return 0
        settings = self.settings
        return self.slots + min(int(self._rate * settings.lookahead_work_s), settings.lookahead_limit)

    def _owes_too_much(self, session: Session) -> bool:
        """Whether a coordinator has left too many outcomes unacknowledged. It has its share of the limits: one that
        cannot write, or has died for good, must not keep the node from working for the others.
        """
        settings, count = self.settings, len(self.sessions)
        return (
            session.unacked_count * count > settings.unacked_limit
            or session.unacked_bytes * count > settings.unacked_bytes
        )

    def usage(self) -> dict[str, dict[str, int]]:
        """What this node is made to hold, by the name of each limit. From any thread.

        Of limits that are those of one session, the session that has most counts.
        """
        settings, sessions = self.settings, list(self.sessions.values())
        rows = {
            "unacked": (sum(each.unacked_count for each in sessions), settings.unacked_limit),
            "unacked_bytes": (sum(each.unacked_bytes for each in sessions), settings.unacked_bytes),
            "specs": (max((each.spec_count for each in sessions), default=0), settings.spec_limit),
            "code": (max((each.code_bytes for each in sessions), default=0), settings.code_bytes),
        }
        return {name: {"now": now, "limit": limit} for name, (now, limit) in rows.items()}

    def job_of(self, call: Call) -> Any:
        """The job of a call that was delivered."""
        return self.sessions[call.worker].job_of(call)

    def session_of(self, peer: Peer) -> Session | None:
        """The session that a connection leads to."""
        connection = self.directory.of(peer)
        return None if connection is None else self._session_at(connection)

    # -- also called by the watchdog, from its own thread ----------------------------------------------------------

    def waiting(self) -> list[tuple[Call, Any]]:
        """What has not started, with its jobs."""
        return self.leases.waiting()

    def give_back(self) -> dict[int, Message]:
        """Take what has not started, and return the messages that give it back, by number of the session.

        It is said twice: now, on the watchdog's connection, and when the hub takes a turn, on the one whose loss brings
        the leases in line. If only the first were lost with its connection, the calls would stay leased to nobody.
        """
        attempts = self.leases.take_unstarted()
        if attempts:
            self._rate = 0.0  # What is at hand was not run soon: ask for no more than the slots.
            give_back_all(self.sessions, attempts)
        return {number: m.Returned(each) for number, each in attempts.items()}

    # -- connections -----------------------------------------------------------------------------------------------

    def _session_at(self, connection: Connection) -> Session | None:
        session = None if connection.number is None else self.sessions.get(connection.number)
        return session if session is not None and session.peer == connection.peer else None

    def _view(self, connection: Connection, view: m.View) -> None:
        """A coordinator says who it is, or who else is there."""
        if connection.peer is None:
            return
        if self._session_at(connection) is None:
            if view.nonce != connection.nonce:
                return
            if not self._join(connection, view):
                return
        self._learn(connection, view.others)

    def _join(self, connection: Connection, view: m.View) -> bool:
        """Open a session over this connection, unless another one leads to the same coordinator."""
        assert connection.peer is not None
        session = next((each for each in self.sessions.values() if each.leads_to == view.own.epoch), None)
        if session is not None and session.peer is not None:
            twin = self.directory.of(session.peer)
            if twin is not None:
                self.directory.merge(connection, twin)
            self._effects.hang_ups.append(connection.peer)
            return False
        if session is None:
            session = self._own_session(connection, view.own.address)
        connection.number = session.number
        if session.coordinator != view.own.epoch and not view.durable:
            self.leases.drop_guarded_of(session.number)  # It may be that another worker was given them.
        session.open(connection.peer, self._first_capacity(session), view.own)
        return True

    def _own_session(self, connection: Connection, own_address: str) -> Session:
        """The session of the coordinator's last incarnation: it has started anew, at the address of this connection, or
        at the one that it calls its own, which may have another name. Or else a new one.
        """
        known = None if connection.number is None else self.sessions.get(connection.number)
        if known is not None and known.peer is None:
            return known
        for session in self.sessions.values():
            if session.peer is None and own_address and session.address == own_address:
                return session
        self._numbers += 1
        session = self.sessions[self._numbers] = Session(self._numbers, self._shared, lambda: self._effects)
        return session

    def _first_capacity(self, session: Session) -> int:
        if self._owes_too_much(session):
            return 0
        if len(self.sessions) == 1:
            return self.capacity()
        return min(self.capacity(), self.leases.counts()[session.number] + 1)

    def _learn(self, connection: Connection, others: Sequence[Member]) -> None:
        known = [session.coordinator for session in self.sessions.values() if session.peer is not None]
        places = [(member.address, member.epoch) for member in others]
        self.directory.learn(connection, places, known, self._shared.now_s)

    def _reject(self, connection: Connection, reason: str) -> None:
        is_known = any(each.welcomed for each in self.sessions.values() if each.peer != connection.peer)
        # What runs is not ended for that. There may be room for this node in a moment.
        if not is_known and not self.held:
            self._effects.rejected = f"the coordinator at {connection.address} does not take this worker: {reason}"
        elif connection.peer is not None:
            self._effects.hang_ups.append(connection.peer)

    def _look_after_connections(self) -> None:
        now_s = self._shared.now_s
        if now_s < self.directory.next_s():
            return
        self._effects.hang_ups += [each.peer for each in self.directory.overdue(now_s) if each.peer is not None]
        for gone in self.directory.forget_gone(self._is_needed):
            if gone.number is not None:
                self.sessions.pop(gone.number, None)
        self._effects.dial += self.directory.due(now_s)

    def _drop_what_is_over(self) -> None:
        """What a coordinator has leased that is out of touch for long, and has not started, is not ours any more.

        It gives such calls to others, or brings them again if it has not; and another coordinator may have got them.
        """
        for session in self.sessions.values():
            if session.is_to_lapse and self._shared.now_s >= session.leases_hold_until_s:
                session.has_lapsed = True  # Nothing more comes from there without a connection.
                self.leases.drop_unstarted(session.number)

    def _is_needed(self, number: int) -> bool:
        """Whether something of a session is left, so that its coordinator has to be found again."""
        session = self.sessions.get(number)
        return session is not None and (
            session.peer is not None or not session.is_idle() or bool(self.leases.of(number))
        )

    # -- how much to ask for -------------------------------------------------------------------------------------

    def _announce_starts(self) -> None:
        """Say which guarded calls are about to start: as many as there are free slots, and at least one.

        So few have begun, as the coordinator sees it, and not started. Those that have lost a worker go a few at a time:
        if this process is killed as well, it counts against few, and short ones among them have ended by then.
        """
        leases = self.leases
        announced = leases.announced
        free = self.slots - (len(self.held) - len(leases.guarded) - len(self.ready)) - len(announced)
        if free <= 0:
            if announced:
                return
            free = 1
        starting: dict[int, list[tuple[str, int]]] = {}
        suspects = 0
        for call in itertools.islice(self._to_announce(), free):
            suspects += call.lost > 0
            if suspects > SUSPECTS_PER_TURN:
                break
            starting.setdefault(call.worker, []).append((call.id, call.attempt))
        for number, attempts in starting.items():
            announced.update(task_id for task_id, _ in attempts)
            self.sessions[number].announce(attempts)

    def _to_announce(self) -> list[Call]:
        leases, sessions = self.leases, self.sessions
        waiting = [call for call, _ in leases.guarded.values() if call.id not in leases.announced]
        return [call for call in waiting if sessions[call.worker].welcomed]

    def _grant(self) -> None:
        """Say to each coordinator how much it may lease, where that is news."""
        total = self.capacity()
        if len(self.sessions) == 1:
            self._is_share_due = False
            (session,) = self.sessions.values()
            if session.welcomed:
                wanted = (0 if self._owes_too_much(session) else total, self.slots)
                session.ask_for(wanted[0], _is_news(wanted, session.capacity))
        elif self.sessions:
            self._share_out(total)

    def _share_out(self, total: int) -> None:
        now_s = self._shared.now_s
        sessions = [session for session in self.sessions.values() if session.welcomed]
        self._is_share_due = bool(sessions) and now_s < self._share_s
        if self._is_share_due or not sessions:
            return
        self._share_s = now_s + COUNT_EVERY_S
        for session in sessions:
            if self._owes_too_much(session):
                session.ask_for(0, _is_news((0, self.slots), session.capacity))
        sessions = [session for session in sessions if not self._owes_too_much(session)]
        if not sessions:
            return
        counts = self.leases.counts()
        held = [counts[session.number] for session in sessions]
        for session, count in zip(sessions, held, strict=True):
            if count < session.capacity[0] and now_s >= session.heard_s + QUIET_S:
                session.backlog = 0
        left = total - (counts.total() - sum(held)) if total else 0  # Calls of the others run, too.
        grants = share(left, held, [session.backlog for session in sessions])
        for session, count, grant in zip(sessions, held, grants, strict=True):
            wanted = (grant if total else 0, self.slots)
            is_news = _is_news(wanted, session.capacity) or (grant < session.capacity[0] and grant <= count)
            session.ask_for(wanted[0], is_news)

    def _measure(self) -> None:
        """Follow the rate at which calls end, over windows of a few milliseconds."""
        elapsed_s = self._shared.now_s - self._window_s
        if elapsed_s <= self.settings.lookahead_work_s:
            return
        rate = self._window_count / elapsed_s
        self._rate = rate if rate < self._rate / 4 else (self._rate + rate) / 2
        self._window_s, self._window_count = self._shared.now_s, 0


def _is_news(wanted: tuple[int, int], told: tuple[int, int]) -> bool:
    """Whether the capacity has changed by so much that the coordinator should know."""
    now, before = wanted[0], told[0]
    if wanted[1] != told[1] or (now == 0) != (before == 0):
        return True
    return abs(now - before) * 4 > before
