"""Submissions: which calls are taken, which are known already, which have to wait for room."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from actorq.coordinator.core.addressing import Addressing
from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.clients import Client, SpecEntry
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.queues import Lane
from actorq.coordinator.core.searches import Searches
from actorq.coordinator.core.state import NO_ROOM, SPEC_LIMIT, State
from actorq.coordinator.core.uniques import UNIQUE, key_of
from actorq.errors import TaskRevokedError
from actorq.policies.numbering import BLOCK_LENGTH, block_of
from actorq.wire import messages as m
from actorq.wire.messages import CODE_MISSING
from actorq.wire.plans import certain, size_of_plan, spokesmen, why_unsound
from actorq.wire.records import REVOKED, Call, CallSpec, Plan

LAST_TIME_S = 253_402_300_799.0
"""The end of the year 9999, which is the last one that a datetime knows."""
DIGESTS_KEPT = 1000
"""Of functions for which there was no room: of others the client is told that they are missing, and sends them again."""
INPUTS = "it says what it takes from other calls: only a coordinator says that, of calls of a workflow"
NO_TIME = "its start or expiry is no point in time: give seconds or a datetime up to the year 9999"


_Place = tuple[Lane, int, str]
"""Where calls of one submission line up together: lane, priority, and the task where its starts are limited."""


class _Alike(NamedTuple):
    """The calls of one submission that have one spec."""

    number: int
    reply_to: int
    """The client's number, where it waits for outcomes."""
    durable: bool
    trouble: str
    """Why none of them can be taken; empty if they can."""
    ready: list[Call]
    """Those that line up in one place, with those of other specs among them."""


class Intake:
    """What clients submit."""

    def __init__(self, state: State, searches: Searches) -> None:
        self._state = state
        self._searches = searches
        self._addressing = Addressing(state)
        self._deferring: dict[str, Client] = {}
        self._no_entry = SpecEntry(FOREIGN, CallSpec(""), state.no_lane, False)
        """Stands for the specs that a client has not sent."""
        self._without_room: set[str] = set()
        """Digests of functions that were not kept."""

    def submit(self, peer: Peer, client: Client, message: m.Submit) -> None:
        if message.seq <= client.seq:
            return
        client.seq = message.seq
        for number, spec in message.specs:
            if len(client.specs) < SPEC_LIMIT or number in client.specs:
                entry = self._state.entry(spec) if spec.queue else self._addressing.entry(client, spec)
                client.specs[number] = entry
        if client.deferred or self._must_ask(client, message) or not self._has_room(client, message):
            waiting = sum([len(each.calls) for each in client.deferred])
            settings = self._state.settings
            is_over = waiting + len(message.calls) > settings.client_window
            if is_over or client.deferred_bytes >= settings.client_window_bytes:
                self._state.hits["window"] += 1
                self._state.hang_up(peer)  # It pays no heed to its window. Whoever does is never here.
                return
            client.deferred.append(message)
            client.deferred_bytes += _size_bytes(message)
            self._deferring[client.session] = client
            if not client.pressed and not self._has_room(client, client.deferred[0]):
                client.pressed = True
                self._state.send(peer, m.Pressure(self._pressure(client, message)))
            return
        self._accept(client, message)

    def _must_ask(self, client: Client, message: m.Submit) -> bool:
        """Whether other coordinators may know some of its calls, and have not been asked."""
        return not message.fresh and message.seq > client.asked and self._searches.can_ask()

    def _ask_others(self, client: Client, message: m.Submit) -> None:
        """Before these calls are taken: does another coordinator have some of them?"""
        state, peer = self._state, client.peer
        assert peer is not None
        unknown = [
            call.id for call in message.calls if call.id not in state.calls and state.outcomes.get(call.id) is None
        ]
        # What may be running is taken whoever holds its key.
        keys = [] if message.resent else [UNIQUE + key for call in message.calls if (key := key_of(call))]
        of_plans = [each for plan in message.plans for each in self._unknown_of(plan)]
        client.asking = message.seq

        def answered(states: dict[str, str], silent: list[str]) -> None:
            if client.peer != peer:
                return  # It has connected anew, and sends them again.
            client.asking, client.asked = 0, message.seq
            self._watch(client, [task_id for task_id in unknown if states.get(task_id)])
            gone = {task_id for task_id in unknown if states.get(task_id, "settled")}
            client.deferred_bytes -= _size_bytes(message)
            for call in message.calls:
                holder = states.get(UNIQUE + key_of(call))
                if holder and call.id not in gone and not self._is_ours(call.id):
                    gone.add(call.id)
                    state.tell(client, m.Duplicates([(call.id, holder)]))
            message.calls = [call for call in message.calls if call.id not in gone]
            self._leave_plans(client, message, states)
            client.deferred_bytes += _size_bytes(message)

        self._searches.claim(client, peer, unknown + keys + of_plans, answered)

    def _unknown_of(self, plan: Plan) -> list[str]:
        """What to ask for, to hear whether another coordinator has the plan, or had it until it ended."""
        state = self._state
        if plan.id in state.ledger.entries:
            return []
        return [plan.id, *[each for each in certain(plan) if state.outcomes.get(each) is None]]

    def _leave_plans(self, client: Client, message: m.Submit, states: dict[str, str]) -> None:
        """Plans that other coordinators have, or that have ended there: only tell the client what comes of them."""
        state = self._state
        gone = {
            plan.id: plan
            for plan in message.plans
            if plan.id not in state.ledger.entries and (states.get(plan.id) or _is_over(plan, states))
        }
        if not gone:
            return
        message.plans = [plan for plan in message.plans if plan.id not in gone]
        awaited = [node.call.id for plan in gone.values() for node in plan.nodes if node.replies]
        settled = {task_id: outcome for task_id in awaited if (outcome := state.outcomes.get(task_id)) is not None}
        state.tell_settled(client, list(settled.values()))
        self._watch(client, [task_id for task_id in awaited if task_id not in settled])

    def _watch(self, client: Client, task_ids: list[str]) -> None:
        """Have the client told when these settle, which other coordinators have."""
        for task_id in task_ids:
            self._state.watch(client, task_id, asks_again=True)
        self._searches.watch(task_ids)

    def _full_queue(self, client: Client, message: m.Submit) -> str:
        limit = self._state.settings.queue_limit
        if len(self._state.calls) < limit:
            return ""
        for number in {call.spec for call in message.calls}:
            entry = client.specs.get(number)
            if entry is not None and entry.lane.queue.size >= limit:
                return entry.spec.queue
        return ""

    def _has_room(self, client: Client, message: m.Submit) -> bool:
        if message.resent and self._state.trouble:
            return False  # They may be running, so they cannot be refused.
        state, settings = self._state, self._state.settings
        has_room = state.body_bytes < settings.queued_bytes and self._count() < settings.call_limit
        return has_room and not self._full_queue(client, message)

    def _count(self) -> int:
        """Calls that have not settled."""
        return len(self._state.calls) + self._state.ledger.waiting_count

    def _pressure(self, client: Client, message: m.Submit) -> str:
        if message.resent and self._state.trouble:
            return self._state.trouble
        state, settings = self._state, self._state.settings
        queue = self._full_queue(client, message)
        if self._count() >= settings.call_limit:
            state.hits["calls"] += 1
            return (
                f"{settings.call_limit:,} calls wait, are scheduled or run, which is the limit: start more workers, or "
                f"submit more slowly"
            )
        if queue:
            state.hits["queue"] += 1
            return (
                f"queue {queue!r} holds its limit of {self._state.settings.queue_limit:,} calls: start more "
                f"workers for it, or submit more slowly"
            )
        state.hits["arguments"] += 1
        return (
            f"arguments of calls that have not ended fill their limit of {self._state.settings.queued_bytes:,} bytes: "
            f"start more workers, or pass references to large data"
        )

    def accept_deferred(self) -> None:
        for client in list(self._deferring.values()):
            while client.deferred and not client.asking and self._has_room(client, client.deferred[0]):
                if self._must_ask(client, client.deferred[0]):
                    self._ask_others(client, client.deferred[0])
                else:
                    message = client.deferred.popleft()
                    client.deferred_bytes -= _size_bytes(message)
                    self._accept(client, message)
            if client.deferred and not client.asking:
                client.asked = min(client.asked, client.deferred[0].seq - 1)  # Asked once more when there is room.
            if not client.deferred:
                del self._deferring[client.session]
                if client.pressed:
                    client.pressed = False
                    self._state.send(client.peer, m.Pressure(""))

    def _accept(self, client: Client, message: m.Submit) -> None:
        """Take calls in. What most calls are is done here, in one pass; what some are is left to others."""
        state, resent = self._state, message.resent
        if client.is_addressing:
            message = self._addressing.route(client, message)
        may_be_settled, is_held_back = resent or not message.fresh, resent and state.is_young()
        calls, revoked, outcome_of, members = state.calls, state.revoked, state.outcomes.get, state.ledger.members
        refused: list[tuple[str, str]] = []
        kept: list[Call] = []
        seq, count, body_bytes, row = state.seq, 0, 0, state.keeping.row
        key, block = "", calls.block("")
        alike: dict[int, _Alike] = {}
        ready_at: defaultdict[_Place, list[Call]] = defaultdict(list)
        given: int | None = None
        for call in message.calls:
            if call.spec != given:
                given = call.spec
                of_spec = alike.get(given)
                if of_spec is None:
                    of_spec = alike[given] = self._alike(client, given, ready_at)
                number, reply_to, durable, trouble, ready = of_spec
            task_id = call.id
            is_special = resent or call.expires or call.not_before or call.extra or call.inputs
            is_refused = trouble and not (number > FOREIGN and self._is_ours(task_id))
            unsound = _why_unsound(call) if is_special else ""
            if is_refused or unsound:
                refused.append((task_id, trouble or unsound))
                continue
            call.spec = number
            call.client = reply_to
            call.attempt = call.lost = call.worker = call.row = 0
            seq += 1
            call.seq = seq
            if task_id[:BLOCK_LENGTH] != key:
                calls.close(key)
                key = block_of(task_id)
                block = calls.block(key)
            is_known = may_be_settled and (outcome_of(task_id) is not None or task_id in members)
            if is_known or task_id in block or task_id in revoked:
                for known in self._again(client, call):
                    if durable:
                        row += 1
                        known.row = row
                        kept.append(known)
                continue
            if resent:
                call.lost = int(state.entries_by_number[number].spec.at_most_once)  # It may have started.
            if is_special and not is_held_back and state.ends_here(call):
                continue
            if is_special and key_of(call) and not self._holds_key(client, call, resent):
                continue
            block[task_id] = call
            count += 1
            body_bytes += len(call.body)
            if durable:
                row += 1
                call.row = row
                kept.append(call)
            if not is_special or self._is_ready(call, is_held_back):
                ready.append(call)
        for ready in ready_at.values():
            if ready:  # Of limits, the last that are said count.
                state.line_up(ready, state.entries_by_number[ready[-1].spec])
        calls.close(key)
        calls.count += count
        state.seq, state.keeping.row = seq, row
        state.body_bytes += body_bytes
        if kept:
            state.keeping.keep(client, kept)
        for plan in message.plans:
            refused += self._accept_plan(client, plan, resent)
        if refused:
            state.send(client.peer, m.Refused(refused))
        if client.peer is not None:
            state.acks.append((client.peer, m.Accepted(message.seq, state.slots)))

    def _alike(self, client: Client, given: int, ready_at: defaultdict[_Place, list[Call]]) -> _Alike:
        entry = client.specs.get(given, self._no_entry)
        reply_to = client.number if entry.replies else 0
        place = entry.lane, entry.spec.priority, entry.spec.task if entry.is_limited else ""
        return _Alike(entry.number, reply_to, entry.durable, self._why_refused(entry), ready_at[place])

    def _accept_plan(self, client: Client, plan: Plan, is_resent: bool) -> list[tuple[str, str]]:
        """Take in a workflow, or nothing of it. Returns which calls are refused then, and why."""
        state = self._state
        entries = {number: client.specs.get(number, self._no_entry) for number in {n.call.spec for n in plan.nodes}}
        trouble = why_unsound(plan) or next(filter(None, [_why_unsound(node.call) for node in plan.nodes]), "")
        known = state.ledger.entries.get(plan.id)
        if known is not None and plan.nodes and known.plan.nodes[-1].call.id == plan.nodes[-1].call.id:
            return []  # It was sent twice.
        if known is not None:
            trouble = "another workflow has its id: give each one of its own"
        if not trouble:
            trouble = next(filter(None, map(self._why_refused, entries.values())), "")
            if trouble and state.ledger.has_ended(plan):
                return []  # Its client asks for the outcomes.
        if trouble:
            if trouble == CODE_MISSING:
                client.lacking = {entry.spec.code for entry in entries.values()}
            return [(task_id, trouble) for task_id in spokesmen(plan)]
        client.lacking = set()
        for node in plan.nodes:
            node.call.spec = entries[node.call.spec].number
        state.ledger.accept(plan, client.number, is_resent, is_held_back=is_resent and state.is_young())
        return []

    def _why_refused(self, entry: SpecEntry) -> str:
        """Why no call with this spec can be taken; empty if it can."""
        if entry is self._no_entry:
            return "it names options that this session has not sent"
        if entry.number == NO_ROOM:
            return (
                f"more than {SPEC_LIMIT:,} different combinations of task and options are in use: use fewer "
                f"different time limits or queues"
            )
        if entry.durable and self._state.trouble:
            return self._state.trouble
        if entry.spec.code and entry.spec.code in self._without_room:
            self._without_room.discard(entry.spec.code)  # The next one is said to miss it: then it is sent again.
            limit_bytes = self._state.settings.code_limit_bytes
            return f"functions by value that calls use fill their limit of {limit_bytes:,} bytes: try again later"
        return CODE_MISSING if entry.spec.code and entry.spec.code not in self._state.codes else ""

    def _is_ours(self, task_id: str) -> bool:
        """Whether a call was taken already, so that it must not be refused."""
        state = self._state
        return task_id in state.calls or state.outcomes.get(task_id) is not None or task_id in state.ledger.members

    def _is_ready(self, call: Call, is_held_back: bool) -> bool:
        """Whether it lines up now, with others like it. Where it waits for something, or goes by a key, it is put there."""
        state = self._state
        if call.expires:
            state.schedule.add(call.expires, call)
        if is_held_back:
            state.held_back[call.id] = call
            return False
        if state.must_wait(call):
            return False
        call.not_before = 0
        entry, extra = state.entries_by_number[call.spec], call.extra
        if extra is not None and (extra.fair_key or (extra.limit_key and entry.is_limited)):
            state.line_up([call], entry)
            return False
        return True

    def _holds_key(self, client: Client, call: Call, resent: bool) -> bool:
        """Whether the call may be taken, as no other one holds its unique key. One that may be running is in any case."""
        state = self._state
        holder = None if resent else state.uniques.holder(key_of(call), state.wall_s)
        if holder is not None:
            state.tell(client, m.Duplicates([(call.id, holder.id)]))
            return False
        state.uniques.take(call)
        return True

    def _again(self, client: Client, call: Call) -> list[Call]:
        """A known call came again, or one that was revoked before it came. Returns it if it is ours from now on."""
        state = self._state
        outcome = state.outcomes.get(call.id)
        known = state.ledger.waiting(call.id) or state.calls.get(call.id)
        if outcome is not None:
            state.tell(client, m.Settled([outcome]))
        elif known is None:
            state.settle_here(call, REVOKED, TaskRevokedError("it was revoked before it was submitted"))
        elif known.spec == FOREIGN:
            state.recognise(known, call)
            return [known]
        elif known.client != client.number:
            state.watch(client, call.id, asks_again=True)
        return []

    def keep_code(self, peer: Peer, client: Client, message: m.Code) -> None:
        if message.digest not in self._state.codes:
            if self._state.code_bytes + len(message.blob) > self._state.settings.code_bytes:
                self._drop_unused_code()
            # The calls of a coordinator that leaves cannot be refused: it may have as much as we have.
            limit_bytes = self._state.settings.code_limit_bytes * (2 if client.is_coordinator else 1)
            if self._state.code_bytes + len(message.blob) > limit_bytes:
                self._state.hits["code"] += 1
                self._without_room.add(message.digest)
                return
            self._without_room.discard(message.digest)
            self._state.codes[message.digest] = message.blob
            self._state.code_bytes += len(message.blob)

    def _drop_unused_code(self) -> None:
        entries = self._state.entries_by_number
        numbers = {call.spec for call in self._state.calls} | self._state.ledger.specs_in_use()
        used = {entries[number].spec.code for number in numbers - {FOREIGN}}
        used.update(*[client.lacking for client in self._state.clients.values()])
        unused = self._state.codes.keys() - used
        self._state.keeping.forget_codes(unused)
        for worker in self._state.workers.values():
            for digest in worker.codes - used:
                worker.codes.discard(digest)
                self._state.send(worker.peer, m.Code(digest, b""))
        self._state.codes = {digest: blob for digest, blob in self._state.codes.items() if digest in used}
        self._state.code_bytes = sum(map(len, self._state.codes.values()))
        if len(self._without_room) > DIGESTS_KEPT:
            self._without_room.clear()


def _why_unsound(call: Call) -> str:
    """What is wrong with what a client says of a call; empty if nothing is.

    A time may be NaN, which no comparison finds: at the root of the schedule it would hold up all others.
    """
    if not (0 <= call.expires <= LAST_TIME_S and 0 <= call.not_before <= LAST_TIME_S):
        return NO_TIME
    return "" if call.inputs is None else INPUTS


def _is_over(plan: Plan, states: dict[str, str]) -> bool:
    """Whether a plan has ended elsewhere: of all that must have an outcome then, there is one. `states`: of other calls."""
    ids = certain(plan)
    return bool(ids) and not any(each in states for each in ids)


def _size_bytes(message: m.Submit) -> int:
    size_bytes = sum([len(call.body) for call in message.calls])
    if not message.plans:
        return size_bytes
    return size_bytes + sum(size_of_plan(plan) for plan in message.plans)
