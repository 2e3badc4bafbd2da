"""Short messages to many: reply sockets of clients."""

from __future__ import annotations

import itertools
from functools import partial

import zmq

from actorq.errors import BadAddress
from actorq.transport import addresses, monitor
from actorq.transport.channels import Parts, RouterChannel
from actorq.transport.curve import is_key, lock_next_connection
from actorq.transport.events import Identity, Peer
from actorq.transport.sessions import Session
from actorq.transport.sockets import connect, new_caller

_WANTED = monitor.CONNECT_RETRIED | monitor.DISCONNECTED | monitor.HANDSHAKE_SUCCEEDED | monitor.HANDSHAKE_FAILED
_LAST_WORDS_S = 0.05


class Caller(RouterChannel):
    """A ROUTER that connects to many addresses, and gives each a routing id of ours.

    One descriptor per peer, where a socket and its monitor for each would take four. Of an address there is one session
    at a time, since libzmq knows connections by address.
    """

    def __init__(self, parts: Parts) -> None:
        self._by_address: dict[str, Session] = {}
        self._by_endpoint: dict[str, Session] = {}
        """By where they are connected to: the address, or its shortcut."""
        self._answered: set[Peer] = set()
        self._new_route = itertools.count(1).__next__
        super().__init__(parts, new_caller(parts.context, parts.limits, parts.keys), _WANTED)

    def call(self, address: str, key: str) -> Session:
        """The session with `address`: the one there is, or a new one.

        Raises BadAddress, also for another key than that of a session which is there and has proved to have its own.
        """
        addresses.check_to_dial(address)
        keys = self._parts.keys
        if keys is not None and not is_key(key):
            raise BadAddress(f"who listens at {address} has named no key, and this node talks to nobody without one")
        session = self._by_address.get(address)
        if session is not None:
            if session.is_open and session.identity.key == key:
                return session
            if session.is_open and session.peer in self._answered:
                # Or whoever says that it listens where somebody else does could cut that one off.
                raise BadAddress(f"who listens at {address} has proved to have another key")
            self._leave(session, f"another one listens at {address} now")
            self._end_leaving()
        route = b"%d" % self._new_route()
        self.socket.setsockopt(zmq.IPV6, addresses.is_ipv6(address))
        self.socket.setsockopt(zmq.CONNECT_ROUTING_ID, route)
        if keys is not None:
            lock_next_connection(self.socket, keys.own, key)
        endpoint = connect(self.socket, address, self._parts.limits)
        session = self._sessions.begin(self, route, address)
        session.identity = Identity(key, address)
        session.endpoint = endpoint
        self._routes[route] = self._by_address[address] = self._by_endpoint[endpoint] = session
        self._parts.reactor.touch(self)
        self._parts.reactor.after(self._parts.limits.handshake_s, partial(self._expect_answer, session))
        return session

    def hang_up(self, session: Session) -> None:
        del self._routes[session.route]
        del self._by_address[session.address], self._by_endpoint[session.endpoint]
        self._answered.discard(session.peer)
        linger_s = self._parts.limits.hang_up_s if session.is_open else 0  # To one that is lost nothing can go.
        self.socket.setsockopt(zmq.LINGER, round(linger_s * 1000))
        self._take(1)  # To disconnect while half a message is read would abort the process.
        try:
            self.socket.disconnect(session.endpoint)
        except zmq.ZMQError:
            pass  # libzmq has done it already.
        self._parts.reactor.touch(self)

    def _admit(self, route: bytes, first: zmq.Frame) -> Session | None:
        return None  # From a session that was hung up: nobody else has a way in.

    def _on_event(self, event: int, value: int, endpoint: str) -> None:
        session = self._by_endpoint.get(endpoint)
        if session is None:
            return
        if event == monitor.HANDSHAKE_SUCCEEDED:
            self._answered.add(session.peer)
            return
        leave = partial(
            self._leave, session, monitor.why_lost(event, value, session.address, self._parts.keys is not None)
        )
        if event == monitor.CONNECT_RETRIED:
            leave()
        else:
            self._parts.reactor.after(_LAST_WORDS_S, leave)

    def _expect_answer(self, session: Session) -> None:
        if session.peer not in self._answered:
            self._leave(session, f"{session.address} did not answer")
