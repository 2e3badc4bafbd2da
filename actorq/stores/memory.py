"""A store that lives as long as its object: for tests, and to show the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from actorq.errors import StoreInUse
from actorq.stores.api import (
    Bounds,
    ForgetClients,
    ForgetCodes,
    ForgetDeadLetters,
    ForgetDeclarations,
    ForgetPlans,
    ForgetSpecs,
    KeepClient,
    KeepCode,
    KeepDeadLetter,
    KeepDeclarations,
    KeepPlan,
    KeepRevocations,
    KeepSpecs,
    KeepStarts,
    KeepSteps,
    Kept,
    Operation,
    Progress,
    Settle,
    Step,
    settled_before,
    unsettled,
)
from actorq.wire.declarations import Declaration
from actorq.wire.records import Call, CallSpec, Outcome, Plan


class Shelf:
    """What a MemoryStore keeps, for the next one to open: as a file is for a store on disk."""

    def __init__(self) -> None:
        self.is_open = False
        self.specs: dict[int, CallSpec] = {}
        self.clients: dict[int, KeepClient] = {}
        self.calls: dict[int, Call] = {}
        self.started: dict[int, int] = {}
        self.outcomes: dict[str, tuple[float, Outcome]] = {}
        self.revocations: dict[str, tuple[float, bool]] = {}
        self.codes: dict[str, bytes] = {}
        self.dead_letters: dict[int, tuple[dict[str, Any], bytes]] = {}
        self.declarations: dict[tuple[str, ...], Declaration] = {}
        self.plans: dict[int, KeepPlan] = {}
        self.steps: dict[int, Step] = {}


Prepared = tuple[list[Call], list[int], Sequence[Operation]]


class MemoryStore:
    """Keeps everything in dictionaries on a shelf; calls are copied, as a disk would. Raises StoreInUse."""

    def __init__(self, shelf: Shelf | None = None, bounds: Bounds | None = None) -> None:
        self._shelf = shelf or Shelf()
        self._bounds = bounds or Bounds()
        if self._shelf.is_open:
            raise StoreInUse("this shelf is in use by another store: close that first")
        self._shelf.is_open = True

    def load(self, progress: Progress | None = None) -> Kept:
        shelf = self._shelf
        return Kept(
            list(shelf.specs.items()),
            list(shelf.clients.values()),
            [_copy(call) for _, call in sorted(shelf.calls.items())],
            {row: attempt for row, attempt in shelf.started.items() if attempt},  # As a column that is 0 at first.
            [(settled_s, [outcome]) for settled_s, outcome in shelf.outcomes.values()],
            [(task_id, *until) for task_id, until in shelf.revocations.items()],
            list(shelf.codes.items()),
            [(number, *each) for number, each in shelf.dead_letters.items()],
            list(shelf.declarations.values()),
            [replace(kept, plan=_copy_plan(kept.plan)) for _, kept in sorted(shelf.plans.items())],
            dict(shelf.steps),
        )

    def prepare(self, operations: Sequence[Operation]) -> Prepared:
        return [_copy(call) for call in unsettled(operations)], settled_before(operations), list(operations)

    def commit(self, batch: Prepared) -> None:
        calls, ended, operations = batch
        shelf = self._shelf
        shelf.calls.update((call.row, call) for call in calls)
        for operation in operations:
            self._apply(operation)
        for row in ended:
            shelf.calls.pop(row, None)
        shelf.started = {row: each for row, each in shelf.started.items() if row in shelf.calls}
        self._forget()

    def _apply(self, operation: Operation) -> None:
        shelf = self._shelf
        if isinstance(operation, KeepSpecs):
            shelf.specs.update(operation.specs)
        elif isinstance(operation, ForgetSpecs):
            _drop(shelf.specs, operation.numbers)
        elif isinstance(operation, KeepClient):
            shelf.clients[operation.number] = operation
        elif isinstance(operation, ForgetClients):
            _drop(shelf.clients, operation.numbers)
        elif isinstance(operation, KeepStarts):
            shelf.started.update(operation.starts)
        elif isinstance(operation, Settle):
            shelf.outcomes.update((each.id, (operation.settled_s, each)) for each in operation.outcomes)
        elif isinstance(operation, KeepRevocations):
            _drop(shelf.revocations, operation.ids)
            shelf.revocations.update(dict.fromkeys(operation.ids, (operation.until_s, operation.terminate)))
        elif isinstance(operation, KeepCode):
            shelf.codes[operation.digest] = operation.blob
        elif isinstance(operation, ForgetCodes):
            _drop(shelf.codes, operation.digests)
        elif isinstance(operation, KeepDeadLetter):
            shelf.dead_letters[operation.number] = (dict(operation.letter), operation.call)
        elif isinstance(operation, ForgetDeadLetters):
            _drop(shelf.dead_letters, operation.numbers)
        elif isinstance(operation, KeepDeclarations):
            shelf.declarations.update((each.identity, each) for each in operation.declarations)
        elif isinstance(operation, ForgetDeclarations):
            _drop(shelf.declarations, operation.identities)
        elif isinstance(operation, KeepPlan):
            shelf.plans[operation.row] = operation
        elif isinstance(operation, KeepSteps):
            shelf.steps.update((each.row, each) for each in operation.steps)
        elif isinstance(operation, ForgetPlans):
            for row, count in operation.plans:
                _drop(shelf.plans, [row])
                _drop(shelf.steps, range(row, row + count))

    def _forget(self) -> None:
        shelf, bounds = self._shelf, self._bounds
        _drop(shelf.outcomes, list(shelf.outcomes)[: -bounds.outcome_count])
        _drop(shelf.revocations, list(shelf.revocations)[: -bounds.revocation_count])
        _drop(shelf.dead_letters, list(shelf.dead_letters)[: -bounds.dead_letter_count])

    def rest(self) -> bool:
        return False

    def close(self) -> None:
        self._shelf.is_open = False


def _copy(call: Call) -> Call:
    return msgspec.structs.replace(call, attempt=0, worker=0)


def _copy_plan(plan: Plan) -> Plan:
    return Plan(
        plan.id, [msgspec.structs.replace(node, call=msgspec.structs.replace(node.call)) for node in plan.nodes]
    )


def _drop(table: dict[Any, Any], keys: Sequence[Any]) -> None:
    for key in keys:
        table.pop(key, None)
