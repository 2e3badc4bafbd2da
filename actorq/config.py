"""Settings of nodes and sessions: every bound and every period in one place, with its default and its reason."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "0.1.0"

DEFAULT_ADDRESS = "tcp://127.0.0.1:5570"
DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 4
LOWEST_PRIORITY, HIGHEST_PRIORITY = 0, 9
URL_VARIABLE = "ACTORQ_URL"
KEY_VARIABLE = "ACTORQ_KEY"
"""Path of a key file: the cluster's, or a client's."""
MESH_VARIABLE = "ACTORQ_SERVED_MESH"
"""In a worker's own environment: its process id, and the coordinators."""
INSECURE_VARIABLE = "ACTORQ_INSECURE"
"""1: talk to other hosts without a key as well."""

BLOB_BYTES = 64 * 1024
"""Bodies from this size on travel as frames of their own and are not copied on the way."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Default limit of one argument or result body."""
COMPRESS_BYTES = 1024
"""Smaller bodies are not compressed: it would cost more time than it saves."""
MAX_BATCH = 4096
"""Records in one message. A receiver refuses more."""
CONTROL_BYTES = 8 * 1024 * 1024
"""One control command with its arguments, or the answer of one node."""

NOTE_BYTES = 64 * 1024
"""What a running task says of itself at a time (`update_state`)."""


@dataclass(frozen=True, slots=True)
class LivenessSettings:
    """When a silent or lost worker loses its work. Both sides of the link use the same values."""

    heartbeat_s: float = 0.5
    """Period of a node's heartbeats, and of a client's while it waits for something."""
    grace_s: float = 2.0
    """A node that comes back within this time after its connection broke keeps its leases."""
    busy_s: float = 0.05
    """A node whose hub has not taken a turn for so long gets no new work until it has."""
    suspect_s: float = 4.0
    """After this silence a node gets no new work."""
    lease_s: float = 15.0
    """After this silence the session of a node ends, connected or not."""


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """Bounds and periods of one coordinator."""

    liveness: LivenessSettings = LivenessSettings()
    call_limit: int = 20_000_000
    """Calls that have not settled, in any place: queues, the schedule, leases. Beyond it submissions are not accepted."""
    queue_limit: int = 10_000_000
    """Calls that wait in one queue; beyond it submissions are not accepted until there is room."""
    queued_bytes: int = 2 * 1024**3
    """Arguments held for calls that have not settled; beyond it submissions are not accepted until there is room."""
    client_window: int = 32_768
    """Calls that a client may have submitted and not yet heard *accepted* for."""
    client_window_bytes: int = 64 * 1024**2
    """Arguments of such calls: a client that has so much out sends nothing more. A last message may go beyond it."""
    session_limit: int = 20_000
    """Open connections that have said Hello; others are rejected with the reason."""
    worker_limit: int = 10_000
    """Worker nodes, those that are out of touch included; others are rejected with the reason."""
    worker_name_chars: int = 1024**2
    """Names of the queues and tasks of one worker node; one with more is rejected with the reason."""
    watch_limit: int = 100_000
    """Calls of others whose outcomes one client waits for; more are refused with the reason."""
    order_limit: int = 100
    """Control commands of one client that are not answered yet; more are answered with an error at once."""
    deliver_batch: int = 512
    """Calls in one message to a worker."""
    outcome_count: int = 200_000
    outcome_bytes: int = 256 * 1024**2
    outcome_age_s: float = 86_400.0
    """Settled outcomes are kept for look-ups within these three bounds."""
    revocation_count: int = 100_000
    revocation_age_s: float = 86_400.0
    """Revocations of calls that are not known (yet) are remembered within these bounds."""
    dead_letter_count: int = 10_000
    dead_letter_bytes: int = 64 * 1024**2
    """Calls that are kept with their letters, to be run again; the oldest letters go first. Of one that alone has more
    than a quarter of it, only the letter is kept."""
    declaration_limit: int = 65_536
    """Exchanges, queues and bindings that are declared, or were and are gone; more are refused."""
    client_age_s: float = 3600.0
    """A client that went away is remembered for this long, for the outcomes of its calls."""
    client_count: int = 10_000
    """So many that went away are remembered; outcomes for others are kept all the same, and come when asked for."""
    max_body_bytes: int = MAX_BODY_BYTES
    """Limit of one argument or result body; clients learn it in Welcome."""
    code_bytes: int = 256 * 1024**2
    """Functions sent by value: those that no call uses are kept up to this size."""
    code_limit_bytes: int = 1024**3
    """Functions that calls use. Calls of one for which there is no room are refused with the reason."""
    member_age_s: float = 3600.0
    """Another coordinator that nobody has met for so long is no member of the mesh any more."""
    durable: bool = False
    """Whether a store keeps what was accepted."""
    data_dir: str = ""
    """Where that store is, for people."""
    transient_queues: frozenset[str] = frozenset()
    """Queues whose calls are not kept, although a store is there: they stay their clients' own."""
    loopback_only: bool = False
    """Coordinators on other hosts, which others name, are not dialled: there is no key."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Bounds and periods of one worker node."""

    liveness: LivenessSettings = LivenessSettings()
    concurrency: int = 100
    """Calls that run at once."""
    max_calls: int = 0
    """After so many a fresh process takes the node's place; 0: never."""
    max_rss_bytes: int = 0
    """Resident memory beyond which a fresh process takes the node's place, once calls have run in it; 0: no limit."""
    lookahead_work_s: float = 0.01
    """How much work a worker keeps at hand beside its running calls, so that short ones go out in hundreds."""
    lookahead_limit: int = 4096
    stall_s: float = 0.05
    """Calls that wait behind running ones for so long without a start are given back to the coordinator."""
    unacked_limit: int = 100_000
    """Outcomes that the coordinator has not acknowledged; a worker that holds more takes no new calls."""
    unacked_bytes: int = 256 * 1024**2
    """Bodies of such outcomes; a worker that holds more takes no new calls."""
    spec_limit: int = 200_000
    """Combinations of task and options that one coordinator may define, twice what it knows; one with more is left."""
    code_bytes: int = 2 * 1024**3
    """Functions by value that one coordinator may send, twice what it keeps; one with more is left."""
    loopback_only: bool = False
    """Coordinators on other hosts, which others name, are not dialled: there is no key."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Bounds and periods of one client session."""

    publish_timeout_s: float = 5.0
    """How long `delay()` may wait for room or for a coordinator before it raises OperationalError."""
    submit_batch: int = 512
    """Calls in one message to the coordinator."""
    outbox_limit: int = 32_768
    """Calls that wait here to be sent, or to be accepted; `delay()` blocks beyond it."""
    outbox_bytes: int = 512 * 1024**2
    """Arguments of such calls, by the mean size of the last ones: `delay()` blocks beyond it."""
    code_bytes: int = 256 * 1024**2
    """Functions sent by value in one session, which keeps them to send them again. One more raises an error."""
    ask_after_s: float = 5.0
    """A call whose outcome has not come for so long is asked for at the coordinator."""
    ask_batch: int = 1000
    resend_after_s: float = 60.0
    """A call that was accepted and is unknown to all coordinators in touch is sent again if the one that may have it in
    its journal has not come back after so long. It may run twice then. Where none is out of touch it is sent at once."""
    heartbeat_s: float = 1.0
    kept_memory_bytes: int = 64 * 1024 * 1024
    """Freed memory that the C library keeps for what comes next, once this program sends or receives a large body; see
    `actorq.native.keep_freed_memory`. 0: leave the C library as it is."""
    redial_min_s: float = 0.05
    redial_max_s: float = 2.0
    hello_timeout_s: float = 5.0
    """A coordinator that has not welcomed us after so long is given up, and the next address is tried."""
    loopback_only: bool = False
    """Coordinators on other hosts, which others name, are not dialled: there is no key."""
