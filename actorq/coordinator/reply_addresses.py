"""Whether a client may have results sent to an address: only to where it comes from."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from actorq import native

Address = IPv4Address | IPv6Address


def may_reply_to(reply_address: str, peer_address: str) -> bool:
    """Whether a peer with that IP address (none: a process of this host) may listen at `reply_address`.

    A process of this host may listen at loopback, at a path, and at any address of this host.
    """
    peer = _ip(peer_address) if peer_address else None
    is_local = not peer_address or (peer is not None and peer.is_loopback)
    if reply_address.startswith("ipc://"):
        return is_local
    host = reply_address.removeprefix("tcp://").rpartition(":")[0]
    wanted = _ip(host.strip("[]").partition("%")[0])
    if wanted is None or not reply_address.startswith("tcp://"):
        return False
    return (wanted.is_loopback or _is_own(wanted)) if is_local else wanted == peer


def _ip(text: str) -> Address | None:
    """The address; None for what is none, a host's name included: it could mean another host a moment later."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _is_own(address: Address) -> bool:
    """Whether it is one of this host's: only then can a socket be bound to it."""
    new_socket: Any = native.original("socket", "socket")
    try:
        with new_socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return not address.is_unspecified and not address.is_multicast
