"""A store that lives as long as its object: for tests, and to show the contract."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actorq.stores.api import KeepCalls, KeepCode, KeepOutcomes, KeepRevocations, KeepStarts, Kept, Operation
from actorq.wire.messages import Call, CallSpec, Outcome


class MemoryStore:
    """Keeps everything in dictionaries; calls are copied, as a disk would."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[str, CallSpec, Call]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._revocations: dict[str, float] = {}
        self._codes: dict[str, bytes] = {}
        self._started: dict[str, None] = {}

    def commit(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            if isinstance(operation, KeepCalls):
                for spec, call in operation.calls:
                    self._calls[call.id] = (operation.session, spec, msgspec.structs.replace(call))
            elif isinstance(operation, KeepOutcomes):
                for outcome in operation.outcomes:
                    self._calls.pop(outcome.id, None)
                    self._started.pop(outcome.id, None)
                    self._outcomes[outcome.id] = outcome
            elif isinstance(operation, KeepRevocations):
                self._revocations.update(dict.fromkeys(operation.ids, operation.until_s))
            elif isinstance(operation, KeepStarts):
                self._started.update(dict.fromkeys(operation.ids))
            elif isinstance(operation, KeepCode):
                self._codes[operation.digest] = operation.blob

    def load(self) -> Kept:
        calls = [(session, spec, msgspec.structs.replace(call)) for session, spec, call in self._calls.values()]
        return Kept(
            calls,
            list(self._outcomes.values()),
            list(self._revocations.items()),
            list(self._codes.items()),
            list(self._started),
        )
