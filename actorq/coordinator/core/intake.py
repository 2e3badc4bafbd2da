"""Submissions: which calls are taken, which are known already, which have to wait for room."""

from __future__ import annotations

from actorq.coordinator.core.clients import Client, SpecEntry
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.state import FOREIGN, NO_ROOM, SPEC_LIMIT, State
from actorq.errors import TaskRevokedError
from actorq.stores.api import KeepCalls, KeepCode, KeepStarts
from actorq.wire import messages as m
from actorq.wire.messages import CODE_MISSING, Call

LAST_TIME_S = 253_402_300_799.0
"""The end of the year 9999, which is the last one that a datetime knows."""
NO_TIME = "its start or expiry is no point in time: give seconds or a datetime up to the year 9999"


class Intake:
    """What clients submit."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._deferring: dict[str, Client] = {}

    def submit(self, peer: Peer, client: Client, message: m.Submit) -> None:
        if message.seq <= client.seq:
            return
        client.seq = message.seq
        for number, spec in message.specs:
            client.specs[number] = self._state.entry(spec)
        if client.deferred or not self._has_room(client, message):
            client.deferred.append(message)
            self._deferring[client.session] = client
            if not client.pressed:
                client.pressed = True
                self._state.send(peer, m.Pressure(self._pressure(client, message)))
            return
        self._accept(client, message)

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
        return self._state.body_bytes < self._state.settings.queued_bytes and not self._full_queue(client, message)

    def _pressure(self, client: Client, message: m.Submit) -> str:
        queue = self._full_queue(client, message)
        if queue:
            return (
                f"queue {queue!r} holds its limit of {self._state.settings.queue_limit:,} calls: start more "
                f"workers for it, or submit more slowly"
            )
        return (
            f"arguments of calls that have not ended fill their limit of {self._state.settings.queued_bytes:,} bytes: "
            f"start more workers, or pass references to large data"
        )

    def accept_deferred(self) -> None:
        for client in list(self._deferring.values()):
            while client.deferred and self._has_room(client, client.deferred[0]):
                self._accept(client, client.deferred.popleft())
            if not client.deferred:
                del self._deferring[client.session]
                client.pressed = False
                self._state.send(client.peer, m.Pressure(""))

    def _accept(self, client: Client, message: m.Submit) -> None:
        refused: list[tuple[str, str]] = []
        accepted: list[Call] = []
        may_be_settled = not message.fresh or message.resent
        is_held_back = message.resent and self._state.is_young()
        calls, specs, number, seq = self._state.calls, client.specs, client.number, self._state.seq
        revoked, outcome_of = self._state.revoked, self._state.outcomes.get
        run, previous, body_bytes = 0, None, 0
        for call in message.calls:
            entry = specs.get(call.spec)
            if (
                entry is None
                or entry.number == NO_ROOM
                or (entry.spec.code and entry.spec.code not in self._state.codes)
            ):
                refused.append((call.id, self._why_refused(entry)))
                continue
            if (call.expires or call.not_before) and not _has_sound_times(call):
                refused.append((call.id, NO_TIME))
                continue
            call.spec = entry.number
            call.client = number if entry.replies else 0
            call.attempt = call.lost = call.worker = 0
            seq += 1
            call.seq = seq
            if call.id in calls or call.id in revoked or (may_be_settled and outcome_of(call.id) is not None):
                accepted += self._again(client, call)
                continue
            if message.resent:
                call.lost = int(entry.spec.at_most_once)  # It may have started.
            if (call.expires or call.lost) and not is_held_back and self._is_over(call):
                continue
            calls[call.id] = call
            accepted.append(call)
            body_bytes += len(call.body)
            if call.expires:
                self._state.schedule.add(call.expires, call)
            if is_held_back:
                self._state.held_back[call.id] = call
                continue
            if call.not_before > self._state.wall_s:
                self._state.schedule.add(call.not_before, call)
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
        self._state.seq = seq
        self._state.body_bytes += body_bytes
        if refused:
            self._state.send(client.peer, m.Refused(refused))
        if self._state.settings.durable and accepted:
            entries = self._state.entries_by_number
            self._state.operations.append(
                KeepCalls(client.session, [(entries[each.spec].spec, each) for each in accepted])
            )
            started = [each.id for each in accepted if each.worker and entries[each.spec].spec.at_most_once]
            if started:
                self._state.operations.append(KeepStarts(started))
        if client.peer is not None:
            self._state.acks.append((client.peer, m.Accepted(message.seq, self._state.slots)))

    def _why_refused(self, entry: SpecEntry | None) -> str:
        if entry is None:
            return "it names options that this session has not sent"
        if entry.number == NO_ROOM:
            return (
                f"more than {SPEC_LIMIT:,} different combinations of task and options are in use: use fewer "
                f"different time limits or queues"
            )
        return CODE_MISSING

    def _is_over(self, call: Call) -> bool:
        """Settle a call that must not start: its time is over, or it may have started and may run only once."""
        if call.lost:
            self._state.give_up(call, "its coordinator was lost, it may have started, and it may run only once")
        elif call.expires <= self._state.wall_s:
            self._state.expire(call)
        else:
            return False
        return True

    def _again(self, client: Client, call: Call) -> list[Call]:
        """A known call came again, or one that was revoked before it came. Returns it if it is ours from now on."""
        state = self._state
        outcome = state.outcomes.get(call.id)
        known = state.calls.get(call.id)
        if outcome is not None:
            state.tell(client, m.Settled([outcome]))
        elif known is None:
            state.settle_here(call, m.REVOKED, TaskRevokedError("it was revoked before it was submitted"))
        elif known.spec == FOREIGN:
            known.spec, known.body, known.client, known.seq = call.spec, call.body, call.client, call.seq
            known.expires = call.expires
            if known.expires:
                state.schedule.add(known.expires, known)
            state.body_bytes += len(known.body)
            return [known]
        elif known.client != client.number:
            state.watch(client, call.id)
        return []

    def keep_code(self, peer: Peer, client: Client, message: m.Code) -> None:
        if message.digest not in self._state.codes:
            if self._state.code_bytes + len(message.blob) > self._state.settings.code_bytes:
                self._drop_unused_code()
            self._state.codes[message.digest] = message.blob
            self._state.code_bytes += len(message.blob)
            if self._state.settings.durable:
                self._state.operations.append(KeepCode(message.digest, message.blob))

    def _drop_unused_code(self) -> None:
        entries = self._state.entries_by_number
        used = {entries[number].spec.code for number in {call.spec for call in self._state.calls.values()} - {FOREIGN}}
        self._state.codes = {digest: blob for digest, blob in self._state.codes.items() if digest in used}
        self._state.code_bytes = sum(map(len, self._state.codes.values()))


def _has_sound_times(call: Call) -> bool:
    """Not so for NaN, which no comparison finds: at the root of the schedule it would hold up all others."""
    return 0 <= call.expires <= LAST_TIME_S and 0 <= call.not_before <= LAST_TIME_S
