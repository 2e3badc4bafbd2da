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
INSECURE_VARIABLE = "ACTORQ_INSECURE"
"""1: talk to other hosts without a key as well."""

BLOB_BYTES = 64 * 1024
"""Bodies from this size on travel as frames of their own and are not copied on the way."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Default limit of one argument or result body."""
MAX_BATCH = 4096
"""Records in one message. A receiver refuses more."""


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
    queue_limit: int = 10_000_000
    """Calls that wait in one queue; beyond it submissions are not accepted until there is room."""
    queued_bytes: int = 2 * 1024**3
    """Arguments held for calls that have not settled; beyond it submissions are not accepted until there is room."""
    client_window: int = 32_768
    """Calls that a client may have submitted and not yet heard *accepted* for."""
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
    client_age_s: float = 3600.0
    """A client that went away is remembered for this long, for the outcomes of its calls."""
    max_body_bytes: int = MAX_BODY_BYTES
    """Limit of one argument or result body; clients learn it in Welcome."""
    code_bytes: int = 256 * 1024**2
    """Functions sent by value, kept while calls use them and up to this size."""
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
    lookahead_work_s: float = 0.01
    """How much work a worker keeps at hand beside its running calls, so that short ones go out in hundreds."""
    lookahead_limit: int = 4096
    stall_s: float = 0.05
    """Calls that wait behind running ones for so long without a start are given back to the coordinator."""
    unacked_limit: int = 100_000
    """Outcomes that the coordinator has not acknowledged; a worker that holds more takes no new calls."""
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
    """Calls that wait here to be sent."""
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
