"""What a coordinator asks of a store.

Operations are applied in the order in which they were given, a batch (one `commit`) wholly or not at all, and a batch
is confirmed only when it survives the death of the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from actorq.wire.messages import Call, CallSpec, Outcome


@dataclass(frozen=True, slots=True)
class KeepCalls:
    """Calls that were accepted from the client with this session id.

    A store copies them: the core goes on to change them.
    """

    session: str
    calls: Sequence[tuple[CallSpec, Call]]


@dataclass(frozen=True, slots=True)
class KeepOutcomes:
    """Calls that settled: they are forgotten, their outcomes kept."""

    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class KeepRevocations:
    """Calls that must not start, until a Unix time."""

    ids: Sequence[str]
    until_s: float


@dataclass(frozen=True, slots=True)
class KeepStarts:
    """Kept calls that may run only once, and start now: they must not start again. Forgotten when they settle."""

    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class KeepCode:
    """A function by value, which kept calls may use."""

    digest: str
    blob: bytes


Operation = KeepCalls | KeepOutcomes | KeepRevocations | KeepStarts | KeepCode


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that a store holds, for a coordinator that starts again."""

    calls: Sequence[tuple[str, CallSpec, Call]]
    """Session id of the client, spec, call; in the order of acceptance."""
    outcomes: Sequence[Outcome]
    revocations: Sequence[tuple[str, float]]
    codes: Sequence[tuple[str, bytes]]
    started: Sequence[str] = ()
    """Of the calls: those that have started, and may not start again."""


class Store(Protocol):
    """Keeps operations. One coordinator uses it at a time."""

    def commit(self, operations: Iterable[Operation]) -> None:
        """Apply the operations as one batch. Returns when they are durable."""

    def load(self) -> Kept:
        """What was committed so far."""
