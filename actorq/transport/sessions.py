"""The sessions of a link: who is there, and what waits to be sent to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from actorq.transport.events import Down, Event, Frame, Identity, Peer, new_peer
from actorq.transport.reactor import Source

Message = Sequence[Frame]


class Channel(Source):
    """The ZeroMQ socket that sessions go through."""

    def push(self, session: Session, message: Message) -> bool:
        """Give a message to ZeroMQ, whole. False if the peer is stalled and it was not taken.

        A message to a peer that turns out to be gone counts as taken.
        """
        raise NotImplementedError

    def hang_up(self, session: Session) -> None:
        """End the session's connection, where ZeroMQ has a way to."""
        raise NotImplementedError

    def close(self, linger_s: float) -> None:
        """Close the socket. What ZeroMQ holds has `linger_s` to leave, in the background."""
        raise NotImplementedError


class Session:
    """One peer, and its outbox with two lanes."""

    __slots__ = (
        "address",
        "bulk",
        "channel",
        "endpoint",
        "identity",
        "is_live",
        "is_open",
        "is_queued",
        "is_stalled",
        "peer",
        "route",
        "urgent",
    )

    def __init__(self, channel: Channel, route: bytes, address: str, is_open: bool) -> None:
        self.peer: Peer = new_peer()
        self.channel = channel
        self.route = route
        self.address = address
        self.endpoint = ""  # Where it is connected to, if one socket connects to many.
        self.identity = Identity()
        self.urgent: deque[Message] = deque()
        self.bulk: deque[Message] = deque()
        self.is_live = True  # Until its Down.
        self.is_open = is_open  # Whether its channel takes messages.
        self.is_queued = False  # Whether it is among `Sessions.outgoing`.
        self.is_stalled = False


class Sessions:
    """All live sessions of a link, the ones with something to send, and the events for the owner."""

    def __init__(self) -> None:
        self.live: dict[Peer, Session] = {}
        self.outgoing: list[Session] = []
        self.events: list[Event] = []

    def begin(self, channel: Channel, route: bytes = b"", address: str = "", is_open: bool = True) -> Session:
        """A new session, as yet without a word to the owner."""
        session = Session(channel, route, address, is_open)
        self.live[session.peer] = session
        return session

    def end(self, session: Session, reason: str, refused: bool = False) -> None:
        """Report it down, once. What waits in its outbox is gone with it."""
        if session.is_live:
            session.is_live = session.is_open = False
            del self.live[session.peer]
            session.urgent.clear()
            session.bulk.clear()
            self.events.append(Down(session.peer, reason, refused))

    def queue(self, session: Session) -> None:
        """Have its outbox sent in this round."""
        if not session.is_queued:
            session.is_queued = True
            self.outgoing.append(session)

    def have_backlog(self) -> bool:
        """Whether anything waits to be sent to anybody."""
        return any(session.urgent or session.bulk for session in self.live.values())
