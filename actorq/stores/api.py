"""What a coordinator asks of a store: the contract, which one suite of tests holds all stores to.

A core says what is to be kept as *operations*. They reach the store in batches, each in the order in which it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from actorq.wire.declarations import Declaration
from actorq.wire.records import Call, CallSpec, Outcome, Plan


@dataclass(frozen=True, slots=True)
class KeepSpecs:
    """What the spec numbers in kept calls mean. A number is never given again."""

    specs: Sequence[tuple[int, CallSpec]]


@dataclass(frozen=True, slots=True)
class ForgetSpecs:
    """No kept call uses these numbers."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class KeepClient:
    """Who gets the outcomes of kept calls with this client number, and where. The last one for a number counts."""

    number: int
    session: str
    name: str
    reply_address: str
    reply_key: str = ""
    """Public key of the socket there, in a mesh with keys."""


@dataclass(frozen=True, slots=True)
class ForgetClients:
    """Nobody waits under these numbers any more."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class KeepCalls:
    """Calls that were accepted. Each has a row number, which ascends, and the numbers of its spec and its client.

    Only what was submitted is kept (id, spec, body, times, client), not how a call fares.
    """

    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class KeepStarts:
    """Row and attempt (from 1) of kept calls that may run only once, and start now: they must not start again."""

    starts: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Settle:
    """Calls that ended: their rows are forgotten. `outcomes` are those of them that are worth keeping."""

    rows: Sequence[int]
    outcomes: Sequence[Outcome]
    settled_s: float
    """Unix time."""


@dataclass(frozen=True, slots=True)
class KeepRevocations:
    """Calls that must not start, until a Unix time; `terminate`: and end if they run. The last one for an id counts."""

    ids: Sequence[str]
    until_s: float
    terminate: bool = False


@dataclass(frozen=True, slots=True)
class KeepCode:
    """A function by value, which kept calls may use."""

    digest: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class ForgetCodes:
    """No kept call uses these functions."""

    digests: Sequence[str]


@dataclass(frozen=True, slots=True)
class KeepDeadLetter:
    """A call that was given up, for people. Numbers ascend."""

    number: int
    letter: Mapping[str, Any]
    call: bytes = b""
    """The call itself, to be run again, as the core encodes it; empty: it is not kept."""


@dataclass(frozen=True, slots=True)
class ForgetDeadLetters:
    """These were run again, or nobody wants them any more."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class KeepDeclarations:
    """What was declared; the last one for a thing counts."""

    declarations: Sequence[Declaration]


@dataclass(frozen=True, slots=True)
class ForgetDeclarations:
    """Nothing is known of these things any more."""

    identities: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class KeepPlan:
    """A workflow that was accepted. Its calls have rows of their own, from `row` on, and are not kept otherwise."""

    row: int
    client: int
    """Number of the client that it is for."""
    plan: Plan


STARTED, CASCADED = 4, 5
"""States of a step beside those of outcomes: a call that may run only once has started; one has failed only because
another one had, on whose success it depended."""


@dataclass(frozen=True, slots=True)
class Step:
    """What has become of one call of a plan. The last one for a row counts."""

    row: int
    state: int
    outcome: Outcome | None = None
    """Where something follows the call, its outcome. Of one that has started, its attempt."""


@dataclass(frozen=True, slots=True)
class KeepSteps:
    """What has become of calls of plans."""

    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class ForgetPlans:
    """Nothing is left to do of these: first row, and number of rows. Their steps go with them."""

    plans: Sequence[tuple[int, int]]


Operation = (
    KeepSpecs
    | ForgetSpecs
    | KeepClient
    | ForgetClients
    | KeepCalls
    | KeepStarts
    | Settle
    | KeepRevocations
    | KeepCode
    | ForgetCodes
    | KeepDeadLetter
    | ForgetDeadLetters
    | KeepDeclarations
    | ForgetDeclarations
    | KeepPlan
    | KeepSteps
    | ForgetPlans
)


def size_of(operation: Operation) -> int:
    """How many records it is about."""
    if isinstance(operation, KeepCalls):
        return len(operation.calls)
    if isinstance(operation, Settle):
        return len(operation.rows) or len(operation.outcomes)
    if isinstance(operation, KeepStarts):
        return len(operation.starts)
    if isinstance(operation, KeepRevocations):
        return len(operation.ids)
    if isinstance(operation, KeepDeclarations):
        return len(operation.declarations)
    if isinstance(operation, KeepPlan):
        return len(operation.plan.nodes)
    if isinstance(operation, KeepSteps):
        return len(operation.steps)
    return 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of what only looks back a store keeps; the oldest goes first. A store may keep somewhat more."""

    outcome_count: int = 200_000
    outcome_bytes: int = 256 * 1024**2
    outcome_age_s: float = 86_400.0
    revocation_count: int = 100_000
    dead_letter_count: int = 10_000


@dataclass(slots=True)
class Kept:
    """Everything that a store holds, for a coordinator that starts again."""

    specs: Sequence[tuple[int, CallSpec]] = ()
    clients: Sequence[KeepClient] = ()
    calls: Sequence[Call] = ()
    """In the order of acceptance."""
    started: Mapping[int, int] = field(default_factory=dict)
    """By row, of the calls that have started and may not start again: the attempt that did."""
    outcomes: Sequence[tuple[float, Sequence[Outcome]]] = ()
    """In the order in which they settled, with the Unix time."""
    revocations: Sequence[tuple[str, float, bool]] = ()
    """Id, until when (Unix time), whether to terminate; oldest first."""
    codes: Sequence[tuple[str, bytes]] = ()
    dead_letters: Sequence[tuple[int, dict[str, Any], bytes]] = ()
    """Number, letter, call."""
    declarations: Sequence[Declaration] = ()
    plans: Sequence[KeepPlan] = ()
    """In the order of acceptance."""
    steps: Mapping[int, Step] = field(default_factory=dict)
    """By row."""


Progress = Callable[[int], None]
"""Told how many calls have been read, now and then."""


class Store(Protocol):
    """Keeps batches of operations, for one owner at a time.

    * **Atomic.** A batch is there wholly or not at all, whatever dies when.
    * **In order.** A batch is never there without all that were committed before it.
    * **Durable.** When `commit` returns, the batch survives the death of the process, and of the machine as far as the
      disk keeps what it has said to have synced.
    * **Repeatable.** A prepared batch may be committed again, at once, with the same result as once. So whoever got an
      error, and cannot know whether the batch is there, repeats it until there is none.
    * **Fenced.** Opening a store that somebody else has open raises StoreInUse; it is free when its owner has closed
      it, or has died.
    * **Bounded.** What has settled takes no room; outcomes, revocations and dead letters go by age and count.

    `prepare` and `commit` may be called from another thread than `load`, but one at a time.
    """

    def load(self, progress: Progress | None = None) -> Kept:
        """What was committed so far. Comes before the first `commit`. The specs of all its calls are there."""

    def prepare(self, operations: Sequence[Operation]) -> Any:
        """What `commit` takes for these operations. Copies them: later changes to the calls do not matter.

        Calls that settle within the same batch are not written at all.
        """

    def commit(self, batch: Any) -> None:
        """Apply what `prepare` has made. Raises StoreFailed, and nothing of it is there then, or all."""

    def rest(self) -> bool:
        """There is nothing to commit now: do some housekeeping. Returns whether there is more of that to do."""

    def close(self) -> None:
        """Let others open it."""


def unsettled(operations: Sequence[Operation]) -> list[Call]:
    """The calls that are kept by these operations and not settled by them.

    A call that is over before it was written costs nothing but its outcome.
    """
    settled: set[int] = set()
    for operation in operations:
        if isinstance(operation, Settle):
            settled.update(operation.rows)
    calls = [call for operation in operations if isinstance(operation, KeepCalls) for call in operation.calls]
    return [call for call in calls if call.row not in settled] if settled else calls


def settled_before(operations: Sequence[Operation]) -> list[int]:
    """Rows, ascending, that are settled by these operations and were kept by earlier ones."""
    first = next((each.calls[0].row for each in operations if isinstance(each, KeepCalls) and each.calls), None)
    rows = [row for each in operations if isinstance(each, Settle) for row in each.rows if first is None or row < first]
    rows.sort()
    return rows
