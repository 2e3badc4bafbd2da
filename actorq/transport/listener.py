"""Where peers connect to."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from functools import partial
from typing import Any

import zmq

from actorq import native
from actorq.log import Sparse
from actorq.transport import monitor
from actorq.transport.channels import Parts, RouterChannel
from actorq.transport.curve import identity_of
from actorq.transport.events import Peer
from actorq.transport.sessions import Session
from actorq.transport.sockets import NOBLOCK, new_listener

_FIRST_PROBE_S = 0.001
_PROBES = 12  # Each after twice the time of the one before: four seconds in all.
_EVENTS = 1000
_BROKEN = monitor.HANDSHAKE_FAILED & ~monitor.HANDSHAKE_REFUSED  # The gate knows of those that it refuses.
_WANTED = monitor.ACCEPTED | _BROKEN | monitor.DISCONNECTED

logger = logging.getLogger("actorq.transport")


class Listener(RouterChannel):
    """A ROUTER that listens. A peer is known from its first message on.

    The monitor tells that a connection is over, but not whose: only its file descriptor, which each message has too. By
    then it may be that of another connection, and the message may not be received yet. So whoever has a descriptor with
    an end that is nobody's yet is a suspect, and is probed with an empty message, which ROUTER_MANDATORY makes fail for
    one that is gone.
    """

    def __init__(self, parts: Parts, address: str) -> None:
        self._fds: dict[Peer, int] = {}
        self._on_fd: dict[int, list[Session]] = {}
        self._ends: Counter[int] = Counter()  # By descriptor: ends that were told, less the peers that were lost.
        self._hosts: dict[int, str] = {}
        """By descriptor: where its connection comes from."""
        self._is_broken = False
        self._complaints = Sparse(logger)
        socket, self.address, self._announcement = new_listener(parts.context, address, parts.limits, parts.keys)
        super().__init__(parts, socket, _WANTED)

    def close(self, linger_s: float) -> None:
        if self._announcement is not None:
            self._announcement.close()
        self._stats.connections -= len(self._hosts)
        self._hosts.clear()
        super().close(linger_s)

    def catch_up(self) -> None:
        """Hear of all connections that libzmq has accepted so far."""
        while not self._monitor.receive(_EVENTS):
            pass

    def hang_up(self, session: Session) -> None:
        """Forgets it: libzmq has no way to close one connection of many. What still comes from it is a new peer's."""
        del self._routes[session.route]
        fd = self._fds.pop(session.peer)
        self._on_fd[fd].remove(session)
        if not self._on_fd[fd]:
            del self._on_fd[fd]
        if not session.is_open:
            self._count_end(fd, -1)

    def _admit(self, route: bytes, first: zmq.Frame) -> Session | None:
        if not first.more and not len(first):
            return None  # A probe.
        try:
            fd = first.get(zmq.SRCFD)
        except zmq.ZMQError:
            self._stats.foreign += 1  # ZMTP before 3.0 has no metadata. libzmq takes nearly all noise for it.
            return None
        session = self._routes[route] = self._sessions.begin(self, route)
        session.identity = identity_of(first, self._parts.keys is not None)
        self._fds[session.peer] = fd
        self._on_fd.setdefault(fd, []).append(session)
        if self._ends[fd] > 0:
            self._probe(session)
        return session

    def _on_event(self, event: int, value: int, endpoint: str) -> None:
        count = len(self._hosts)
        if event == monitor.ACCEPTED:
            self._hosts[value] = _host_at(value)
        elif event & _BROKEN:
            self._is_broken = True  # Whose handshake it is says the end of the connection, which comes next.
        else:
            self._end_of(value)
        self._stats.connections += len(self._hosts) - count

    def _end_of(self, fd: int) -> None:
        host = self._hosts.pop(fd, "")
        if self._is_broken:
            self._is_broken = False
            self._complain(host)
        self._count_end(fd, +1)
        for session in self._on_fd.get(fd, ()):
            self._probe(session)

    def _probe(self, session: Session, probes: int = 0) -> None:
        """Until it is gone: libzmq says so a moment before it lets it go. Or else until it is clear that it stays."""
        if not session.is_open:
            return
        if self._is_reachable(session):
            self._send(b"", NOBLOCK)
        self._parts.reactor.touch(self)
        if probes < _PROBES:
            delay_s = _FIRST_PROBE_S * 2**probes
            self._parts.reactor.after(delay_s, partial(self._probe, session, probes + 1))
        else:
            self._ends.pop(self._fds[session.peer], None)  # Of a connection that never said anything.

    def _complain(self, host: str) -> None:
        self._stats.broken_handshakes += 1
        if self._parts.keys is not None:
            self._complaints.warning(
                time.monotonic(),
                "a peer at %s broke off the handshake, or does not know how it goes: it has no key, or another "
                "cluster's, or is no node at all",
                host,
            )

    def _count_end(self, fd: int, count: int) -> None:
        self._ends[fd] += count
        if not self._ends[fd]:
            del self._ends[fd]


def _host_at(fd: int) -> str:
    """Where the other end of a connection is, for people. It may be another connection's descriptor by now."""
    new_socket: Any = native.original("socket", "socket")
    try:
        with new_socket(fileno=os.dup(fd)) as connection:
            name = connection.getpeername()
    except OSError:
        return "an unknown address"
    return str(name[0]) if isinstance(name, tuple) else "this host"
