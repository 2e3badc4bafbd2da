"""What the coordinator knows of a worker node."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.queues import Group
from actorq.wire.messages import Call


class Contact(Enum):
    """How a node stands."""

    READY = "ready"
    SUSPECT = "suspect"
    """Silent: it keeps its leases and gets nothing new."""
    LOST = "lost"
    """Its connection broke: it has one grace to come back."""


@dataclass(slots=True, eq=False)
class Worker:
    """One incarnation (epoch) of a worker node."""

    number: int
    name: str
    epoch: str
    pid: int
    group: Group
    slots: int
    capacity: int
    peer: Peer | None
    control: Peer | None = None
    """Its second connection, which lives on a native thread of the node."""
    contact: Contact = Contact.READY
    heard_s: float = 0.0
    lost_s: float = 0.0
    """When the connection broke."""
    leases: dict[str, Call] = field(default_factory=dict)
    """In the order of delivery."""
    begun: set[str] = field(default_factory=set)
    """Guarded calls whose start was reported and acknowledged."""
    exclusive: str = ""
    """The call with one chance left that runs now; there is one at a time."""
    exclusive_waiting: deque[str] = field(default_factory=deque)
    specs: set[int] = field(default_factory=set)
    clients: set[int] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    """What this session has been told already."""
    deliveries: int = 0
    """Deliver messages of this session."""
    outgoing: list[Call] = field(default_factory=list)
    """Leased in this batch, to be sent at its end."""
    listed: bool = False
    """Stands in one of its group's rings."""
    running: dict[str, int] = field(default_factory=dict)
    """Attempts by call id that ran at the last heartbeat."""
    lag_s: float = 0.0
    rss_bytes: int = 0

    @property
    def credit(self) -> int:
        """How many more calls it may be sent. Derived from its leases, so it cannot leak."""
        return self.capacity - len(self.leases)

    def list_if_idle(self) -> None:
        """Stand in line for work, if there is credit."""
        if self.listed or self.contact is not Contact.READY or self.peer is None:
            return
        held = len(self.leases)
        if held >= self.capacity:
            return
        self.listed = True
        (self.group.free if held < self.slots else self.group.ahead).append(self)

    def forget_session(self) -> None:
        """The session ended: the next one starts with nothing known."""
        self.peer = None
        self.deliveries = 0
        self.specs.clear()
        self.clients.clear()
        self.codes.clear()
        self.outgoing.clear()
