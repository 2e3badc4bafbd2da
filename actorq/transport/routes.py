"""Which address of this host others can reach."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from actorq import native
from actorq.errors import OperationalError
from actorq.policies.addresses import is_loopback
from actorq.transport.addresses import is_ipv6

WILDCARDS = ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:")
ELSEWHERE = "tcp://192.0.2.1:9"
"""TEST-NET-1 (RFC 5737): an address of another network, to which nothing is sent."""


def host_towards(addresses: Sequence[str]) -> str:
    """The address of this host that the hosts of `addresses` can reach. Raises OperationalError if none is known."""
    trouble: OSError | None = None
    for address in addresses:
        if is_loopback(address):
            continue
        try:
            return _route_to(address)
        except OSError as error:
            trouble = error
    if trouble is not None and not any(map(is_loopback, addresses)):
        raise OperationalError(
            f"there is no way to the coordinator at {', '.join(addresses)}: {trouble}. Check the host's name in the "
            f"URL, and this host's network"
        ) from trouble
    return "127.0.0.1"


def address_for_others(listening: str, others: Sequence[str] = ()) -> str:
    """What others are told of a listener at `listening`: for all interfaces, the address on the way to those others."""
    wildcard = next((each for each in WILDCARDS if listening.startswith(each)), None)
    if wildcard is None:
        return listening
    port = listening.rpartition(":")[2]
    try:
        host = host_towards([each for each in others if not is_loopback(each)] or [ELSEWHERE])
    except OperationalError:
        host = "127.0.0.1"
    return f"tcp://{host}:{port}"


def _route_to(address: str) -> str:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    with native.original("socket", "socket")(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host.strip("[]"), int(port)))  # Sends nothing: only looks up the route.
        own: str = probe.getsockname()[0]
    return f"[{own}]" if is_ipv6(address) else own
