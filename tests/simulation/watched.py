"""A coordinator's core that the oracle listens in on. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.queues import GONE, Lane
from actorq.coordinator.core.workers import Contact, Worker
from actorq.wire import messages as m
from actorq.wire.messages import Call, Outcome

if TYPE_CHECKING:
    from tests.simulation.nodes import CoordinatorProcess

Ready = dict[str, "tuple[Call, Lane, tuple[int, int]]"]


class WatchedCoordinator(Coordinator):
    """Tells the oracle of each decision, and holds it against what the rest of the mesh knows."""

    def __init__(self, process: CoordinatorProcess) -> None:
        self.process = process
        self.oracle = process.mesh.oracle
        self._heard: dict[str, float] = {}
        self._down: dict[str, float] = {}
        self._told: dict[str, int] = {}
        self._latest_wall_s = 0.0
        self._is_releasing = False
        settings = process.mesh.options.coordinator
        super().__init__(process.machine.name, process.epoch, settings, process.now_s, process.wall_s)

    # -- what came -----------------------------------------------------------------------------------------------

    def advance(self, now_s: float, wall_s: float) -> None:
        super().advance(now_s, wall_s)
        self._latest_wall_s = max(self._latest_wall_s, wall_s)

    def receive(self, peer: int, message: Any) -> None:
        epoch = self._worker_epoch(peer)
        if isinstance(message, (m.WorkerHello, m.Capacity)):
            self._told[epoch or message.epoch] = message.capacity  # type: ignore[union-attr]
        super().receive(peer, message)
        epoch = self._worker_epoch(peer)
        if epoch:
            self._heard[epoch] = self._now_s

    def lose(self, peer: int) -> None:
        party = self._peers.get(peer)
        if isinstance(party, Worker) and party.peer == peer:
            self._down[party.epoch] = self._now_s
        super().lose(peer)

    def _worker_epoch(self, peer: int) -> str:
        party = self._peers.get(peer)
        return party.epoch if isinstance(party, Worker) else self._controls.get(peer, "")

    # -- what is decided -----------------------------------------------------------------------------------------

    def _accept(self, client: Client, message: m.Submit) -> None:
        super()._accept(client, message)
        for call in message.calls:
            record = self.oracle.record(call.id)
            record.accepted[self.epoch] = None
            self.process.mesh.note(f"{self.epoch} accepts {call.id} of {client.session}", call.id)

    def _settle(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.oracle.settled(self.epoch, outcome, self._outcomes.get(outcome.id) is not None)
        super()._settle(outcomes)

    def _adopt(self, worker: Worker, task_id: str, attempt: int) -> bool:
        is_adopted = super()._adopt(worker, task_id, attempt)
        if is_adopted:
            self.oracle.adopted(self.epoch, task_id, attempt, worker.epoch)
        return is_adopted

    def _revoke_one(self, task_id: str, terminate: bool, until_s: float) -> str:
        became = super()._revoke_one(task_id, terminate, until_s)
        self.process.mesh.note(f"{self.epoch} revokes {task_id}: {became}", task_id)
        record = self.oracle.records.get(task_id)
        if record is not None:
            record.revoked[self.epoch] = None
        return became

    def _release(self, worker: Worker, reason: str, counted: bool) -> None:
        if counted:
            self._check_lost(worker, reason)
        for call in worker.leases.values():
            self.oracle.lost_lease(self.epoch, call, worker.epoch, reason)
        self._is_releasing = True
        super()._release(worker, reason, counted)
        self._is_releasing = False

    def _check_lost(self, worker: Worker, reason: str) -> None:
        liveness = self.settings.liveness
        successor = self.process.mesh.process(worker.name)
        if "started again" in reason:
            is_gone = successor is None or successor.epoch != worker.epoch
        elif worker.contact is Contact.LOST:
            is_gone = self.process.awake_since(self._down[worker.epoch]) >= liveness.grace_s
        else:
            is_gone = self.process.awake_since(self._heard[worker.epoch]) >= liveness.lease_s
        if not is_gone:
            self.oracle.fail("living worker", f"{worker.epoch} is given up too soon: {reason}", *worker.leases)

    def _requeue(self, worker: Worker, calls: Sequence[Call]) -> None:
        if not self._is_releasing:
            for call in calls:
                self._check_given_back(worker, call)
        super()._requeue(worker, calls)

    def _check_given_back(self, worker: Worker, call: Call) -> None:
        self.process.mesh.note(f"{self.epoch} has {call.id} back from {worker.epoch}", call.id)
        holder = self.process.mesh.worker(worker.epoch)
        if holder is None:
            return
        held = holder.core.held.get(call.id)
        outcomes = [each for each in holder.core.unacked() if each.id == call.id]
        if (held is not None and held.attempt == call.attempt) or any(x.attempt == call.attempt for x in outcomes):
            if holder.core.coordinator == self.epoch:
                self.oracle.fail("living worker", f"{call.id} is taken back, {worker.epoch} still has it", call.id)

    # -- dispatch ------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        ready: Ready = {
            call.id: (call, lane, (level, -call.seq))
            for lane in self._lanes
            if lane.size
            for level, calls in enumerate(lane.levels)
            for call in calls
            if call.attempt != GONE
        }
        super()._dispatch()
        if ready:
            self._check_dispatch(ready)

    def _check_dispatch(self, ready: Ready) -> None:
        taken: dict[int, list[tuple[Call, tuple[int, int]]]] = {}
        for call, _, rank in ready.values():
            if call.worker:
                taken.setdefault(call.worker, []).append((call, rank))
        for number, calls in taken.items():
            worker = self._workers_by_number[number]
            for call, _ in calls:
                self._check_delivery(worker, call)
            self._check_order(worker, calls, ready)
            self.oracle.bound("credit", f"leases of {worker.epoch}", len(worker.leases), self._told[worker.epoch])
            if len(worker.leases) > worker.slots:
                self._check_passed_over(worker, calls)

    def _check_delivery(self, worker: Worker, call: Call) -> None:
        self.oracle.delivered(self.epoch, call, worker.epoch)
        record = self.oracle.record(call.id)
        if record.not_before > self._latest_wall_s:
            self.oracle.fail("ETA", f"{call.id} is delivered before its time", call.id)
        if record.expires and record.expires <= self._wall_s:
            self.oracle.fail("expiry", f"{call.id} is delivered after it expired", call.id)
        if worker.contact is not Contact.READY or worker.peer is None:
            self.oracle.fail("living worker", f"{call.id} is delivered to {worker.epoch}, which is away", call.id)
        if not worker.group.matches(self._entries_by_number[call.spec].lane):
            self.oracle.fail("unexpected", f"{call.id} is delivered to {worker.epoch}, which cannot run it", call.id)

    def _check_order(self, worker: Worker, calls: list[tuple[Call, tuple[int, int]]], ready: Ready) -> None:
        call, worst = min(calls, key=lambda each: each[1])
        for other, lane, rank in ready.values():
            if rank > worst and not other.worker and other.id in self._calls and worker.group.matches(lane):
                self.oracle.fail("order", f"{call.id} is delivered before {other.id}", call.id, other.id)

    def _check_passed_over(self, worker: Worker, calls: list[tuple[Call, tuple[int, int]]]) -> None:
        lanes = [self._entries_by_number[call.spec].lane for call, _ in calls]
        for other in self._workers.values():
            is_free = other.contact is Contact.READY and other.peer and len(other.leases) < min(other.slots, other.capacity)
            if is_free and all(other.group.matches(lane) for lane in lanes):
                ids = [call.id for call, _ in calls]
                self.oracle.fail("passed over", f"{worker.epoch} gets more than it can run, {other.epoch} is free", *ids)
