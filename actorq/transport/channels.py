"""What all kinds of channels have in common, and what those made of a ROUTER have.

What libzmq's monitor tells comes on another way than the messages, and often sooner. So a session that was lost is over
only when the messages that came before are received: nothing of a peer is reported after its Down.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from typing import Any

import zmq

from actorq.transport.curve import LinkKeys
from actorq.transport.events import Frame, Peer, Received
from actorq.transport.limits import LinkLimits, LinkStats
from actorq.transport.monitor import Monitor
from actorq.transport.reactor import Reactor
from actorq.transport.sessions import Channel, Message, Session, Sessions
from actorq.transport.sockets import MORE_TO_COME, NOBLOCK, plain_send, receive_rest, send_frame

_EHOSTUNREACH = int(errno.EHOSTUNREACH)
_LEAVING_S = 1.0
"""For so long the end of a session may be put off, because the others on its socket never pause."""


@dataclass(slots=True, eq=False)
class Parts:
    """What the channels of one link share."""

    context: zmq.Context[Any]
    limits: LinkLimits
    stats: LinkStats
    reactor: Reactor
    sessions: Sessions
    keys: LinkKeys | None = None
    channels: set[Channel] = field(default_factory=set)


class MonitoredChannel(Channel):
    """A channel and the monitor of its socket, both received from as long as it is open."""

    def __init__(self, parts: Parts, socket: zmq.Socket[bytes], wanted: int) -> None:
        super().__init__(socket)
        self._parts = parts
        self._sessions = parts.sessions
        self._stats = parts.stats
        self._recv = socket.recv
        self._send = plain_send(socket)
        self._monitor = Monitor(parts.context, socket, wanted, self._on_event)
        parts.channels.add(self)
        parts.reactor.watch(self)
        parts.reactor.watch(self._monitor)

    def close(self, linger_s: float) -> None:
        if not self.socket.closed:
            self._parts.channels.remove(self)
            self._parts.reactor.unwatch(self._monitor)
            self._parts.reactor.unwatch(self)
            self._monitor.close()
            self.socket.close(round(linger_s * 1000))

    def _on_event(self, event: int, value: int, endpoint: str) -> None:
        raise NotImplementedError

    def _deliver(self, peer: Peer, frames: list[Frame]) -> None:
        """Hand on a message, unless it is a probe of the other side's: one empty frame."""
        if len(frames) > 1 or frames[0]:
            stats = self._stats
            stats.messages_in += 1
            stats.bytes_in += sum(map(len, frames))
            self._sessions.events.append(Received(peer, frames))

    def _send_rest(self, message: Message, start: int) -> None:
        """The frames from `start` on. ZeroMQ has taken the one before them, and so takes these."""
        last = len(message) - 1
        send = self._send
        for index in range(start, last):
            frame = message[index]
            if type(frame) is bytes:
                send(frame, MORE_TO_COME)
            else:
                send_frame(send, frame, MORE_TO_COME)
        send_frame(send, message[last], NOBLOCK)


class RouterChannel(MonitoredChannel):
    """A ROUTER, which has many sessions: each message has the peer's routing id in front."""

    def __init__(self, parts: Parts, socket: zmq.Socket[bytes], wanted: int) -> None:
        self._routes: dict[bytes, Session] = {}
        self._leaving: list[tuple[Session, str]] = []
        self._leaving_since_s = 0.0
        super().__init__(parts, socket, wanted)

    def receive(self, limit: int) -> bool:
        is_dry = self._take(limit)
        if self._leaving and (is_dry or time.monotonic() - self._leaving_since_s > _LEAVING_S):
            self._end_leaving()
        return is_dry

    def _take(self, limit: int) -> bool:
        """`receive`, and no more. Afterwards no message is half read, not even inside libzmq."""
        recv, routes = self._recv, self._routes
        for taken in range(limit):
            if taken == 1 and not self.has_input():
                return True
            try:
                route = recv(NOBLOCK)
            except zmq.Again:
                return True
            first = recv(NOBLOCK, False)
            session = routes.get(route) or self._admit(route, first)
            frames = receive_rest(recv, first)
            if session is not None:
                self._deliver(session.peer, frames)
        return False

    def push(self, session: Session, message: Message) -> bool:
        if self._is_reachable(session):
            self._send_rest(message, 0)
        elif session.is_open:
            return False
        return True

    def _is_reachable(self, session: Session) -> bool:
        """Begins a message. False if there is no room, or the peer is gone; then the session begins to leave."""
        try:
            self._send(session.route, MORE_TO_COME)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != _EHOSTUNREACH:
                raise
            self._leave(session, "the peer has closed the connection, or is gone")
            return False
        return True

    def _leave(self, session: Session, reason: str) -> None:
        """Its connection is lost: report it down when all that it has sent is received."""
        if session.is_open:
            session.is_open = False
            if not self._leaving:
                self._leaving_since_s = time.monotonic()
            self._leaving.append((session, reason))
            self.needs_last_look = True
            self._parts.reactor.touch(self)

    def _end_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        self.needs_last_look = False
        for session, reason in leaving:
            if session.is_live:
                self.hang_up(session)
                self._sessions.end(session, reason)

    def _admit(self, route: bytes, first: zmq.Frame) -> Session | None:
        """Whose message it is that came from an unknown route. None: nobody's."""
        raise NotImplementedError
