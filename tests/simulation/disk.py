"""A coordinator's disk: what was committed outlives the process."""

from __future__ import annotations

from collections.abc import Iterable

from actorq.stores.api import KeepCalls, KeepOutcomes, KeepRevocations, Kept, Operation
from actorq.stores.memory import MemoryStore


class Disk:
    """A store that can be asked what it holds."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._calls: dict[str, None] = {}
        self._outcomes: dict[str, None] = {}
        self._revoked: dict[str, None] = {}

    def commit(self, operations: Iterable[Operation]) -> None:
        operations = list(operations)
        self._store.commit(operations)
        for operation in operations:
            if isinstance(operation, KeepCalls):
                self._calls.update(dict.fromkeys(call.id for _, call in operation.calls))
            elif isinstance(operation, KeepOutcomes):
                self._outcomes.update(dict.fromkeys(outcome.id for outcome in operation.outcomes))
            elif isinstance(operation, KeepRevocations):
                self._revoked.update(dict.fromkeys(operation.ids))

    def load(self) -> Kept:
        return self._store.load()

    def open_calls(self) -> set[str]:
        """Calls that it would give to a new coordinator."""
        return {call.id for _, _, call in self._store.load().calls}

    def has_call(self, task_id: str) -> bool:
        return task_id in self._calls or task_id in self._outcomes

    def has_outcome(self, task_id: str) -> bool:
        return task_id in self._outcomes

    def has_revoked(self, task_id: str) -> bool:
        return task_id in self._revoked
