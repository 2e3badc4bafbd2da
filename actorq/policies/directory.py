"""Where the coordinators are: addresses that the user gave, and those that coordinators name. Of workers and coordinators,
which have a connection to each of them.

A connection begins with the question who is there, since a coordinator may be known by several addresses. Whoever has a
connection with it already hangs up, so that each coordinator sees one session of a node.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from actorq.policies.addresses import can_be_called

Peer = int
Place = tuple[str, str]
"""Address and epoch of a coordinator; the epoch may be empty."""
REDIAL_MIN_S, REDIAL_MAX_S = 0.05, 2.0
ANSWER_S = 5.0
"""A coordinator that has not welcomed us so long after the connection was opened is dialled anew."""


@dataclass(slots=True, eq=False)
class Connection:
    """What leads to one address."""

    address: str
    peer: Peer | None = None
    number: int | None = None
    """Of the session that it leads to, as its owner counts them; None: not known yet."""
    nonce: str = ""
    """Of the question who is there."""
    others: list[str] = field(default_factory=list)
    """Addresses of the other coordinators, as the one at this address knows them."""
    failures: int = 0
    """How often it was lost without a Welcome."""
    dial_s: float = 0.0
    """When to dial again."""
    answer_until_s: float = 0.0
    """When to give up waiting for Welcome; 0: it has come, or the connection is not up."""
    twin: Connection | None = None
    """Another connection that leads to the same coordinator: as long as it is there, this one need not be."""


class Directory:
    """The connections of one node, by address."""

    def __init__(self, seeds: Sequence[str], jitter: str, now_s: float, loopback_only: bool = False) -> None:
        self._seeds = list(dict.fromkeys(seeds))
        self._jitter = jitter
        self._loopback_only = loopback_only
        self._own: set[str] = set()
        self._by_peer: dict[Peer, Connection] = {}
        self._connections = {address: Connection(address, dial_s=now_s) for address in self._seeds}

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._connections.values())

    def of(self, peer: Peer) -> Connection | None:
        """The connection that is known as `peer`."""
        return self._by_peer.get(peer)

    def to(self, number: int) -> Connection | None:
        """The open connection that leads to a session."""
        return next((each for each in self if each.number == number and each.peer is not None), None)

    def due(self, now_s: float) -> list[str]:
        """Addresses to dial now."""
        due = []
        for each in self:
            if each.twin is not None and each.twin.peer is None:
                each.twin = None
            if each.peer is None and each.twin is None and each.dial_s <= now_s:
                each.dial_s = float("inf")  # Until `dialled` and `lose`.
                due.append(each.address)
        return due

    def overdue(self, now_s: float) -> list[Connection]:
        """Connections that are up, and on which no Welcome has come for too long."""
        return [each for each in self if each.peer is not None and 0 < each.answer_until_s <= now_s]

    def next_s(self) -> float:
        """When to look again at what is due and overdue."""
        times = [each.dial_s for each in self if each.peer is None and each.twin is None]
        return min(times + [each.answer_until_s for each in self if each.answer_until_s], default=float("inf"))

    def dialled(self, address: str, peer: Peer) -> None:
        connection = self._connections[address]
        connection.peer = peer
        self._by_peer[peer] = connection

    def opened(self, connection: Connection, nonce: str, now_s: float) -> None:
        connection.nonce = nonce
        connection.answer_until_s = now_s + ANSWER_S

    def welcomed(self, connection: Connection) -> None:
        connection.failures = 0
        connection.answer_until_s = 0.0

    def lose(self, connection: Connection, now_s: float) -> None:
        """It is gone: to be dialled again after a pause, a longer one each time it comes to nothing."""
        if connection.peer is not None:
            self._by_peer.pop(connection.peer, None)
        connection.peer = None
        if connection.answer_until_s:
            connection.failures += 1
            connection.answer_until_s = 0.0
        pause_s = min(REDIAL_MIN_S * 2**connection.failures, REDIAL_MAX_S)
        connection.dial_s = now_s + pause_s * self._share_of_pause(connection)

    def _share_of_pause(self, connection: Connection) -> float:
        """Between a half and one, another one for each node: all have lost the coordinator at the same moment."""
        text = f"{self._jitter} {connection.address} {connection.failures}"
        return 0.5 + zlib.crc32(text.encode()) / 2**33

    def merge(self, connection: Connection, twin: Connection) -> None:
        """`connection` leads where `twin` leads."""
        connection.twin = twin

    def learn(self, connection: Connection | None, others: Sequence[Place], known: Iterable[str], now_s: float) -> None:
        """Others are named, by the coordinator at the other end if `connection` says which; with those whose epochs are
        `known` there is a session already.
        """
        if connection is not None:
            connection.others = [address for address, _ in others]
        known = set(known)
        for address, epoch in others:
            is_new = address not in self._connections and address not in self._own and epoch not in known
            if is_new and can_be_called(address, self._loopback_only):
                self._connections[address] = Connection(address, dial_s=now_s)

    def drop(self, connection: Connection) -> None:
        """This address is our own, or nobody's any more."""
        self._own.add(connection.address)
        del self._connections[connection.address]
        if connection.peer is not None:
            self._by_peer.pop(connection.peer, None)

    def forget_gone(self, is_needed: Callable[[int], bool] = lambda number: False) -> list[Connection]:
        """Forget addresses that no coordinator names any more, unless the session there `is_needed`. Returns them."""
        open_ones = [each for each in self if each.peer is not None and each.number is not None]
        if not open_ones:
            return []
        named = {address for each in open_ones for address in each.others} | set(self._seeds)
        gone = [
            each
            for each in self
            if each.address not in named and each.peer is None and (each.number is None or not is_needed(each.number))
        ]
        for each in gone:
            del self._connections[each.address]
        return gone
