"""Every message of the protocol, as types: what is on the wire is what is written here.

Messages are msgspec structs encoded as msgpack arrays, so the order of the fields is the format, and inbound bytes are
validated while they are decoded. `actorq.wire.frames` gives each message its kind byte; `actorq.wire.records` has what
travels in them. `docs/protocol.md` specifies who sends what when.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from actorq.config import MAX_BATCH
from actorq.wire.declarations import Declaration, Name
from actorq.wire.records import LEASE_LIMIT, Attempt, Call, CallSpec, Id, Member, Note, Outcome, Plan, PlanInProgress

PROTOCOL_VERSION = 1
OLDEST_VERSION = 1

CODE_MISSING = "its function is not here; it is sent again"
"""Why a call by value is refused when the function was dropped, or never came. The client sends both again."""

Ids = Annotated[list[Id], Meta(max_length=MAX_BATCH)]
MAX_NAMES = 65_536
"""Queues, tasks, nodes or specs in one list."""
Slots = Annotated[int, Meta(ge=0, le=LEASE_LIMIT)]
Held = Annotated[list[tuple[Id, Attempt]], Meta(max_length=LEASE_LIMIT)]
Names = Annotated[list[Name], Meta(max_length=MAX_NAMES)]


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
    coordinator: Id = ""
    """As in WorkerHello; and so is what follows."""
    held: Held = []


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
    """These calls were not taken, for good; the rest of their submission was. Of a workflow nothing was: it is named by its
    calls with `replies`, or by its first.
    """

    calls: list[tuple[Id, str]]


class Duplicates(Message):
    """These calls were not taken, for good, as others hold their unique keys: ids of both. Who submitted a call goes on
    with the other one.
    """

    calls: Annotated[list[tuple[Id, Id]], Meta(max_length=MAX_BATCH)]


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
