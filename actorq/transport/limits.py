"""Bounds and periods of a link, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

from actorq.config import MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds and periods of one link."""

    max_frame_bytes: int = MAX_BODY_BYTES
    """A larger frame is refused by `send`; a peer that sends one loses its connection."""
    pipe_messages: int = 1000
    """Messages that ZeroMQ holds for a peer, and that a listener lets wait of one. A fuse: credits do flow control.

    What those that dialled receive has no such limit; see `sockets`.
    """
    round_messages: int = 1000
    """Messages that are received, and that are sent, before the others on the thread get a chance to run."""
    heartbeat_s: float = 2.0
    heartbeat_timeout_s: float = 6.0
    """A host or process that does not answer ZeroMQ's own heartbeats for so long is gone. Both less than 65 s."""
    handshake_s: float = 10.0
    """A connection that is not open after so long is given up."""
    redial_min_s: float = 0.1
    redial_max_s: float = 2.0
    """While nobody listens at an address it is tried again after the first, doubled up to the second."""
    hang_up_s: float = 1.0
    """What was sent before `hang_up` has this long to leave."""
    connections: int = 0
    """Connections that a link with keys takes; beyond, it refuses the next handshake. 0: as many as this process
    may have file descriptors, less some for all else."""
    shortcuts: bool = True
    """Whether processes of one host are connected by Unix sockets, where there are some; see `shortcuts`."""


@dataclass(slots=True)
class LinkStats:
    """What has happened on a link since it was made."""

    messages_in: int = 0
    bytes_in: int = 0
    """Received, and handed to the owner."""
    messages_out: int = 0
    bytes_out: int = 0
    """Sent by the owner to peers that were there."""
    turns: int = 0
    stalls: int = 0
    """How often a peer did not take messages as fast as they were sent, so that they are kept here."""
    oversized: int = 0
    """Messages refused by `send` as too large."""
    connections: int = 0
    """Connections of others to this link, handshakes that are under way included."""
    refused: int = 0
    """Connections that were refused because of their key."""
    broken_handshakes: int = 0
    """Connections of which no session came: without a key, with another server's, or of something else entirely."""
    foreign: int = 0
    """Messages dropped because their sender does not speak ZMTP 3: noise, mostly."""
    missed_wakeups: int = 0
    """Messages that only the safety timer found. Must stay 0: everything else is a bug in the loop."""
