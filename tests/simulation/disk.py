"""A coordinator's disk: what was committed outlives the process. It may fail, and lie about it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from actorq.errors import StoreFailed
from actorq.stores.api import (
    STARTED,
    ForgetPlans,
    KeepCalls,
    KeepPlan,
    KeepRevocations,
    KeepSteps,
    Kept,
    Operation,
    Progress,
    Settle,
)
from actorq.stores.memory import MemoryStore, Prepared, Shelf
from actorq.wire.records import REPLACED

TROUBLE = "the journal cannot be written: the disk fails"


class Disk:
    """Holds a journal, for one store after another, and can be asked what is in it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.failing_share = 0.0
        """How often a commit fails at present."""
        self.shelf = Shelf()
        self.calls: dict[str, None] = {}
        """Ids of all that ever were in it."""
        self.plans: dict[str, None] = {}
        """Ids of the workflows that ever were in it."""
        self.rows: dict[int, str] = {}
        """Their ids, by row."""
        self.settled: dict[str, None] = {}
        self.outcomes: dict[str, None] = {}
        self.revoked: dict[str, None] = {}

    def open(self) -> DiskStore:
        """For a new process: the one before is dead."""
        self.shelf.is_open = False
        return DiskStore(self)

    def has_call(self, task_id: str) -> bool:
        return task_id in self.calls or task_id in self.settled

    def has_settled(self, task_id: str) -> bool:
        return task_id in self.settled

    def has_outcome(self, task_id: str) -> bool:
        """It has settled, and a new coordinator would know how. (A success that nobody asked for is not kept.)"""
        return task_id in self.outcomes

    def has_revoked(self, task_id: str) -> bool:
        return task_id in self.revoked

    def note(self, operation: Operation) -> None:
        """What was committed."""
        if isinstance(operation, KeepCalls):
            self.calls.update(dict.fromkeys(call.id for call in operation.calls))
            self.rows.update((call.row, call.id) for call in operation.calls)
        elif isinstance(operation, Settle):
            self.settled.update(dict.fromkeys(self.rows[row] for row in operation.rows))
            self.outcomes.update(dict.fromkeys(outcome.id for outcome in operation.outcomes))
            self.settled.update(self.outcomes)
        elif isinstance(operation, KeepPlan):
            ids = [node.call.id for node in operation.plan.nodes]
            self.calls.update(dict.fromkeys(ids))
            self.rows.update(enumerate(ids, start=operation.row))
            self.plans[operation.plan.id] = None
        elif isinstance(operation, KeepSteps):
            ended = [step for step in operation.steps if step.state not in (STARTED, REPLACED)]
            self.settled.update(dict.fromkeys(self.rows[step.row] for step in ended))
        elif isinstance(operation, ForgetPlans):  # All of it has ended, or is another coordinator's.
            rows = [row for first, count in operation.plans for row in range(first, first + count)]
            self.settled.update(dict.fromkeys(self.rows[row] for row in rows))
        elif isinstance(operation, KeepRevocations):
            self.revoked.update(dict.fromkeys(operation.ids))


class DiskStore:
    """What one process sees of the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._store = MemoryStore(disk.shelf)

    def load(self, progress: Progress | None = None) -> Kept:
        return self._store.load(progress)

    def prepare(self, operations: Sequence[Operation]) -> Prepared:
        return self._store.prepare(operations)

    def commit(self, batch: Prepared) -> None:
        """May fail, with nothing done, or all."""
        disk = self._disk
        fails = disk.rng.random() < disk.failing_share
        if not fails or disk.rng.random() < 0.5:
            self.apply(batch)
        if fails:
            raise StoreFailed(TROUBLE)

    def apply(self, batch: Prepared) -> None:
        """It is on the disk."""
        self._store.commit(batch)
        for operation in batch[2]:
            self._disk.note(operation)

    def rest(self) -> bool:
        return False

    def close(self) -> None:
        self._store.close()
