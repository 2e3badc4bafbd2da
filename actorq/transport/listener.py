"""Where peers connect to."""

from __future__ import annotations

from functools import partial

import zmq

from actorq.transport import monitor
from actorq.transport.channels import Parts, RouterChannel
from actorq.transport.events import Peer
from actorq.transport.sessions import Session
from actorq.transport.sockets import NOBLOCK, new_listener

_FIRST_PROBE_S = 0.001
_PROBES = 12  # Each after twice the time of the one before: four seconds in all.


class Listener(RouterChannel):
    """A ROUTER that listens. A peer is known from its first message on.

    The monitor tells that a connection is over, but not whose: only its file descriptor, which each message has too.
    By then it may be the descriptor of another connection. So those who have it are suspects, and are probed with an
    empty message, which ROUTER_MANDATORY makes fail for one that is gone.
    """

    def __init__(self, parts: Parts, address: str) -> None:
        self._on_fd: dict[int, list[Session]] = {}
        self._fds: dict[Peer, int] = {}
        self._closed_fds: set[int] = set()  # Of connections that were closed before their first message was received.
        socket, self.address = new_listener(parts.context, address, parts.limits)
        super().__init__(parts, socket, monitor.DISCONNECTED)

    def hang_up(self, session: Session) -> None:
        """Forgets it: libzmq has no way to close one connection of many. What still comes from it is a new peer's."""
        del self._routes[session.route]
        fd = self._fds.pop(session.peer)
        self._on_fd[fd].remove(session)
        if not self._on_fd[fd]:
            del self._on_fd[fd]

    def _admit(self, route: bytes, first: zmq.Frame) -> Session | None:
        if not first.more and not len(first):
            return None  # A probe.
        session = self._routes[route] = self._sessions.begin(self, route)
        fd = self._fds[session.peer] = first.get(zmq.SRCFD)
        self._on_fd.setdefault(fd, []).append(session)
        if fd in self._closed_fds:
            self._closed_fds.remove(fd)
            self._probe(session)
        return session

    def _on_event(self, event: int, value: int, endpoint: str) -> None:
        suspects = self._on_fd.get(value)
        if suspects is None:
            self._closed_fds.add(value)
        else:
            for session in suspects:
                self._probe(session)

    def _probe(self, session: Session, probes: int = 0) -> None:
        """Until it is gone: libzmq says so a moment before it lets it go. Or else until it is clear that it stays."""
        if session.is_open:
            if self._is_reachable(session):
                self._send(b"", NOBLOCK)
            self._parts.reactor.touch(self)
            if probes < _PROBES:
                delay_s = _FIRST_PROBE_S * 2**probes
                self._parts.reactor.after(delay_s, partial(self._probe, session, probes + 1))
