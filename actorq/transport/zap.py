"""The gate of a link with keys: libzmq asks here whether a key may connect, before it reads anything else of a peer's.

That is ZAP (https://rfc.zeromq.org/spec/27/). The gate is one more socket of the link, served by its loop, so there is
no thread of it that could die unseen. But libzmq, asked by nobody to ask, lets everybody in; so whoever begins to listen
tries both: a stranger must be refused, a guest let in.
"""

from __future__ import annotations

import logging
import math
import resource
import time
from collections.abc import Callable
from typing import Any

import zmq

from actorq.errors import OperationalError
from actorq.log import Sparse
from actorq.transport.curve import (
    DOMAIN,
    KeyPair,
    LinkKeys,
    ip_address_of,
    lock_next_connection,
    new_pair,
    text_of,
)
from actorq.transport.limits import LinkStats
from actorq.transport.monitor import FULL, HANDSHAKE_FAILED, HANDSHAKE_REFUSED, HANDSHAKE_SUCCEEDED, Monitor
from actorq.transport.reactor import Source
from actorq.transport.sockets import NOBLOCK

_ENDPOINT = "inproc://zeromq.zap.01"
_REQUEST_FRAMES = 9  # Route, empty, version, number, domain, address, routing id, mechanism, key.
_TEST_S = 5.0
_OTHER_DESCRIPTORS = 128

logger = logging.getLogger("actorq.transport")


class Gate(Source):
    """Answers whether a key may connect to a listener of this link."""

    def __init__(
        self,
        context: zmq.Context[Any],
        keys: LinkKeys,
        limit: int,
        stats: LinkStats,
        catch_up: Callable[[], None],
    ) -> None:
        """`catch_up` counts in `stats` all connections that there are: what libzmq tells of one that asks now may be
        unread.
        """
        socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(_ENDPOINT)
        super().__init__(socket)
        self.guest = ""
        """A key that is let in besides, while the gate is tested."""
        self.is_tested = False
        self._keys = keys
        self._limit = limit or _most_connections()
        self._stats = stats
        self._catch_up = catch_up
        self._complaints = Sparse(logger)

    def receive(self, limit: int) -> bool:
        for _ in range(limit):
            try:
                request = self.socket.recv_multipart(NOBLOCK)
            except zmq.Again:
                return True
            self._answer(request)
        return False

    def _answer(self, request: list[bytes]) -> None:
        route, number = request[0], request[3]
        user = self._user(request)
        status, text = (b"200", b"") if user else (b"400", b"unknown key")
        if user and self._is_full():
            status, text = b"%d" % FULL, b"too many connections"
            self._stats.refused += 1
            self._complaints.warning(
                time.monotonic(), "there are more than %s connections: no more are taken", self._limit
            )
        self.socket.send_multipart([route, b"", b"1.0", number, status, text, user.encode(), b""], NOBLOCK)

    def _is_full(self) -> bool:
        self._catch_up()
        return self._stats.connections > self._limit

    def _user(self, request: list[bytes]) -> str:
        """The key, which is the peer's identity from now on; empty to refuse it."""
        if len(request) != _REQUEST_FRAMES or request[4] != DOMAIN or request[7] != b"CURVE":
            return ""
        key, address = text_of(request[8]), ip_address_of(request[5].decode("utf-8", "replace"))
        if self.guest and key == self.guest:
            return key
        if self._keys.admit(key, address):
            return key
        if not self.is_tested:
            return ""
        self._stats.refused += 1
        self._complaints.warning(
            time.monotonic(), "a peer at %s was refused: its key %s is not known here", address or "this host", key
        )
        return ""


def _most_connections() -> float:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if descriptors == resource.RLIM_INFINITY else max(descriptors - _OTHER_DESCRIPTORS, 1)


def prove_gate(context: zmq.Context[Any], gate: Gate, keys: LinkKeys, address: str) -> None:
    """Raise OperationalError unless a stranger is refused at `address`, where a listener is, and a guest let in."""
    stranger, guest = new_pair(), new_pair()
    gate.is_tested = False
    gate.guest = guest.public
    try:
        if _try(context, gate, keys, stranger, address) != HANDSHAKE_REFUSED:
            raise OperationalError(
                f"{address} does not refuse an unknown key, so nothing is let in at all. This should not be possible: "
                f"report it, with the versions of pyzmq and libzmq ({zmq.__version__}, {zmq.zmq_version()})"
            )
        if _try(context, gate, keys, guest, address) != HANDSHAKE_SUCCEEDED:
            raise OperationalError(f"{address} cannot be reached from this process itself: nobody could connect")
    finally:
        gate.guest = ""
        gate.is_tested = True


def _try(context: zmq.Context[Any], gate: Gate, keys: LinkKeys, pair: KeyPair, address: str) -> int:
    """How a handshake ends; 0 if it does not."""
    found: list[int] = []
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
    lock_next_connection(socket, pair, keys.listener.public)
    react: Callable[[int, int, str], None] = lambda event, value, endpoint: found.append(event)  # noqa: E731
    monitor = Monitor(context, socket, HANDSHAKE_SUCCEEDED | HANDSHAKE_FAILED, react)
    poller = zmq.Poller()
    for source in (monitor, gate):
        poller.register(source.socket, zmq.POLLIN)
    deadline_s = time.monotonic() + _TEST_S
    try:
        socket.connect(_own(address))
        while not found and (left_s := deadline_s - time.monotonic()) > 0:
            poller.poll(round(left_s * 1000) + 1)
            gate.receive(100)
            monitor.receive(100)
        return found[0] if found else 0
    finally:
        monitor.close()
        socket.close(0)


def _own(address: str) -> str:
    """Where to connect to from here, if the listener's address stands for all of the host's."""
    return address.replace("tcp://0.0.0.0:", "tcp://127.0.0.1:").replace("tcp://[::]:", "tcp://[::1]:")
