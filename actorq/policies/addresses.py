"""Where coordinators are: what a URL says, and how it is said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from actorq.config import DEFAULT_ADDRESS, INSECURE_VARIABLE, KEY_VARIABLE, URL_VARIABLE
from actorq.errors import BadAddress, ImproperlyConfigured

LOCAL = "local://"
SCHEMES = ("tcp://", "ipc://")
HOST = r"\[[0-9A-Fa-f:.]+(%\w+)?\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\*"
TCP = re.compile(rf"tcp://(?P<host>{HOST}):(?P<port>\d{{1,5}}|\*)", re.ASCII)
IPC_PATH_BYTES = 107
"""What fits into sockaddr_un with its final zero."""


@dataclass(frozen=True, slots=True)
class MeshUrl:
    """A parsed URL: the coordinators' addresses, or an embedded mesh with its options."""

    addresses: tuple[str, ...] = ()
    is_local: bool = False
    options: dict[str, str] = field(default_factory=dict)


def parse_url(url: str) -> MeshUrl:
    """Parse ``tcp://host:5570,tcp://other:5570`` or ``local://?processes=2&concurrency=100``.

    Raises BadAddress, which says what a URL looks like.
    """
    if url.startswith(LOCAL):
        return MeshUrl(is_local=True, options=dict(parse_qsl(url[len(LOCAL) :].lstrip("/").lstrip("?"))))
    addresses = tuple(part.strip() for part in url.split(",") if part.strip())
    for address in addresses:
        _check(address)
    if not addresses:
        raise BadAddress(f"the mesh URL is empty: set {URL_VARIABLE}, for example to {DEFAULT_ADDRESS}, or pass url=")
    return MeshUrl(addresses)


def _check(address: str) -> None:
    if address.startswith("ipc://") and len(address) > len("ipc://"):
        return
    host, colon, port = address.removeprefix("tcp://").rpartition(":")
    if address.startswith("tcp://") and colon and host and port.isdigit() and 0 < int(port) < 65536:
        return
    raise BadAddress(
        f"{address!r} is not the address of a coordinator: write tcp://HOST:PORT, for example {DEFAULT_ADDRESS} "
        f"(several with commas between), or local:// for a mesh inside this program"
    )


def can_be_called(address: str, loopback_only: bool = False) -> bool:
    """Whether this is the address of one place (on this host). What other nodes say is looked at before it is dialled."""
    if loopback_only and not is_loopback(address):
        return False
    if address.startswith("ipc://"):
        return 0 < len(address[6:].encode(errors="replace")) <= IPC_PATH_BYTES and address[6] != "@"
    match = TCP.fullmatch(address)
    return match is not None and match["host"] != "*" and match["port"].isdigit() and 0 < int(match["port"]) < 65536


def is_loopback(address: str) -> bool:
    """Whether only this host can reach the address."""
    if address.startswith("ipc://"):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # A name; whatever it is now, it may be another host's tomorrow.


def check_listening(address: str, has_key: bool, insecure: bool) -> None:
    """Raise ImproperlyConfigured if other hosts could connect without a key and nobody said that this is meant."""
    if not (has_key or insecure or is_loopback(address)):
        raise ImproperlyConfigured(
            f"{address} can be reached from other hosts, and without a key whoever reaches it can run code on the "
            f"workers: give --key PATH (make one with 'actorq key new'), listen on loopback ({DEFAULT_ADDRESS}), or "
            f"add --insecure in a network that you trust entirely"
        )


def check_connecting(addresses: Iterable[str], has_key: bool, insecure: bool) -> None:
    """Raise ImproperlyConfigured if a coordinator is on another host, there is no key, and nobody said so."""
    for address in addresses:
        if not (has_key or insecure or is_loopback(address)):
            raise ImproperlyConfigured(
                f"the coordinator at {address} is not on this host, and without a key nothing is encrypted and nobody "
                f"knows who is at the other end: give a key file with key=PATH, --key PATH or {KEY_VARIABLE}, or, in a "
                f"network that you trust entirely, insecure=True, --insecure or {INSECURE_VARIABLE}=1"
            )
