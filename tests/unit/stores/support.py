"""Operations for tests of stores, and what a store makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from actorq.stores.api import KeepCalls, KeepClient, KeepSpecs, Kept, Operation, Settle, Store
from actorq.wire.records import SUCCESS, Body, Call, CallSpec, Outcome

SPEC = CallSpec("add")
NOW_S = 1_700_000_000.0


def write(store: Store, *operations: Operation) -> None:
    """Commit these as one batch."""
    store.commit(store.prepare(operations))


def introduce(store: Store) -> None:
    """Have the store know the spec and the client of the calls here."""
    write(store, KeepSpecs([(1, SPEC)]), KeepClient(1, "session", "client", "tcp://client:1"))


def call(row: int, body: Body = b"arguments") -> Call:
    """A call that was accepted as the `row`-th."""
    return Call(f"call-{row}", 1, body, client=1, row=row)


def keep(*rows: int) -> KeepCalls:
    return KeepCalls([call(row) for row in rows])


def outcome(row: int, body: Body = b"value") -> Outcome:
    return Outcome(f"call-{row}", 1, SUCCESS, body)


def settle(*rows: int, settled_s: float = NOW_S) -> Settle:
    return Settle(rows, [outcome(row) for row in rows], settled_s)


def rows_of(kept: Kept) -> list[int]:
    return [each.row for each in kept.calls]


def outcomes_of(kept: Kept) -> list[str]:
    return [each.id for _, outcomes in kept.outcomes for each in outcomes]


def ids(rows: Sequence[int]) -> list[str]:
    return [f"call-{row}" for row in rows]
