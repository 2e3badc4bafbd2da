"""What the core asks its shell to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from actorq.stores.api import Operation
from actorq.wire.messages import Message

Peer = int


@dataclass(slots=True)
class Effects:
    """The result of one batch, to be carried out in this order: send, hang up, store, wait.

    What is sent needs nothing that is stored here: messages that do are held back until `persisted`, and are among the
    effects of the `finish` after it.
    """

    persist: Sequence[Operation] = ()
    token: int = 0
    """Handed to `persisted` once the operations are durable; 0: nothing to store."""
    sends: dict[Peer, list[Message]] = field(default_factory=lambda: defaultdict(list))
    hang_ups: list[Peer] = field(default_factory=list)
    """Sessions to end, after their messages were sent."""
    dial: list[str] = field(default_factory=list)
    """Addresses of other coordinators, to open connections to."""
    news: list[str] = field(default_factory=list)
    """For the log: what has changed in the mesh."""
    has_left: bool = False
    """This coordinator has left the mesh, and has nothing any more: its process may end."""
    deadline_s: float | None = None
    """Monotonic time at which the core wants `finish` to be called again, at the latest."""
