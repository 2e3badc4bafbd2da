"""ZeroMQ sockets as fast as they go: without limits, drained without waiting."""

from __future__ import annotations

from typing import Any

import zmq

LOOPBACK = "tcp://127.0.0.1"
NOBLOCK = int(zmq.NOBLOCK)


def open_socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
    """A socket that holds any number of messages, and none after its end."""
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.set_hwm(0)
    socket.linger = 0
    return socket


def listen(socket: zmq.Socket[bytes]) -> str:
    """Bind to a free port. Returns the address."""
    return f"{LOOPBACK}:{socket.bind_to_random_port(LOOPBACK)}"


def drain(socket: zmq.Socket[bytes]) -> list[list[bytes]]:
    """All messages that are there, without waiting."""
    messages = []
    receive = socket.recv_multipart
    try:
        while True:
            messages.append(receive(NOBLOCK))
    except zmq.Again:
        return messages


class GreenInput:
    """Lets one greenlet wait until a socket may have something to read.

    The socket's descriptor rings only when its state changes, and a send can swallow the ring (zmq_getsockopt(3),
    ZMQ_FD): whoever has sent calls `look`.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        from gevent import get_hub
        from gevent.event import Event

        self._socket = socket
        self._rung = Event()
        self._watcher = get_hub().loop.io(socket.getsockopt(zmq.FD), 1)
        self._watcher.start(self._rung.set)

    def look(self) -> None:
        """Ring if there is something."""
        if int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._rung.set()

    def wait(self) -> None:
        """Return when something may be there."""
        self.look()
        self._rung.wait()
        self._rung.clear()
