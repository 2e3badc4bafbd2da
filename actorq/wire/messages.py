"""Every message of the protocol, as types: what is on the wire is what is written here.

Messages are msgspec structs encoded as msgpack arrays, so the order of the fields is the format, and inbound bytes are
validated while they are decoded. `KINDS` gives each message its kind byte. Records (`Call`, `Outcome`) travel in
batches; they are mutable only because the side that holds them keeps its state in them, which saves an object per call.
`docs/protocol.md` specifies who sends what when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from actorq.config import DEFAULT_PRIORITY, DEFAULT_QUEUE, HIGHEST_PRIORITY, LOWEST_PRIORITY, MAX_BATCH
from actorq.wire.declarations import Declaration, Name, Scalar

PROTOCOL_VERSION = 1
OLDEST_VERSION = 1

SUCCESS, FAILURE, REVOKED = 0, 1, 2
"""Outcome codes, in the order of `OUTCOME_STATES`."""
OUTCOME_STATES = ("SUCCESS", "FAILURE", "REVOKED")
REPLACED = 3
"""Not the end of a call: it goes on as the plan in the outcome's body (a `Replacement`), whose last call has its id. So a
task is retried, too. Only a worker says so, and only to a coordinator."""

BY_VALUE = "actorq.by_value"
"""What a worker offers, instead of a task's name, when it runs functions that are sent by value."""
CODE_MISSING = "its function is not here; it is sent again"
"""Why a call by value is refused when the function was dropped, or never came. The client sends both again."""

ID_LENGTH = 256
Id = Annotated[str, Meta(max_length=ID_LENGTH)]
Ids = Annotated[list[Id], Meta(max_length=MAX_BATCH)]
LEASE_LIMIT = 1_000_000
MAX_NAMES = 65_536
"""Queues, tasks, nodes or specs in one list."""
Slots = Annotated[int, Meta(ge=0, le=LEASE_LIMIT)]
Attempt = Annotated[int, Meta(ge=0, le=2**31)]
"""Number of a delivery, from 1; 0: none."""
Held = Annotated[list[tuple[Id, Attempt]], Meta(max_length=LEASE_LIMIT)]
Names = Annotated[list[Name], Meta(max_length=MAX_NAMES)]


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
    exchange: Name = ""
    """Where `queue` is empty the coordinator finds the queues, by exchange, routing key and headers. Empty: the default
    exchange, from which the routing key names the queue."""
    routing_key: Name = ""
    routing_headers: tuple[tuple[Name, Scalar], ...] = ()

    @property
    def offer(self) -> str:
        """What a worker must offer to run such calls."""
        return BY_VALUE if self.code else self.task

    @property
    def at_most_once(self) -> bool:
        """Whether a start must be reported, and acknowledged, before it happens."""
        return not self.acks_late or self.max_deliveries == 1


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


Calls = Annotated[list[Call], Meta(max_length=MAX_BATCH)]
Notes = Annotated[list[Note], Meta(max_length=MAX_BATCH)]
Outcomes = Annotated[list[Outcome], Meta(max_length=MAX_BATCH)]
Specs = Annotated[list[tuple[int, CallSpec]], Meta(max_length=MAX_NAMES)]
Declarations = Annotated[list[Declaration], Meta(max_length=MAX_NAMES)]
MEMBER_LIMIT = 1024
MemberList = Annotated[list[Member], Meta(max_length=MEMBER_LIMIT)]


class Message(Struct, array_like=True):
    """Base of all messages."""


# -- handshake ---------------------------------------------------------------------------------------------------


class Discover(Message):
    """Who are you, and who else is there? Needs no Hello before it, and is answered with View."""

    nonce: Id


class View(Message):
    """The coordinators of the mesh: the one that speaks, and the others. Sent again when they change."""

    nonce: Id
    """Echo of Discover's; empty where nobody asked."""
    own: Member
    others: MemberList
    leaves: bool = False
    """The one that speaks leaves the mesh: it takes no calls any more."""
    durable: bool = False
    """The one that speaks has a journal, and so knows which calls have started."""


class ClientHello(Message):
    """First message of a client's session."""

    versions: tuple[int, int]
    """Oldest and newest protocol version that the sender speaks."""
    nonce: Id
    """Echoed in Welcome, so that nothing from before it is taken for an answer."""
    name: Name
    session: Id
    """The client's own id: the same after a reconnect."""
    reply_address: Name
    reply_key: Name = ""
    """Public key of the socket there, in a mesh with keys."""


class WorkerHello(Message):
    """First message of a worker's session. `held` are the leases that it had from `coordinator` and still has."""

    versions: tuple[int, int]
    nonce: Id
    name: Name
    epoch: Id
    queues: Names
    offers: Names
    slots: Slots
    capacity: Slots
    coordinator: Id = ""
    """Epoch of the coordinator that granted what is held."""
    held: Held = []
    pid: int = 0
    declares: Declarations = []
    """The exchanges, queues and bindings that its application knows; what the mesh knows of them already stays."""


class ControlHello(Message):
    """First message of a worker's second connection, which stays alive while its green threads are busy."""

    versions: tuple[int, int]
    nonce: Id
    name: Name
    epoch: Id


class PeerHello(Message):
    """First message of a coordinator's session with another one."""

    versions: tuple[int, int]
    nonce: Id
    own: Member


class Welcome(Message):
    """The session is open."""

    version: int
    nonce: Id
    name: Name
    epoch: Id
    window: int = 0
    durable: bool = False
    max_body_bytes: int = 0
    slots: int = 0
    """Slots of all workers now."""
    transient: Names = []
    """Queues whose calls a durable coordinator does not keep: they stay the client's own."""
    address: Name = ""
    """Where the coordinator is to be called, as it says itself."""
    others: MemberList = []
    """The other coordinators of the mesh. View says when they change."""
    window_bytes: int = 0
    """Arguments that a client may have out, as `window` calls; 0: as many as it likes."""


class Rejected(Message):
    """The handshake failed for good: `reason` says why and what to do."""

    reason: str


class Reset(Message):
    """You spoke before Hello: begin again."""


# -- client to coordinator ---------------------------------------------------------------------------------------


class Submit(Message):
    """Calls to run. `seq` counts the submissions of a session from 1."""

    seq: int
    specs: Specs
    calls: Calls
    fresh: bool = True
    """Every id was made for this message: none can be known already. False for ids chosen by users, and resends."""
    resent: bool = False
    """These calls were sent before, maybe to a coordinator that is gone; they may be running."""
    plans: Annotated[list[Plan], Meta(max_length=MAX_BATCH)] = []


class Code(Message):
    """A function by value, before the first call that uses it."""

    digest: Id
    blob: bytes


class Query(Message):
    """Ask for the state of calls. With `wait` the coordinator also tells when they settle later."""

    token: int
    ids: Ids
    wait: bool = False


class Control(Message):
    """Run a command on nodes and gather the replies. `destination` empty: all nodes."""

    token: int
    command: Name
    arguments: dict[str, Any]
    destination: Names
    timeout_s: float


class Ping(Message):
    """A client is there and waits."""


# -- coordinator to coordinator ------------------------------------------------------------------------------------


class HandOver(Message):
    """Calls of a coordinator that leaves the mesh. `seq` counts the batches of a session from 1."""

    seq: int
    clients: Annotated[list[tuple[int, Id, Name, Name]], Meta(max_length=MAX_NAMES)]
    """Number, session, name and reply address of those that the calls are for."""
    specs: Specs
    calls: Calls
    keys: list[tuple[int, Name]] = []
    """Public keys of the clients' reply sockets, in a mesh with keys."""
    plans: Annotated[list[PlanInProgress], Meta(max_length=MAX_BATCH)] = []
    """Their calls are not among `calls`."""


class Unwatch(Message):
    """Nobody waits for the outcomes of these calls any more, for which Query with `wait` has asked."""

    ids: Ids


class HandOverOutcomes(Message):
    """Outcomes that a coordinator that leaves the mesh has kept. `seq` as in HandOver."""

    seq: int
    outcomes: Outcomes


# -- coordinator to client ---------------------------------------------------------------------------------------


class Accepted(Message):
    """All submissions up to `seq` are taken (and durable, where the coordinator is). `slots` as in Welcome."""

    seq: int
    slots: int = 0


class Refused(Message):
    """These calls were not taken, for good; the rest of their submission was."""

    calls: list[tuple[Id, str]]


class Settled(Message):
    """Outcomes that did not go straight to the client, or that it asked for."""

    outcomes: Outcomes


class Report(Message):
    """Answer to Query: the states of those calls that have not settled. Unknown ones have the state ``""``."""

    token: int
    states: list[tuple[Id, str]]
    silent: Names = []
    """Coordinators that could not be asked: what is unknown may be known there."""
    notes: Notes = []
    """What their tasks have said of themselves last, of those that have said something."""


class Pressure(Message):
    """Submissions are not accepted for now; `reason` says why."""

    reason: str


class Replies(Message):
    """Answer to Control: a reply by node, and the nodes that did not answer in time."""

    token: int
    replies: dict[str, Any]
    missing: list[str]
    refused: str = ""
    """Why the client may not give that order; empty: it may."""


# -- coordinator to worker ---------------------------------------------------------------------------------------


class Define(Message):
    """Numbers that the next deliveries use: specs, and clients as (number, session, reply address)."""

    specs: Specs
    clients: list[tuple[int, Id, Name]]
    keys: list[tuple[int, Name]] = []
    """Public keys of the clients' reply sockets, in a mesh with keys."""


class Deliver(Message):
    """Attempts to run. Each is a lease. `seq` counts the deliveries of a session from 1."""

    seq: int
    calls: Calls
    acked: int = 0
    """As in Acked, which need not be sent beside this message; 0: nothing."""
    backlog: int = 0
    """Calls that this worker could run and that still wait: by it a worker shares its slots between coordinators."""


class Begin(Message):
    """The start of these attempts is noted: run them."""

    ids: Ids


class Revoke(Message):
    """Do not start these attempts; with `terminate`, end them if they run. Each is reported as REVOKED.

    With `forget` the leases were given away: nothing is reported.
    """

    ids: Ids
    terminate: bool = False
    forget: bool = False


class Acked(Message):
    """Reports up to `seq` of this session are taken care of; their outcomes may be forgotten."""

    seq: int


class Renewed(Message):
    """Answer to a heartbeat: the worker's leases hold, as of the time `sent_s` when it sent it (its own clock)."""

    sent_s: float


class Command(Message):
    """A control command for this node."""

    token: int
    command: Name
    arguments: dict[str, Any]


# -- worker to coordinator ---------------------------------------------------------------------------------------


class Capacity(Message):
    """How many leases the worker wants to hold at most (0 while it drains), and how many calls it runs at once."""

    capacity: Slots
    slots: Slots


class Consume(Message):
    """The worker takes calls of these queues from now on, beside its own."""

    queues: Names


class Finished(Message):
    """Outcomes. `seq` counts the reports of a session from 1."""

    seq: int
    outcomes: Outcomes
    relay: bool = False
    """The worker could not, or was not allowed to, reach the client itself: pass them on."""


class Returned(Message):
    """Attempts that were not started and are given back."""

    attempts: Held


class Starting(Message):
    """Attempts that wait for Begin before they start."""

    attempts: Held


class Noted(Message):
    """What running tasks say of themselves. The last note of a call counts."""

    notes: Notes


class Heartbeat(Message):
    """Sent by a native thread of the node, so also while its green threads are busy."""

    sent_s: float
    lag_s: float
    """For how long the hub has not taken a turn."""
    running: Held
    rss_bytes: int = 0


class Reply(Message):
    """Answer to a Command."""

    token: int
    value: Any


class Bye(Message):
    """The node ends on purpose. Its leases are free, and not counted as lost."""

    reason: str


# -- worker to client --------------------------------------------------------------------------------------------


class Results(Message):
    """Outcomes, straight from the worker. `session` is the client's: a stranger on its old port ignores them."""

    session: Id
    outcomes: Outcomes


class Told(Message):
    """What running tasks say of themselves, straight from the worker. `session` as in Results."""

    session: Id
    notes: Notes
