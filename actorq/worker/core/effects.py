"""What the core asks its shell to do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from actorq.wire.messages import Message
from actorq.wire.records import Call, Note, Outcome

Peer = int


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where a client listens for results."""

    session: str
    address: str
    key: str = ""
    """Of the socket there, in a mesh with keys."""


@dataclass(slots=True)
class Effects:
    """What the shell is to do after a batch: results first, then messages, then the rest."""

    results: dict[ReplyTo, list[Outcome]] = field(default_factory=dict)
    """For clients, straight to their reply sockets. Best effort: the coordinators have the outcomes too."""
    told: dict[ReplyTo, list[Note]] = field(default_factory=dict)
    """For clients too, before the results. Best effort."""
    sends: dict[Peer, list[Message]] = field(default_factory=lambda: defaultdict(list))
    """For coordinators, in order."""
    end: list[tuple[str, int, bool]] = field(default_factory=list)
    """Running attempts to end: id, attempt (FORGOTTEN if it is that), and whether an outcome is still wanted."""
    discarded: list[tuple[Call, Any]] = field(default_factory=list)
    """Calls that were revoked before they started, with their jobs, for the log."""
    hang_ups: list[Peer] = field(default_factory=list)
    """Connections to close, after their messages were sent."""
    dial: list[str] = field(default_factory=list)
    """Addresses to open connections to."""
    rejected: str = ""
    """No coordinator takes this node; says why."""
