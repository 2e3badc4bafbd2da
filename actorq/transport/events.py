"""What a link tells its owner."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

Peer = int
"""One session with one other process: one incarnation of a connection. Unique in this process, and never reused."""

Frame = bytes | memoryview

new_peer = itertools.count(1).__next__


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end of a session."""

    key: str = ""
    """The public key that it has proved to have. Empty where the link has no keys."""
    address: str = ""
    """Its IP address; empty for a process of this host that came by a Unix socket."""


@dataclass(slots=True)
class Up:
    """A connection that was dialled is there: the other side has answered the handshake."""

    peer: Peer
    address: str


@dataclass(slots=True)
class Down:
    """The session is over: nothing that is sent to it from now on can arrive.

    Comes exactly once for each peer that was dialled, called or heard from, also for those that were hung up here; no
    other event of that peer comes after it. What was sent before may have arrived or not.
    """

    peer: Peer
    reason: str
    """For people."""
    refused: bool = False
    """The other side was reached and broke off the handshake: its key or ours is not what it should be."""


@dataclass(slots=True)
class Received:
    """A message. Frames from BLOB_BYTES on are views of the buffer that they were received in, the others are bytes."""

    peer: Peer
    frames: list[Frame]


Event = Up | Down | Received
