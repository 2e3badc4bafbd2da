"""Addresses: ``tcp://host:port`` and ``ipc://path``, checked before libzmq sees them, because it takes nonsense.

(It listens on port 34463 when asked for 99999, and connects to 80 when asked for 80x.)
"""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import Any

from actorq import native
from actorq.errors import AddressInUse, BadAddress
from actorq.policies.addresses import IPC_PATH_BYTES, TCP


def check_to_dial(address: str) -> None:
    """Raises BadAddress if nobody can be reached at `address`."""
    tcp = _check(address)
    if tcp is not None and (tcp["host"] == "*" or tcp["port"] in {"*", "0"}):
        raise BadAddress(f"cannot connect to {address!r}: name a host and a port, such as tcp://127.0.0.1:5570")


def check_to_listen(address: str) -> str:
    """The address in libzmq's form. Raises BadAddress, or AddressInUse if somebody listens on that path already."""
    tcp = _check(address)
    if tcp is None:
        _check_path_is_free(address)
        return address
    return f"{address[:-2]}:*" if address.endswith(":0") else address


def is_ipv6(address: str) -> bool:
    """Whether the address is a literal of IPv6. A host's name stays with IPv4, as `localhost` would miss 127.0.0.1."""
    return address.startswith("tcp://[")


def _check(address: str) -> re.Match[str] | None:
    if address.startswith("ipc://"):
        path = os.fsencode(address[6:])
        if path.startswith(b"@"):
            raise BadAddress(f"{address!r} is not a path: abstract names are for shortcuts only")
        if not 0 < len(path) <= IPC_PATH_BYTES:
            raise BadAddress(f"{address!r} needs a path of 1 to {IPC_PATH_BYTES} bytes; this one has {len(path)}")
        return None
    match = TCP.fullmatch(address)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
        raise BadAddress(f"{address!r} is not an address: write tcp://HOST:PORT, tcp://[IPV6]:PORT or ipc://PATH")
    return match


def _check_path_is_free(address: str) -> None:
    """libzmq takes a path away from whoever listens on it, without a word. One that nobody listens on may be taken."""
    new_socket: Any = native.original("socket", "socket")
    with new_socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(address[6:])
    if result in (0, errno.EAGAIN, errno.EINPROGRESS):
        raise AddressInUse(address)
