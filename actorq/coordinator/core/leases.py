"""Leases: who gets which call, how leases end, and what becomes of calls whose worker is lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from actorq.coordinator.core import limits
from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.queues import Group
from actorq.coordinator.core.state import State
from actorq.coordinator.core.workers import Contact, Ring, Worker
from actorq.errors import TaskRevokedError
from actorq.policies.numbering import BLOCK_LENGTH, block_of
from actorq.policies.routing import owner_of
from actorq.stores.api import KeepStarts
from actorq.wire import messages as m
from actorq.wire.batches import batches, chunks
from actorq.wire.frames import bytes_of
from actorq.wire.payload import describe_failure
from actorq.wire.records import DEAD_LETTER, REPLACED, REVOKED, Call, Outcome

REASON_CHARS = 1000
"""So much is kept of why a call was rejected."""


class Leases:
    """Dispatch, and the reports of workers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def dispatch(self) -> None:
        """Lease what is ready: first to workers with free slots, what is left to those that want calls at hand."""
        busy: list[Worker] = []
        if self._state.lanes.direct.active:
            self._serve_owners(busy)
        groups = list(self._state.lanes.groups.values())
        for group in groups:
            self._serve(group, group.free, busy)
        for group in groups:
            self._serve(group, group.ahead, busy)
        for worker in busy:
            self._send_outgoing(worker)

    def _serve(self, group: Group, ring: Ring, busy: list[Worker]) -> None:
        """Share what is ready among the workers that stand in one of the group's lines."""
        is_free = ring is group.free
        while ring and group.has_ready(is_free):
            worker, _ = ring.popitem(last=False)
            worker.ring = None
            room = worker.credit
            if is_free:
                room = min(room, worker.slots - len(worker.leases))
            if worker.contact is Contact.READY and room > 0:
                share = -(-group.ready(is_free) // (len(ring) + 1))
                calls = group.take(min(room, share), is_free)
                if calls:
                    if not worker.outgoing:
                        busy.append(worker)
                    self._lease(worker, calls)
            worker.list_if_idle()

    def _serve_owners(self, busy: list[Worker]) -> None:
        """Give workers the calls that are for them alone: before all others, which others may take."""
        direct = self._state.lanes.direct
        for name in dict.fromkeys(owner_of(lane.queue.name) for lane in list(direct.active)):
            for worker in direct.workers[name]:
                if worker.contact is Contact.READY and worker.peer is not None and worker.credit > 0:
                    calls = direct.take(worker, worker.credit)
                    if calls:
                        if not worker.outgoing:
                            busy.append(worker)
                        self._lease(worker, calls)
                        worker.list_if_idle()
            direct.put_off(name)

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
            spec = self._state.entries_by_number[call.spec].spec
            if self._give_code(worker, spec.code):
                worker.specs.add(call.spec)
            define.specs.append((call.spec, spec))
        if call.client not in worker.clients:
            worker.clients.add(call.client)
            client = self._state.clients_by_number.get(call.client)
            if client is not None and client.reply_address:
                define.clients.append((client.number, client.session, client.reply_address))
                if client.reply_key:
                    define.keys.append((client.number, client.reply_key))
        self._state.send(worker.peer, define)

    def _give_code(self, worker: Worker, digest: str) -> bool:
        """Have the worker get a function that travels by value, if it is one. False if it is not here.

        It was in a damaged journal, or did not come with a call that another coordinator or a worker has brought. The
        worker says so, as the outcome of the call.
        """
        if digest and digest not in worker.codes:
            blob = self._state.codes.get(digest)
            if blob is None:
                return False
            worker.codes.add(digest)
            self._state.send(worker.peer, m.Code(digest, blob))
        return True

    def undefine(self, client: Client) -> None:
        """The client is forgotten: workers may forget its number."""
        for worker in self._state.workers.values():
            if client.number in worker.clients:
                worker.clients.discard(client.number)
                self._state.send(worker.peer, m.Define([], [(client.number, "", "")]))

    def _send_outgoing(self, worker: Worker) -> None:
        size = self._state.settings.deliver_batch
        calls, worker.outgoing = worker.outgoing, []
        for start in range(0, len(calls), size):
            worker.deliveries += 1
            backlog = worker.group.ready()
            self._state.send(worker.peer, m.Deliver(worker.deliveries, calls[start : start + size], 0, backlog))

    def finished(self, peer: Peer, worker: Worker, message: m.Finished) -> None:
        leases, calls = worker.leases, self._state.calls
        taken: list[Outcome] = []
        ended: list[Call] = []
        failed: list[tuple[Call, Outcome]] = []
        body_bytes = 0
        replaced: list[tuple[Call, Outcome]] = []
        relay: dict[int, list[Outcome]] = {}
        key, block = "", calls.block("")
        for outcome in message.outcomes:
            task_id = outcome.id
            call = leases.pop(task_id, None)
            if call is None:
                continue
            if call.attempt != outcome.attempt:
                leases[task_id] = call
                continue
            if outcome.state == REPLACED:  # Known until its turn: what ends here may be what it waited for.
                replaced.append((call, outcome))
                continue
            if task_id[:BLOCK_LENGTH] != key:
                calls.close(key)
                key = block_of(task_id)
                block = calls.block(key)
            del block[task_id]
            body_bytes += len(call.body)
            taken.append(outcome)
            ended.append(call)
            if outcome.state:
                failed.append((call, outcome))
            if message.relay:
                relay.setdefault(call.client, []).append(outcome)
        calls.close(key)
        calls.count -= len(taken)
        self._state.late_reports += len(message.outcomes) - len(taken) - len(replaced)
        self._state.freed(ended)
        self._state.body_bytes -= body_bytes
        for call, outcome in failed:
            if outcome.content == DEAD_LETTER and call.spec != FOREIGN:
                self._state.write_letter(call, _reason_of(outcome), worker.name)
        self._state.settle(ended, taken)
        for call, outcome in replaced:
            calls.remove(call)
            self._state.body_bytes -= len(call.body)
            self._state.freed([call])
            self._state.ledger.replace(call, outcome)
        for number, outcomes in relay.items():
            client = self._state.clients_by_number.get(number)
            if client is not None:
                for batch in batches(outcomes):
                    self._state.send(client.peer, m.Settled(batch))
        if worker.begun:
            self._ended_guarded(worker)
        worker.list_if_idle()
        self._state.acks.append((peer, m.Acked(message.seq)))

    def noted(self, peer: Peer, worker: Worker, message: m.Noted) -> None:
        """What running tasks say of themselves."""
        for note in message.notes:
            call = worker.leases.get(note.id)
            if call is not None and call.attempt == note.attempt:
                self._state.notes[note.id] = note

    def returned(self, peer: Peer, worker: Worker, message: m.Returned) -> None:
        calls: dict[str, Call] = {}
        for task_id, attempt in message.attempts:
            call = worker.leases.get(task_id)
            if call is not None and call.attempt == attempt:
                calls[task_id] = call
        if not calls:
            return  # It was said before, on the other connection; what the worker wants may be known by now.
        self.requeue(worker, list(calls.values()))
        # It has more than it can start. Without this it would get the same calls again at once, and give them back.
        worker.capacity = min(worker.capacity, len(worker.leases))

    def starting(self, peer: Peer, worker: Worker, message: m.Starting) -> None:
        """Guarded calls are about to start: note it, then let them. Those with one chance left wait for theirs."""
        ready = []
        for task_id, attempt in message.attempts:
            call = worker.leases.get(task_id)
            if call is None or call.attempt != attempt:
                continue
            if self._is_last_chance(call) and task_id not in worker.begun:
                if task_id not in worker.exclusive_waiting:
                    worker.exclusive_waiting.append(task_id)
                continue
            self._begin(worker, call)
            ready.append(task_id)
        self._let_begin(peer, ready)
        self.give_last_chance(worker)

    def give_last_chance(self, worker: Worker) -> None:
        """Let the next call begin that has one chance left: one at a time, and only on a worker that has lasted a while.

        Otherwise workers that are killed again and again right after their start would use up the chances of calls that
        have nothing to do with it.
        """
        if worker.exclusive or self._state.now_s < worker.joined_s + self._state.settings.liveness.grace_s:
            return
        while worker.exclusive_waiting and not worker.exclusive:
            call = worker.leases.get(worker.exclusive_waiting.popleft())
            if call is not None:
                worker.exclusive = call.id
                self._begin(worker, call)
                self._let_begin(worker.peer, [call.id])

    def _let_begin(self, peer: Peer | None, ids: Sequence[str]) -> None:
        """Say that the start of these is noted, when it is."""
        if peer is not None:
            self._state.acks.extend((peer, m.Begin(list(each))) for each in chunks(ids))

    def _begin(self, worker: Worker, call: Call) -> None:
        """Note that a guarded call may have started."""
        worker.begun[call.id] = None
        state = self._state
        if not state.settings.durable or call.spec == FOREIGN:
            return
        if state.entries_by_number[call.spec].spec.at_most_once:
            if call.row:
                state.operations.append(KeepStarts([(call.row, call.attempt)]))
            else:
                state.ledger.note_start(call)

    def _is_guarded(self, call: Call) -> bool:
        """Whether its worker waits for Begin. Where we do not know yet (FOREIGN), it says Starting again."""
        return call.spec != FOREIGN and (call.lost > 0 or self._state.entries_by_number[call.spec].spec.at_most_once)

    def _is_last_chance(self, call: Call) -> bool:
        return call.lost > 0 and call.lost + 1 >= self._state.entries_by_number[call.spec].spec.max_deliveries

    def _ended_guarded(self, worker: Worker) -> None:
        worker.begun = {each: None for each in worker.begun if each in worker.leases}
        if worker.exclusive and worker.exclusive not in worker.leases:
            worker.exclusive = ""
            self.give_last_chance(worker)

    def set_capacity(self, peer: Peer, worker: Worker, message: m.Capacity) -> None:
        worker.capacity, worker.slots = message.capacity, message.slots
        self._state.count_slots()
        worker.list_if_idle()

    def consume(self, peer: Peer, worker: Worker, message: m.Consume) -> None:
        """The worker takes calls of other queues from now on. What it has of the earlier ones it runs."""
        if limits.name_chars(message.queues) + limits.name_chars(worker.group.offers) > (
            self._state.settings.worker_name_chars
        ):
            self._state.hits["worker_names"] += 1
            self._state.hang_up(peer)
            return
        self.set_names(worker, message.queues, worker.group.offers)
        worker.list_if_idle()

    def set_names(self, worker: Worker, queues: Collection[str], offers: Collection[str]) -> None:
        """Have the worker be in the group of those that are like it."""
        before, lanes = worker.group, self._state.lanes
        if before.queues == frozenset(queues) and before.offers == frozenset(offers):
            return
        worker.leave_line()
        worker.group = lanes.join(queues, offers)
        lanes.leave(before)

    def reconcile(self, worker: Worker, hello: m.WorkerHello) -> None:
        """Bring the leases in line with what the node says that it holds."""
        # Of one call it may hold two attempts: one that runs, and the outcome of an earlier one, not acknowledged yet.
        held = set(hello.held)
        missing = [call for call in worker.leases.values() if (call.id, call.attempt) not in held]
        self.requeue(worker, missing)  # They were lost on the way: never started.
        self.take_over(worker, worker.peer, hello.coordinator, hello.held)
        self._let_begin(worker.peer, [each for each in worker.begun if self._is_guarded(worker.leases[each])])
        self.revoke_again(worker, worker.peer)

    def take_over(self, worker: Worker, peer: Peer | None, coordinator: str, held: Sequence[tuple[str, int]]) -> None:
        """Lease to the node what it holds and has not been leased here, if an earlier coordinator has granted it. Tell
        `peer`, one of its connections, to forget the rest.
        """
        forgotten = []
        for task_id, attempt in held:
            if task_id in worker.leases:
                continue
            if coordinator != self._state.epoch and self._adopt(worker, task_id, attempt):
                continue
            forgotten.append(task_id)
            call = self._state.calls.get(task_id)
            if call is not None and not call.worker and 0 <= call.attempt < attempt:
                # So that what still comes of this one is not taken for what the next one brings.
                call.attempt = attempt
        for each in chunks(forgotten):
            self._state.send(peer, m.Revoke(list(each), forget=True))

    def revoke_again(self, worker: Worker, peer: Peer | None) -> None:
        """It may not have heard that calls which it holds were revoked: tell it on this one of its connections."""
        revoked = self._state.revoked
        if not revoked:
            return
        for terminate in (False, True):
            ids = [each for each in worker.leases if each in revoked and revoked[each][1] is terminate]
            for each in chunks(ids):
                self._state.send(peer, m.Revoke(list(each), terminate))

    def _adopt(self, worker: Worker, task_id: str, attempt: int) -> bool:
        """Lease a call to the node that got it from an earlier coordinator. False if somebody else has it."""
        if attempt < 1 or self._state.outcomes.get(task_id) is not None:
            return False
        call = self._state.calls.get(task_id)
        if call is None:
            call = Call(task_id, FOREIGN, b"")
            self._state.calls.add(call)
        elif task_id not in self._state.held_back or attempt < call.attempt:
            return False  # Somebody else has it, or is known to have started it later.
        else:
            del self._state.held_back[task_id]
        call.attempt = attempt
        call.not_before = 0
        call.worker = worker.number
        worker.leases[task_id] = call
        self._state.leased_before(call)
        self._begin(worker, call)  # For all we know.
        return True

    def requeue(self, worker: Worker, calls: Sequence[Call]) -> None:
        """Take leases back and put the calls in front of their lanes, in order; revoked ones end here."""
        back: dict[int, list[Call]] = {}
        self._state.freed(calls)
        for call in calls:
            del worker.leases[call.id]
            call.worker = 0
            if call.spec == FOREIGN:
                self._state.calls.remove(call)
                self._state.ledger.runs_no_more(call.id)
            elif self._state.revocation_of(call):
                self._state.settle_here(call, REVOKED, TaskRevokedError("it was revoked"))
            elif call.expires and call.expires <= self._state.wall_s:
                self._state.expire(call)
            else:
                if 0 < call.expires <= self._state.latest_wall_s:  # It was skipped while it was leased.
                    self._state.schedule.add(call.expires, call)
                back.setdefault(call.spec, []).append(call)
        for group in back.values():
            self._state.put_back(group)
        if worker.begun:
            self._ended_guarded(worker)

    def release(self, worker: Worker, reason: str, counted: bool) -> None:
        """A node's session is over: its leases go back, or are given up after too many deliveries."""
        back = []
        for call in list(worker.leases.values()):
            if call.spec != FOREIGN and self._may_have_run(worker, call):
                spec = self._state.entries_by_number[call.spec].spec
                call.lost += counted
                if spec.at_most_once or call.lost >= spec.max_deliveries:
                    self._give_up(worker, call, reason)
                    continue
            back.append(call)
        worker.begun.clear()
        self.requeue(worker, back)
        worker.capacity = 0
        worker.contact = Contact.LOST
        worker.leave_line()
        for peer in (worker.peer, worker.control):
            if peer is not None:
                self._state.peers.pop(peer, None)
                self._state.controls.pop(peer, None)
                self._state.hang_up(peer)
        del self._state.workers[worker.epoch], self._state.workers_by_number[worker.number]
        self._state.lanes.leave(worker.group)
        self._state.lanes.direct.leave(worker)
        self._state.count_slots()

    def _may_have_run(self, worker: Worker, call: Call) -> bool:
        """Whether the death of the worker counts against the call.

        A guarded call has run only if its start was acknowledged. Of the others we cannot know; they are guarded the
        next time, so being beside a task that kills its process counts once at the most.
        """
        if call.lost or self._state.entries_by_number[call.spec].spec.at_most_once:
            return call.id in worker.begun
        return True

    def _give_up(self, worker: Worker, call: Call, reason: str) -> None:
        del worker.leases[call.id]
        call.worker = 0
        self._state.freed([call])
        times = f"{call.lost} times" if call.lost > 1 else "once"
        self._state.give_up(call, f"its worker was lost {times} while it ran (last: {reason})", worker.name)


def _reason_of(outcome: Outcome) -> str:
    """Why a call has failed, for people."""
    return describe_failure(bytes_of(outcome.body))[:REASON_CHARS]
