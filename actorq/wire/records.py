"""The records that travel in messages: calls and how they end, workflows, and what is said of them.

They are mutable only because the side that holds them keeps its state in them, which saves an object per call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from actorq.config import DEFAULT_PRIORITY, DEFAULT_QUEUE, HIGHEST_PRIORITY, LOWEST_PRIORITY
from actorq.wire.declarations import Name, Scalar

SUCCESS, FAILURE, REVOKED = 0, 1, 2
"""Outcome codes, in the order of `OUTCOME_STATES`."""
OUTCOME_STATES = ("SUCCESS", "FAILURE", "REVOKED")
REPLACED = 3
"""Not the end of a call: it goes on as the plan in the outcome's body (a `Replacement`), whose last call has its id. So a
task is retried, too. Only a worker says so, and only to a coordinator."""

BY_VALUE = "actorq.by_value"
"""What a worker offers, instead of a task's name, when it runs functions that are sent by value."""
ID_LENGTH = 256
Id = Annotated[str, Meta(max_length=ID_LENGTH)]
LEASE_LIMIT = 1_000_000
Attempt = Annotated[int, Meta(ge=0, le=2**31)]
"""Number of a delivery, from 1; 0: none."""


class Blob:
    """A large body: a view on the frame it came in, or that it will leave as. Never copied on the way."""

    __slots__ = ("view",)

    def __init__(self, view: bytes | memoryview) -> None:
        self.view = memoryview(view)

    def __len__(self) -> int:
        return self.view.nbytes


if TYPE_CHECKING:
    Body = bytes | Blob
else:  # On the wire a blob is the index of its frame in the message.
    Body = bytes | int


class CallSpec(Struct, array_like=True, frozen=True):
    """What calls of one task with the same options have in common; sent once per session, then named by a number."""

    task: Name
    queue: Name = DEFAULT_QUEUE
    priority: Annotated[int, Meta(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)] = DEFAULT_PRIORITY
    serializer: Name = "msgpack"
    time_limit_s: float = 0
    """0: none."""
    soft_time_limit_s: float = 0
    max_deliveries: Annotated[int, Meta(ge=1)] = 3
    acks_late: bool = True
    """False: at most once. The call is given up, not delivered again, when its worker dies after the start."""
    ignore_result: bool = False
    chunked: bool = False
    """The body is a list of argument tuples for one function; the result is a list of outcomes."""
    code: Name = ""
    """Digest of the function, when it travels by value."""
    compression: Name = ""
    """Of the arguments, and of the result, where it makes them smaller; empty: none."""
    sensitive: bool = False
    """Arguments and result are shown nowhere: in no log, and to nobody who asks what runs."""
    rate: Annotated[float, Meta(ge=0)] = 0
    """How many calls of the task (with one `limit_key`) may start within `rate_period_s`; 0: as many as can."""
    rate_period_s: Annotated[float, Meta(gt=0)] = 1
    max_concurrency: Annotated[int, Meta(ge=0, le=LEASE_LIMIT)] = 0
    """How many calls of the task (with one `limit_key`) may be leased at once; 0: as many as can."""
    limits_worker: bool = False
    """The two limits hold for each worker node by itself, and not for the mesh."""
    exchange: Name = ""
    """Where `queue` is empty the coordinator finds the queues, by exchange, routing key and headers. Empty: the default
    exchange, from which the routing key names the queue."""
    routing_key: Name = ""
    routing_headers: tuple[tuple[Name, Scalar], ...] = ()
    extended: bool = False
    """The coordinator keeps beside the outcome which call it is of, for those who ask."""

    @property
    def content(self) -> str:
        """Serializer of the arguments, with its compression as in ``json+gzip``."""
        return f"{self.serializer}+{self.compression}" if self.compression else self.serializer

    @property
    def is_limited(self) -> bool:
        """Whether its calls wait for their turn at a gate."""
        return self.rate > 0 or self.max_concurrency > 0

    @property
    def offer(self) -> str:
        """What a worker must offer to run such calls."""
        return BY_VALUE if self.code else self.task

    @property
    def at_most_once(self) -> bool:
        """Whether a start must be reported, and acknowledged, before it happens."""
        return not self.acks_late or self.max_deliveries == 1


Key = Annotated[str, Meta(max_length=200)]
"""Longer ones travel as their digest."""
UNTIL_START = -1.0


class Extra(Struct, array_like=True, frozen=True, gc=False):
    """What some calls have beside their arguments: where they belong to, and what `task.request` shows."""

    root: Id = ""
    """The call, or plan, that this one goes back to; empty: itself. A tree of calls is cancelled by it."""
    parent: Id = ""
    """The call whose task submitted this one, or the one before it in a plan."""
    group: Id = ""
    group_index: int = 0
    retries: int = 0
    """How often the task has asked to be retried."""
    request: bytes = b""
    """A msgpack map for `task.request`: headers, shadow, stamps and so on. The coordinator does not look into it."""
    limit_key: Key = ""
    """The limits of its CallSpec are those of all calls of the task with this key."""
    fair_key: Key = ""
    """Within a queue and a priority, calls with different keys take turns; empty: together with all others that have none."""
    unique: Key = ""
    """While a call with this key is known and holds it, another one with the same key is not taken: see Duplicates."""
    unique_until_s: float = 0
    """For how long it holds its key: 0: until it has ended; UNTIL_START: until it is leased; else until then at the latest
    (Unix time)."""


NOTHING, VALUE, VALUES, CAUSE = 0, 1, 2, 3
"""What a call takes from those before it in its plan: nothing; the value of one, before its own arguments; a list of the
values of several, in order, before its own arguments; how one has failed, of which it is the errback."""


class Part(Struct, array_like=True, gc=False):
    """What a call takes from one that went before it in its plan: how that ended."""

    id: Id
    state: Annotated[int, Meta(ge=0, le=2)]
    body: Body
    content: Name = ""
    """As in Outcome."""


class Inputs(Struct, array_like=True, gc=False):
    """What a call takes from those before it in its plan."""

    takes: Annotated[int, Meta(ge=VALUE, le=CAUSE)]
    parts: list[Part]


class Call(Struct, array_like=True, gc=False):
    """One call on its way: submitted, queued, delivered."""

    id: Id
    spec: int
    """Number of its CallSpec: the sender's numbering in this session."""
    body: Body
    not_before: float = 0
    """Unix time before which it does not start; 0: at once."""
    expires: float = 0
    """Unix time after which it does not start; 0: never."""
    client: int = 0
    """Number of the client to reply to (coordinator to worker); 0: nobody."""
    attempt: Annotated[int, Meta(ge=-1, le=2**31)] = 0
    """Number of this delivery, from 1: the fence against late reports. (Negative: a mark of those who keep it.)"""
    lost: int = 0
    """Deliveries that ended with the death of the worker."""
    seq: int = 0
    """Order of arrival at the coordinator."""
    worker: int = 0
    """The coordinator's number of the worker that holds the lease; 0: not leased."""
    row: int = 0
    """Its row in the coordinator's journal, in the order of acceptance; 0: it is not kept there."""
    extra: Extra | None = None
    inputs: Inputs | None = None
    """What it takes from those before it in its plan."""


PLAN_LIMIT = 200_000
"""Calls in one plan."""
Index = Annotated[int, Meta(ge=0, le=PLAN_LIMIT)]


class Node(Struct, array_like=True, gc=False):
    """A call of a plan, and what follows it: calls that come later in the plan."""

    call: Call
    takes: Annotated[int, Meta(ge=NOTHING, le=CAUSE)] = NOTHING
    needs: Index = 0
    """How many calls name it in `then` or `catch`; it starts when all of these have, as they say, succeeded or failed. 0:
    it starts at once."""
    then: list[tuple[Index, Index]] = []
    """Calls (by place in the plan) that need the success of this one, each with the place of its value among theirs. If this
    one fails, they fail with it."""
    catch: list[Index] = []
    """Errbacks: calls that start if this one fails, or is revoked. If it succeeds, they are dropped."""
    replies: bool = True
    """Whether the client is told of its outcome without asking."""


class Plan(Struct, array_like=True, gc=False):
    """A workflow: calls, and what follows each. What follows a call comes after it, so there are no cycles."""

    id: Id
    """Its own, made anew each time. All that it consists of is cancelled by it."""
    nodes: Annotated[list[Node], Meta(max_length=PLAN_LIMIT)]


class Member(Struct, array_like=True, frozen=True):
    """A coordinator of the mesh, as the others know it."""

    address: Name
    epoch: Id = ""
    """Of its last incarnation that was met; empty: only its address is known."""
    name: Name = ""


DEAD_LETTER = "dead letter"
"""`content` of an outcome that is a FAILURE: the call is to be kept among the dead letters."""


class Outcome(Struct, array_like=True, gc=False):
    """How a call ended."""

    id: Id
    attempt: Attempt
    state: Annotated[int, Meta(ge=0, le=REPLACED)]
    body: Body
    content: Name = ""
    """Serializer of the body of a SUCCESS, with its compression as in ``json+gzip``; empty: msgpack. Other bodies are
    failures (`actorq.wire.payload.failure`), of calls that are to be kept if this is DEAD_LETTER."""


class Replacement(Struct, array_like=True):
    """The body of an outcome that is REPLACED. Spec numbers in the plan are places in `specs`, from 1."""

    specs: list[CallSpec]
    plan: Plan
    """Its last node has the id of the call that it replaces. What followed that one follows this one."""
    note: bytes = b""
    """Where the task is retried: why, as a failure (`actorq.wire.payload.failure`)."""


class PlanInProgress(Struct, array_like=True):
    """A workflow that another coordinator goes on with."""

    client: int
    """Number of the client that it is for."""
    plan: Plan
    ends: Annotated[list[tuple[Index, Annotated[int, Meta(ge=0, le=5)], Outcome | None]], Meta(max_length=PLAN_LIMIT)]
    """Calls that have ended, by their places, and how: as an outcome, 3 replaced, 5 only with another one. Where something
    follows the call, with its outcome, which has a body only if that is still needed."""


class Note(Struct, array_like=True, frozen=True, gc=False):
    """What a running task says of itself (`update_state`, progress), or its worker of it."""

    id: Id
    attempt: Attempt
    state: Name
    """STARTED, RETRY, PROGRESS, or one of the user's own."""
    meta: bytes = b""
    """A msgpack value; of RETRY a failure."""
