"""What the coordinator knows of a worker node."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum

from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.queues import Group, Lane
from actorq.wire.records import Call

Ring = OrderedDict["Worker", None]
"""Workers in the order in which they are served. (A plain dict would look through all that have left.)"""


class Contact(Enum):
    """How a node stands."""

    READY = "ready"
    SUSPECT = "suspect"
    """Silent: it keeps its leases and gets nothing new."""
    BUSY = "busy"
    """A task keeps its hub from taking a turn: what is sent to it now would wait there, and others may be free."""
    LOST = "lost"
    """Its work connection broke: it has one grace to come back, from when its control connection is lost too."""


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
    nonce: str = ""
    """Of its last Hello; those of a node ascend."""
    control: Peer | None = None
    """Its second connection, which lives on a native thread of the node."""
    contact: Contact = Contact.READY
    heard_s: float = 0.0
    joined_s: float = 0.0
    """When its session was opened for the first time."""
    lost_s: float = 0.0
    """When the last one of its connections broke."""
    leases: dict[str, Call] = field(default_factory=dict)
    """In the order of delivery."""
    begun: dict[str, None] = field(default_factory=dict)
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
    ring: Ring | None = field(default=None, repr=False)
    """The one of its group's rings that it stands in."""
    waiting: dict[Lane, None] = field(default_factory=dict, repr=False)
    """Lanes of its own that are put off until it has room."""
    running: dict[str, int] = field(default_factory=dict)
    """Attempts by call id that ran at the last heartbeat."""
    lag_s: float = 0.0
    rss_bytes: int = 0

    @property
    def credit(self) -> int:
        """How many more calls it may be sent. Derived from its leases, so it cannot leak."""
        return self.capacity - len(self.leases)

    def is_out_of_touch(self) -> bool:
        """Both connections are lost. (With the second one it lives: its hub is busy, and will connect again.)"""
        return self.contact is Contact.LOST and self.control is None

    def list_if_idle(self) -> None:
        """Stand in line for work, if there is credit: with those that have a free slot, or those that look ahead."""
        held = len(self.leases)
        if self.contact is not Contact.READY or self.peer is None or held >= self.capacity:
            return
        if self.waiting:
            self._call_for_own()
        ring = self.group.free if held < self.slots else self.group.ahead
        if self.ring is not ring:
            self.leave_line()
            ring[self] = None
            self.ring = ring

    def _call_for_own(self) -> None:
        """There is room: have the calls that are for it alone looked at again."""
        for lane in self.waiting:
            if lane.size:
                lane.show()
        self.waiting.clear()

    def leave_line(self) -> None:
        """Stand in line no more."""
        if self.ring is not None:
            del self.ring[self]
            self.ring = None

    def forget_session(self) -> None:
        """The session ended: the next one starts with nothing known."""
        self.peer = None
        self.deliveries = 0
        self.specs.clear()
        self.clients.clear()
        self.codes.clear()
        self.outgoing.clear()
