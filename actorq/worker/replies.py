"""Results on their way straight to clients: one connection per client, hung up when it is not used."""

from __future__ import annotations

from dataclasses import dataclass, field

from actorq.errors import ActorqError
from actorq.transport import Link, Peer
from actorq.wire.batches import NOTE_BATCH, batches, chunks
from actorq.wire.messages import Results, Told
from actorq.wire.records import Note, Outcome
from actorq.worker.core import ReplyTo
from actorq.worker.sender import Sender

IDLE_S = 60.0
LIMIT = 1000
"""Connections to clients. Beyond it the one that was not used for the longest time is hung up."""
BACKLOG = 64
"""Messages that a client may leave untaken, before its results go through the coordinator."""
BATCH = 512


_Place = tuple[str, str]
"""Address and key of a reply socket."""


@dataclass(slots=True)
class _Connection:
    peer: Peer
    used_s: float = 0.0
    sessions: set[ReplyTo] = field(default_factory=set)


class Replies:
    """Sends outcomes to clients' reply sockets. Best effort: the coordinator has the outcomes too."""

    def __init__(self, link: Link, sender: Sender) -> None:
        self._link = link
        self._sender = sender
        self._connections: dict[_Place, _Connection] = {}
        self._by_peer: dict[Peer, _Place] = {}

    def send(self, reply_to: ReplyTo, outcomes: list[Outcome], now_s: float) -> bool:
        """Send outcomes to a session. False if the next ones had better go through the coordinator."""
        peer = self._peer_of(reply_to, now_s)
        if peer is None:
            return False
        for batch in batches(outcomes, BATCH):
            self._sender.send(peer, Results(reply_to.session, batch))
        return self._link.backlog(peer) <= BACKLOG

    def tell(self, reply_to: ReplyTo, notes: list[Note], now_s: float) -> None:
        """Send notes to a session, unless much waits for it already."""
        peer = self._peer_of(reply_to, now_s)
        if peer is not None and self._link.backlog(peer) <= BACKLOG:
            for batch in chunks(notes, NOTE_BATCH):
                self._sender.send(peer, Told(reply_to.session, list(batch)))

    def _peer_of(self, reply_to: ReplyTo, now_s: float) -> Peer | None:
        """The connection to a session. None if its address cannot be called."""
        connection = self._connections.get((reply_to.address, reply_to.key))
        if connection is None:
            try:
                connection = self._connect(reply_to.address, reply_to.key)
            except ActorqError:
                return None
        connection.used_s = now_s
        connection.sessions.add(reply_to)
        return connection.peer

    def lose(self, peer: Peer) -> set[ReplyTo]:
        """A connection is gone. Returns the sessions that it led to."""
        place = self._by_peer.pop(peer, None)
        return set() if place is None else self._connections.pop(place).sessions

    def hang_up_idle(self, now_s: float) -> None:
        """Hang up what was not used for a minute."""
        for connection in list(self._connections.values()):
            if now_s - connection.used_s >= IDLE_S:
                self._hang_up(connection)

    def _connect(self, address: str, key: str) -> _Connection:
        if len(self._connections) >= LIMIT:
            self._hang_up(min(self._connections.values(), key=lambda each: each.used_s))
        place = (address, key)
        connection = self._connections[place] = _Connection(self._link.call(address, key))
        self._by_peer[connection.peer] = place
        return connection

    def _hang_up(self, connection: _Connection) -> None:
        del self._connections[self._by_peer.pop(connection.peer)]
        self._link.hang_up(connection.peer)
