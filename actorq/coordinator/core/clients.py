"""What the coordinator knows of clients."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.queues import Lane
from actorq.wire.messages import Submit
from actorq.wire.records import CallSpec


@dataclass(slots=True, eq=False)
class SpecEntry:
    """A CallSpec under the coordinator's own number, with its lane."""

    number: int
    spec: CallSpec
    lane: Lane
    replies: bool
    """Whether the client is told of the outcome."""
    durable: bool = False
    """Whether its calls are journaled."""
    is_kept: bool = False
    """Whether the journal knows what its number means."""
    is_limited: bool = False
    """Whether its calls wait at gates (`actorq.coordinator.core.gates`)."""


@dataclass(slots=True, eq=False)
class Client:
    """One client session; it survives reconnects, and for a while the client's death."""

    number: int
    session: str
    name: str
    reply_address: str
    peer: Peer | None
    reply_key: str = ""
    seq: int = 0
    """Last submission of this connection."""
    specs: dict[int, SpecEntry] = field(default_factory=dict)
    """By the client's numbers, for this connection."""
    deferred: deque[Submit] = field(default_factory=deque)
    """Submissions that wait for room. Bounded by the client's window."""
    deferred_bytes: int = 0
    """Arguments in them."""
    pressed: bool = False
    """It was told so."""
    lacking: set[str] = field(default_factory=set)
    """Digests of the functions of its last workflow that was refused, as some were missing: it needs them together."""
    watched: set[str] = field(default_factory=set)
    """Calls whose outcomes it asked to be told, beside those of its own."""
    left_s: float = 0.0
    asking: int = 0
    """Number of the one about whose calls other coordinators are asked first."""
    asked: int = 0
    """Number of the last one about which they have answered."""
    is_coordinator: bool = False
    """It is another coordinator, which asks for what it does not know itself."""
    epoch: str = ""
    """Of that one."""
    is_kept: bool = False
    """Whether the journal knows it."""
    is_addressing: bool = False
    """Some of its specs have an address instead of a queue."""
    routed: dict[CallSpec, int] = field(default_factory=dict)
    """Numbers below 0, among `specs`: of the specs that such calls got, with their queues."""

    def forget_connection(self) -> None:
        """The connection ended; the client sends again what was not accepted."""
        self.peer = None
        self.seq = 0
        self.specs = {}
        self.is_addressing = False
        self.routed = {}
        self.deferred.clear()
        self.asking = self.asked = 0
        self.deferred_bytes = 0
        self.pressed = False
        self.lacking = set()
