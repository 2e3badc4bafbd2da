"""What libzmq tells about the connections of a socket, and how to say it in words."""

from __future__ import annotations

import errno
import itertools
import os
import struct
from collections.abc import Callable
from typing import Any

import zmq

from actorq.transport.reactor import Source
from actorq.transport.sockets import NOBLOCK

CONNECTED = int(zmq.EVENT_CONNECTED)
ACCEPTED = int(zmq.EVENT_ACCEPTED)
CONNECT_RETRIED = int(zmq.EVENT_CONNECT_RETRIED)
"""There is no connection (any more), and libzmq would try again later. By then it has handed over all it received."""
DISCONNECTED = int(zmq.EVENT_DISCONNECTED)
"""A connection is lost. Comes a moment before libzmq hands over the last that it received."""
HANDSHAKE_SUCCEEDED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
HANDSHAKE_TIMED_OUT_OR_CUT = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
HANDSHAKE_WRONG_PROTOCOL = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
HANDSHAKE_REFUSED = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
FULL = 500
"""Value of HANDSHAKE_REFUSED, which is the gate's status, for one that would have been let in if there were room."""
HANDSHAKE_FAILED = HANDSHAKE_TIMED_OUT_OR_CUT | HANDSHAKE_WRONG_PROTOCOL | HANDSHAKE_REFUSED

_OTHER_MECHANISM = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
_WITH_KEY = "it has another cluster's key, or was started without one, and this side has a key"
_WITHOUT_KEY = "it wants a key, and this side has none; give one with --key PATH, key=PATH or ACTORQ_KEY"

_new_number = itertools.count(1).__next__
_parse = struct.Struct("=HI").unpack


class Monitor(Source):
    """Hands the events of one socket that are in the mask `wanted` to `react(event, value, endpoint)`.

    The value is the file descriptor of the connection, or an error number, as the event has it.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        watched: zmq.Socket[bytes],
        wanted: int,
        react: Callable[[int, int, str], None],
    ) -> None:
        socket: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        socket.setsockopt(zmq.LINGER, 0)
        # No limit: where one is reached, libzmq's I/O thread waits, and with it all traffic.
        socket.setsockopt(zmq.RCVHWM, 0)
        endpoint = f"inproc://monitor-{_new_number()}"  # Names are free again a while after the close.
        watched.monitor(endpoint, wanted)
        socket.connect(endpoint)
        super().__init__(socket)
        self._watched = watched
        self._react = react

    def receive(self, limit: int) -> bool:
        for _ in range(limit):
            try:
                head, endpoint = self.socket.recv_multipart(NOBLOCK)
            except zmq.Again:
                return True
            event, value = _parse(head)
            self._react(event, value, endpoint.decode("utf-8", "replace"))
            if self.socket.closed:
                return True
        return False

    def close(self) -> None:
        """To be called before the watched socket is closed."""
        self._watched.disable_monitor()
        self.socket.close(0)


def why_lost(event: int, value: int, address: str, has_keys: bool) -> str:
    """Why there is no connection with `address` (any more)."""
    if event == DISCONNECTED:
        return f"the connection with {address} was closed or has failed"
    if event == CONNECT_RETRIED:
        return f"nobody listens at {address}, or it cannot be reached"
    if event == HANDSHAKE_REFUSED and value == FULL:
        return f"{address} has as many connections as it takes"
    if event == HANDSHAKE_REFUSED:
        return (
            f"{address} does not know this key, or knows it no more: use the key file that it uses, or a client's key "
            f"that was made from that one (actorq key client NAME)"
        )
    ours = _WITH_KEY if has_keys else _WITHOUT_KEY
    if event == HANDSHAKE_WRONG_PROTOCOL and value == _OTHER_MECHANISM:
        return f"{address} broke off the handshake: {ours}"
    if event == HANDSHAKE_WRONG_PROTOCOL:
        return f"what listens at {address} does not speak this protocol (ZMTP error {value:#x})"
    if value in (errno.EPIPE, errno.ECONNRESET):
        return f"{address} breaks off each handshake: {ours}, or it does not speak this protocol"
    detail = f": {os.strerror(value)}" if value else ""
    return f"{address} broke off the handshake{detail}"
