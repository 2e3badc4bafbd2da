"""Keys of links: with them, all connections are encrypted, and both sides of each know whom they talk to (CURVE).

Keys are text, 40 characters of Z85, as ZeroMQ writes them. Who listens has a key pair, whose public half those who
connect must know beforehand; they have pairs of their own, about which the listener's `LinkKeys.admit` is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils import z85

from actorq.errors import ImproperlyConfigured
from actorq.transport.events import Identity

DOMAIN = b"actorq"
"""Of ZAP. Without one libzmq asks nobody, and lets everybody in."""
KEY_CHARACTERS = 40
OVERHEAD_BYTES = 64
"""A frame is longer when it is encrypted (by 33 bytes), and that is what libzmq's limit is about."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two halves of a CURVE key."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """With which keys a link connects and listens."""

    own: KeyPair
    """With which it connects to others."""
    server: str
    """Public key of the listeners that it dials. (For those that it calls, `Link.call` is told.)"""
    listener: KeyPair
    """With which it listens."""
    admit: Callable[[str, str], bool]
    """Whether the owner of a public key, at an IP address (or nothing: on this host), is let in."""


def new_pair() -> KeyPair:
    """A random pair. Raises ImproperlyConfigured where libzmq was built without CURVE."""
    _check_curve()
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def pair_of(secret: bytes) -> KeyPair:
    """The pair whose secret half are these 32 bytes. Raises ImproperlyConfigured as `new_pair`."""
    _check_curve()
    text: bytes = z85.encode(secret)
    return KeyPair(zmq.curve_public(text).decode(), text.decode())


def is_key(text: object) -> bool:
    """Whether it can be a key."""
    if not isinstance(text, str) or len(text) != KEY_CHARACTERS or not text.isascii():
        return False
    try:
        z85.decode(text.encode())
    except Exception:  # It says so in many ways.
        return False
    return True


def text_of(key: bytes) -> str:
    """A key of 32 bytes as text."""
    text: bytes = z85.encode(key)
    return text.decode()


def lock_listener(socket: zmq.Socket[bytes], keys: LinkKeys) -> None:
    """Let in only whom the link's gate lets in. To be called before the socket is bound."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.listener.secret.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.listener.public.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # Nobody comes in while nobody answers at the gate.


def lock_next_connection(socket: zmq.Socket[bytes], own: KeyPair, server: str) -> None:
    """Connect from now on only to the one who has the secret of `server`."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())


def identity_of(first: Any, has_keys: bool) -> Identity:
    """Whose message this is, from its first frame."""
    key = str(first.get("User-Id")) if has_keys else ""
    return Identity(key, ip_address_of(str(first.get("Peer-Address"))))


def ip_address_of(address: str) -> str:
    """An address as libzmq has it, or nothing for a Unix socket: "localhost" and ids of user, group and process."""
    return "" if address.partition(":")[0] == "localhost" else address


def _check_curve() -> None:
    if not zmq.has("curve"):
        raise ImproperlyConfigured(
            "keys need CURVE, and the libzmq that pyzmq has here was built without it: install pyzmq from its wheel"
        )
