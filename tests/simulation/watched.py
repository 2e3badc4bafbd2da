"""Listens in on a coordinator's core: what it decides is held against what the rest of the mesh knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.gates import LimitedLane
from actorq.coordinator.core.ledger import Entry
from actorq.coordinator.core.lines import GONE
from actorq.coordinator.core.queues import Lane
from actorq.coordinator.core.state import TREE
from actorq.coordinator.core.workers import Contact, Worker
from actorq.wire import messages as m
from actorq.wire.records import Call, Outcome
from tests.simulation.uniques import UniqueCalls

if TYPE_CHECKING:
    from tests.simulation.nodes import CoordinatorProcess

Rank = tuple[int, int]
"""Priority and age of a ready call: the highest goes first."""
Ready = dict[str, "tuple[Call, Lane, Rank]"]


ROUNDING_S = 1e-6
"""Sums of times differ in their last digits, by their order."""


class Watch:
    """Stands in front of the methods in which a core decides, and calls them."""

    def __init__(self, process: CoordinatorProcess, core: Coordinator) -> None:
        self.process = process
        self.mesh = process.mesh
        self.oracle = process.mesh.oracle
        self.core = core
        self.state = core.state
        self._heard: dict[str, float] = {}
        self._down: dict[str, float] = {}
        self._told: dict[str, int] = {}
        """The capacity that each worker has asked for."""
        self._starts: dict[tuple[str, str], deque[float]] = {}
        """When calls were delivered that are limited together, within the last period."""
        self._is_releasing = self._has_turns = False
        self.uniques = UniqueCalls(self.mesh, core)
        leases = core._leases
        for owner, name, stand_in in (
            (core, "advance", self._advance),
            (core, "receive", self._receive),
            (core, "lose", self._lose),
            (core._intake, "_accept", self._accept),
            (core._commands, "_revoke_one", self._revoke_one),
            (core._commands, "_remember", self._remember),
            (core._searches, "claim", self.uniques.claim),
            (self.state, "tell", self._tell),
            (self.state, "settle", self._settle),
            (self.state.ledger, "replace", self._replace),
            (core._handover, "_forget", self._forget),
            (self.state.ledger, "forget", self._forget_plans),
            (leases, "dispatch", self._dispatch),
            (leases, "release", self._release),
            (leases, "requeue", self._requeue),
            (leases, "_adopt", self._adopt),
        ):
            setattr(owner, name, partial(stand_in, getattr(owner, name)))

    # -- what came -----------------------------------------------------------------------------------------------

    def _advance(self, advance: Callable[..., None], now_s: float, wall_s: float) -> None:
        advance(now_s, wall_s)
        self.oracle.latest_wall_s = max(self.oracle.latest_wall_s, wall_s)

    def _receive(self, receive: Callable[..., None], peer: int, message: Any) -> None:
        if isinstance(message, m.Capacity):
            self._told[self._worker_epoch(peer)] = message.capacity
        receive(peer, message)
        epoch = self._worker_epoch(peer)
        if isinstance(message, m.WorkerHello) and epoch == message.epoch:  # Else it came late, and does not count.
            self._told[epoch] = message.capacity
        if epoch:
            self._heard[epoch] = self.state.now_s

    def _lose(self, lose: Callable[..., None], peer: int) -> None:
        epoch = self._worker_epoch(peer)
        if epoch:
            self._down[epoch] = self.state.now_s
        lose(peer)

    def _worker_epoch(self, peer: int) -> str:
        party = self.state.peers.get(peer)
        return party.epoch if isinstance(party, Worker) else self.state.controls.get(peer, "")

    # -- what is decided -----------------------------------------------------------------------------------------

    def _accept(self, accept: Callable[..., None], client: Client, message: m.Submit) -> None:
        state, ledger = self.state, self.state.ledger
        ids = {node.call.id for plan in message.plans if plan.id not in ledger.entries for node in plan.nodes}
        new = {each for each in ids if state.calls.get(each) is None and state.outcomes.get(each) is None}
        accept(client, message)
        for plan in message.plans:
            for node in plan.nodes:
                task_id = node.call.id
                outcome = self.state.outcomes.get(task_id)
                if plan.id in ledger.entries or outcome is not None:
                    if outcome is not None:
                        self.oracle.record(task_id).settled.setdefault(self.state.epoch, outcome)
                    self.oracle.accepted(self.state.epoch, task_id, client.session, task_id in new)
            self.mesh.note(f"{self.state.epoch} accepts {plan.id}", *[node.call.id for node in plan.nodes])
        for call in message.calls:
            outcome = self.state.outcomes.get(call.id)
            if call.id not in self.state.calls and outcome is None:
                continue  # Refused.
            if outcome is not None:  # It may have settled at another one that has left the mesh.
                self.oracle.record(call.id).settled.setdefault(self.state.epoch, outcome)
            self.oracle.accepted(
                self.state.epoch, call.id, client.session, is_new=self.state.calls.get(call.id) is call
            )
            self.mesh.note(f"{self.state.epoch} accepts {call.id} of {client.session}", call.id)
        self.uniques.check_taken(message)

    def _settle(self, settle: Callable[..., None], calls: Sequence[Call], outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.oracle.settled(self.state.epoch, outcome, self.state.outcomes.get(outcome.id) is not None)
        settle(calls, outcomes)

    def _replace(self, replace: Callable[..., None], call: Call, outcome: Outcome) -> None:
        self.mesh.note(f"{self.state.epoch} hears that {call.id} goes on as a plan", call.id)
        replace(call, outcome)
        if call.spec == FOREIGN and self.state.calls.get(call.id) is None and not self.state.outcomes.get(call.id):
            self.oracle.forgotten(self.state.epoch, call.id)

    def _adopt(self, adopt: Callable[..., bool], worker: Worker, task_id: str, attempt: int) -> bool:
        is_adopted = adopt(worker, task_id, attempt)
        if is_adopted:
            self.oracle.adopted(self.state.epoch, task_id, attempt, worker.epoch)
        return is_adopted

    def _heir(self) -> tuple[str, CoordinatorProcess | None]:
        """To whom it hands over: the epoch, and the process if it still lives."""
        heir = self.core._handover._heir
        assert heir is not None
        epoch = heir.link.member.epoch
        return epoch, self.mesh.coordinator(epoch)

    def _forget(self, forget: Callable[..., None], calls: Sequence[Call]) -> None:
        """What is another coordinator's now is there, and where there are journals, in its journal."""
        epoch, living = self._heir()
        for call in calls:
            self.mesh.note(f"{self.state.epoch} has handed {call.id} over to {epoch}", call.id)
            known = None if living is None else living.core.state
            has_settled = epoch in self.oracle.record(call.id).settled
            # A third one may have left before, and handed over how it has ended.
            has_settled = has_settled or (known is not None and known.outcomes.get(call.id) is not None)
            # It may go on as a workflow.
            is_there = known is None or call.id in known.calls or call.id in known.ledger.members
            is_kept = not call.row or self.mesh.disk_of(epoch).has_call(call.id)
            if not has_settled and not (is_there and is_kept):
                text = f"{self.state.epoch} forgets {call.id}, and {epoch} does not have it"
                self.oracle.fail("handed over", text, call.id)
            self.oracle.record(call.id).handed_over[self.state.epoch] = None  # It may stay in the mesh in the end.
        forget(calls)

    def _forget_plans(self, forget: Callable[..., None], group: Sequence[Entry]) -> None:
        """As `_forget`, of workflows: there, their calls may have ended since, or gone on as others."""
        epoch, living = self._heir()
        for entry in group:
            ids = self.state.ledger.open_calls(entry.plan.id)
            if not ids:
                continue  # It has ended here meanwhile.
            self.mesh.note(f"{self.state.epoch} has handed {entry.plan.id} over to {epoch}", *ids)
            has_ended = any(epoch in self.oracle.record(each).settled for each in ids)
            is_there = living is None or has_ended or any(each in living.core.state.ledger.members for each in ids)
            is_kept = not entry.row or entry.plan.id in self.mesh.disk_of(epoch).plans
            if not (is_there and is_kept):
                text = f"{self.state.epoch} forgets {entry.plan.id}, and {epoch} does not have it"
                self.oracle.fail("handed over", text, *ids)
            for each in ids:
                self.oracle.record(each).handed_over[self.state.epoch] = None
        forget(group)

    def _revoke_one(self, revoke: Callable[..., str], task_id: str, *how: Any) -> str:
        became = revoke(task_id, *how)
        self.mesh.note(f"{self.state.epoch} revokes {task_id}: {became}", task_id)
        record = self.oracle.records.get(task_id)
        if record is not None and became != "already settled":
            record.revoked[self.state.epoch] = None
        return became

    def _remember(self, remember: Callable[..., bool], task_id: str, terminate: bool, until_s: float) -> bool:
        if task_id.startswith(TREE):
            self.mesh.note(f"{self.state.epoch} revokes the tree {task_id.removeprefix(TREE)}")
            self.oracle.tree_revoked(self.state.epoch, task_id)
        return remember(task_id, terminate, until_s)

    def _tell(self, tell: Callable[..., None], client: Client, message: Any) -> None:
        self.uniques.check_refused(message)
        tell(client, message)

    def _release(self, release: Callable[..., None], worker: Worker, reason: str, counted: bool) -> None:
        if counted:
            self._check_lost(worker, reason)
        for call in worker.leases.values():
            self.oracle.lost_lease(self.state.epoch, call, worker.epoch, reason)
        self._is_releasing = True
        release(worker, reason, counted)
        self._is_releasing = False

    def _check_lost(self, worker: Worker, reason: str) -> None:
        if "started again" in reason:
            return  # It is gone. (Or it is not, and the Hello of an earlier process of that name came very late.)
        liveness = self.state.settings.liveness
        if worker.is_out_of_touch():
            is_gone = self.process.awake_since(self._down[worker.epoch]) >= liveness.grace_s - ROUNDING_S
        else:
            is_gone = self.process.awake_since(self._heard[worker.epoch]) >= liveness.lease_s - ROUNDING_S
        if not is_gone:
            self.oracle.fail("living worker", f"{worker.epoch} is given up too soon: {reason}", *worker.leases)
        holder = self.mesh.worker(worker.epoch)
        session = None if holder is None else holder.session_with(self.state.epoch)
        if holder is None or session is None or not worker.leases:
            return
        if session.leases_hold_until_s > holder.now_s:
            text = f"the leases of {worker.epoch} are given away, and it believes that they hold"
            self.oracle.fail("two leases", text, *worker.leases)

    def _requeue(self, requeue: Callable[..., None], worker: Worker, calls: Sequence[Call]) -> None:
        if not self._is_releasing:
            for call in calls:
                self._check_given_back(worker, call)
        forgotten = [call.id for call in calls if call.spec == FOREIGN]
        requeue(worker, calls)
        for task_id in forgotten:
            self.oracle.forgotten(self.state.epoch, task_id)

    def _check_given_back(self, worker: Worker, call: Call) -> None:
        self.mesh.note(f"{self.state.epoch} has {call.id} back from {worker.epoch}", call.id)
        holder = self.mesh.worker(worker.epoch)
        session = None if holder is None else holder.session_with(self.state.epoch)
        if holder is None or session is None:
            return
        if self.mesh.options.forgets or len(self.oracle.record(call.id).attempts) > 1:
            return  # The worker may hold an attempt of that number which an earlier coordinator delivered.
        held = holder.core.held.get(call.id)
        has_run = self.oracle.record(call.id).starts[worker.epoch, call.attempt] > 0
        if has_run or (held is not None and held.worker == session.number and held.attempt == call.attempt):
            text = f"{call.id}, attempt {call.attempt}, is taken back: {worker.epoch} has it, or has run it"
            self.oracle.fail("living worker", text, call.id)

    # -- dispatch ------------------------------------------------------------------------------------------------

    def _dispatch(self, dispatch: Callable[[], None]) -> None:
        ready: Ready = {
            call.id: (call, lane, (level, -call.seq))
            for lane in self.state.lanes
            for level, call in lane.standing()
            if call.attempt != GONE
        }
        self._has_turns = any(lane.is_fair and lane.size for lane in self.state.lanes)
        dispatch()
        if ready:
            self._check_dispatch(ready)
            self._check_limits(
                call for call, lane, _ in ready.values() if call.worker and isinstance(lane, LimitedLane)
            )

    def _check_limits(self, started: Iterable[Call]) -> None:
        """Not more at once, and not more within a time, than the limits say. A key has tasks of its own."""
        gates = {gate.name: gate for gate in self.state.gates}
        for call in started:
            task = self.state.entries_by_number[call.spec].spec.task
            gate = gates[task, call.extra.limit_key if call.extra is not None else ""]
            if gate.concurrency and gate.running > gate.concurrency:
                self.oracle.fail("limit", f"{call.id} is delivered beside {gate.running - 1} others", call.id)
            if gate.rate is None or self.mesh.options.coordinators > 1:
                continue  # A share changes with the number of those that are in touch.
            starts = self._starts.setdefault(gate.name, deque())
            starts.append(self.state.now_s)
            while starts[0] <= starts[-1] - gate.rate.period_s:
                starts.popleft()
            if len(starts) > gate.rate.starts:
                self.oracle.fail(
                    "limit", f"{call.id} is delivered within a second of {len(starts) - 1} others", call.id
                )

    def _check_dispatch(self, ready: Ready) -> None:
        taken: dict[int, list[tuple[Call, Rank]]] = {}
        for call, _, rank in ready.values():
            if call.worker:
                taken.setdefault(call.worker, []).append((call, rank))
        for number, calls in taken.items():
            worker = self.state.workers_by_number[number]
            for call, _ in calls:
                self._check_delivery(worker, call)
            self._check_order(worker, calls, ready)
            self.oracle.bound("credit", f"leases of {worker.epoch}", len(worker.leases), self._told[worker.epoch])
            if len(worker.leases) > worker.slots:
                self._check_passed_over(worker, calls)

    def _check_delivery(self, worker: Worker, call: Call) -> None:
        self.oracle.delivered(self.state.epoch, call, worker.epoch)
        record = self.oracle.record(call.id)
        if record.not_before > self.oracle.latest_wall_s:
            self.oracle.fail("ETA", f"{call.id} is delivered before its time", call.id)
        if record.expires and record.expires <= self.state.wall_s:
            self.oracle.fail("expiry", f"{call.id} is delivered after it expired", call.id)
        if worker.contact is not Contact.READY or worker.peer is None:
            self.oracle.fail("living worker", f"{call.id} is delivered to {worker.epoch}, which is away", call.id)
        if not worker.group.matches(self.state.entries_by_number[call.spec].lane):
            self.oracle.fail("unexpected", f"{call.id} is delivered to {worker.epoch}, which cannot run it", call.id)

    def _check_order(self, worker: Worker, calls: list[tuple[Call, Rank]], ready: Ready) -> None:
        if self._has_turns:
            # Tenants have turns, also those of calls that were taken out: only priorities stay in order.
            ready = {task_id: (call, lane, (level, 0)) for task_id, (call, lane, (level, _)) in ready.items()}
            calls = [(call, (level, 0)) for call, (level, _) in calls]
        calls = [each for each in calls if not isinstance(ready[each[0].id][1], LimitedLane)]
        if not calls:
            return
        call, worst = min(calls, key=_rank)
        for other, lane, rank in ready.values():
            is_left = not other.worker and other.id in self.state.calls and not isinstance(lane, LimitedLane)
            if rank > worst and is_left and worker.group.matches(lane):
                self.oracle.fail("order", f"{call.id} is delivered before {other.id}", call.id, other.id)

    def _check_passed_over(self, worker: Worker, calls: list[tuple[Call, Rank]]) -> None:
        lanes = [self.state.entries_by_number[call.spec].lane for call, _ in calls]
        for other in self.state.workers.values():
            is_free = len(other.leases) < min(other.slots, other.capacity) and other.peer is not None
            if is_free and other.contact is Contact.READY and all(other.group.matches(lane) for lane in lanes):
                ids = [call.id for call, _ in calls]
                self.oracle.fail(
                    "passed over", f"{worker.epoch} gets more than it can run, {other.epoch} is free", *ids
                )


def _rank(each: tuple[Call, Rank]) -> Rank:
    return each[1]
