"""The ZeroMQ sockets of a link, with every option and its reason; and frames, on their way in and out.

What is true of all of them: a session is a connection. No socket has an identity and none reconnects by itself, so no
message of one session can reach another (a socket that reconnects hands what waits in it to the next process on that
port). ZeroMQ promises nothing; it is told to refuse what it cannot deliver instead of dropping it.

Two ways to that end are traps. With ZMQ_IMMEDIATE, or with ZMQ_RECONNECT_IVL at -1, libzmq 4.3.5 throws away what a
lost connection has received and nobody has read yet; and if half of a message was read, it aborts the process (the
assertion in fq.cpp, by way of `hiccuped` and `term_endpoint`). So: nothing is sent before a connection is there, and
the time until it would reconnect is longer than any socket lives.

And one more. Where a connection is lost whose input libzmq has stopped, as a pipe is full, the next ping aborts the
process (the assertion `!_io_error` in stream_engine_base.cpp): our own, or one of the peer's that is among what was
received and comes to be answered. So no socket has a limit to the number of messages that it receives. What peers send
is limited by windows and credit, and on their side by the limit to what waits to be sent; who keeps to neither can fill
this process's memory. (Keys decide who may try.)
"""

from __future__ import annotations

import errno
from typing import Any

import zmq

from actorq.config import BLOB_BYTES
from actorq.errors import AddressInUse, BadAddress, OperationalError
from actorq.transport import addresses
from actorq.transport.curve import OVERHEAD_BYTES, LinkKeys, lock_listener, lock_next_connection
from actorq.transport.events import Frame
from actorq.transport.limits import LinkLimits
from actorq.transport.shortcuts import announce, shortcut_of, shortest

NOBLOCK = int(zmq.NOBLOCK)
MORE_TO_COME = int(zmq.SNDMORE) | NOBLOCK
EVENTS = int(zmq.EVENTS)
POLLIN = int(zmq.POLLIN)
POLLOUT = int(zmq.POLLOUT)

_EVERY_SOCKET: dict[int, int] = {
    zmq.RECONNECT_IVL: 24 * 3600 * 1000,  # Never: whoever wants another connection dials again.
    zmq.BACKLOG: 4096,  # With 100, a few hundred peers that come at once wait for a second.
    zmq.TCP_KEEPALIVE: 1,  # Against firewalls that forget idle connections.
    zmq.TCP_KEEPALIVE_IDLE: 60,
    zmq.TCP_KEEPALIVE_INTVL: 10,
    zmq.TCP_KEEPALIVE_CNT: 3,
}


def new_listener(
    context: zmq.Context[Any], address: str, limits: LinkLimits, keys: LinkKeys | None
) -> tuple[zmq.Socket[bytes], str, Any]:
    """A ROUTER that listens, its real address, and what announces its shortcut, if it has one, until it is closed.

    Raises BadAddress, AddressInUse, or OperationalError if the operating system does not permit it.
    """
    to_bind = addresses.check_to_listen(address)
    socket = _new(context, zmq.ROUTER, limits, keys)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 0)  # Those who dial ping; their pings say after which silence they are gone.
    socket.setsockopt(zmq.IPV6, addresses.is_ipv6(address))
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # A send to one that is gone or full fails; without it, it is dropped.
    if keys is not None:
        lock_listener(socket, keys)
    try:
        socket.bind(to_bind)
        real_address = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        shortcut = shortcut_of(real_address) if limits.shortcuts else None
        if shortcut is None:
            return socket, real_address, None
        socket.bind(shortcut)
        return socket, real_address, announce(shortcut)
    except (OSError, zmq.ZMQError) as error:
        socket.close(0)
        raise _why_not_bound(address, error) from None


def new_dialler(
    context: zmq.Context[Any], address: str, limits: LinkLimits, keys: LinkKeys | None
) -> zmq.Socket[bytes]:
    """A DEALER for one connection, not connected yet."""
    socket = _new(context, zmq.DEALER, limits, keys)
    socket.setsockopt(zmq.IPV6, addresses.is_ipv6(address))
    if keys is not None:
        lock_next_connection(socket, keys.own, keys.server)
    return socket


def new_caller(context: zmq.Context[Any], limits: LinkLimits, keys: LinkKeys | None) -> zmq.Socket[bytes]:
    """A ROUTER that connects to many."""
    socket = _new(context, zmq.ROUTER, limits, keys)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return socket


def connect(socket: zmq.Socket[bytes], address: str, limits: LinkLimits) -> str:
    """Begin to connect to `address`, by its shortcut if it has one. Returns libzmq's endpoint.

    Raises BadAddress for what libzmq does not take.
    """
    endpoint = shortest(address) if limits.shortcuts else address
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise BadAddress(f"cannot connect to {endpoint!r}: {error.strerror}") from None
    return endpoint


def _new(context: zmq.Context[Any], kind: int, limits: LinkLimits, keys: LinkKeys | None) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(kind)
    for option, value in _EVERY_SOCKET.items():
        socket.setsockopt(option, value)
    socket.setsockopt(zmq.SNDHWM, limits.pipe_messages)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, limits.max_frame_bytes + (OVERHEAD_BYTES if keys else 0))
    socket.setsockopt(zmq.LINGER, round(limits.hang_up_s * 1000))  # By default it waits for ever, also at exit.
    socket.setsockopt(zmq.CONNECT_TIMEOUT, round(limits.handshake_s * 1000))
    socket.setsockopt(zmq.HANDSHAKE_IVL, round(limits.handshake_s * 1000))
    socket.setsockopt(zmq.HEARTBEAT_IVL, round(limits.heartbeat_s * 1000))
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, round(limits.heartbeat_timeout_s * 1000))
    socket.setsockopt(zmq.HEARTBEAT_TTL, round(limits.heartbeat_timeout_s * 1000))
    return socket


def _why_not_bound(address: str, error: OSError | zmq.ZMQError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(address)
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return BadAddress(f"cannot listen on {address}: no network interface of this host has that address")
    return OperationalError(f"cannot listen on {address}: {error.strerror}")


# -- frames ------------------------------------------------------------------------------------------------------


def receive_rest(recv: Any, first: zmq.Frame) -> list[Frame]:
    """The frames of a message of which the first was received just now. They have all arrived with it."""
    frames: list[Frame] = [first.bytes if len(first) < BLOB_BYTES else first.buffer]
    more = first.more
    while more:
        frame = recv(NOBLOCK, False)
        frames.append(frame.bytes if len(frame) < BLOB_BYTES else frame.buffer)
        more = frame.more
    return frames


def plain_send(socket: zmq.Socket[bytes]) -> Any:
    """`socket.send` without what pyzmq adds for other kinds of sockets, which takes as long as the sending."""
    return super(zmq.Socket, socket).send


def send_frame(send: Any, frame: Frame, flags: int) -> None:
    """Send one frame. What was received in a buffer of ZeroMQ's goes out from it; all else is copied into one.

    (pyzmq can also send from Python's own memory. It then needs a thread to free it, which under gevent becomes a
    greenlet of whichever hub comes first, and never runs where that is a native thread's. A copy takes 30 µs per MB.)
    """
    if type(frame) is memoryview:
        buffer = frame.obj
        if isinstance(buffer, zmq.Frame) and len(buffer) == frame.nbytes:
            send(buffer, flags, False)
            return
    send(frame, flags)
