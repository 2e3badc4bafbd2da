"""Links in one process without a socket, thread, clock or random source: for simulation and for unit tests.

Whoever drives the network says what time it is, and when; a policy says what happens to the traffic. A session behaves
as one over TCP and ZeroMQ does: in order, nothing lost out of its middle, and all that is under way lost with it.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from actorq.config import BLOB_BYTES
from actorq.errors import AddressInUse, MessageTooLarge
from actorq.transport.events import Down, Event, Frame, Peer, Received, Up
from actorq.transport.interface import Turn
from actorq.transport.limits import LinkLimits


class Policy(Protocol):
    """What the network does. Asked again and again, so it may change its mind at any time."""

    def delay_s(self, sender: str, receiver: str) -> float:
        """How long the next message from one host to the other takes. It still arrives after those before it."""

    def passes(self, sender: str, receiver: str) -> bool:
        """Whether anything arrives at all. If not, it waits; after the heartbeat's timeout the session is over."""

    def reads(self, receiver: str) -> bool:
        """Whether the host takes what has arrived. If not, its peers have a backlog sooner or later."""


class Calm:
    """No delays and no faults."""

    def delay_s(self, sender: str, receiver: str) -> float:
        return 0.0

    def passes(self, sender: str, receiver: str) -> bool:
        return True

    def reads(self, receiver: str) -> bool:
        return True


class MemoryNetwork:
    """All links and the connections between them."""

    def __init__(self, policy: Policy | None = None, limits: LinkLimits | None = None) -> None:
        self.policy: Policy = policy or Calm()
        self.limits = limits or LinkLimits()
        self.now_s = 0.0
        self.new_peer = itertools.count(1).__next__
        """From 1 in each network, so that a run can be repeated in one process."""
        self.listeners: dict[str, MemoryLink] = {}
        self.connections: dict[_Connection, None] = {}
        self._ports = itertools.count(49152)

    def link(self, host: str, turn: Turn) -> MemoryLink:
        """A new link, of a process on `host`. Hosts are what the policy is asked about."""
        return MemoryLink(self, host, turn)

    def deliver(self, now_s: float) -> None:
        """Let time pass until `now_s`: what is due arrives in the links' inboxes."""
        self.now_s = max(now_s, self.now_s)
        for connection in tuple(self.connections):
            connection.advance(self.now_s)

    def next_s(self) -> float:
        """When there is something to deliver next, as far as it is known. Infinity: nothing is under way."""
        return min((connection.next_s() for connection in self.connections), default=math.inf)

    def cut(self, host: str, other: str) -> None:
        """Break all connections between two hosts. Both sides hear of it at once."""
        for connection in tuple(self.connections):
            if connection.links(host, other):
                connection.break_("the connection was cut")

    def crash(self, link: MemoryLink) -> None:
        """The process ends without a word. Its peers hear of it as soon as the network lets them."""
        link.close()
        for connection in tuple(self.connections):
            connection.abandon(link)

    def free_address(self, host: str) -> str:
        return f"tcp://{host}:{next(self._ports)}"


class MemoryLink:
    """A link in memory: to its owner like `Link`, but its turns are taken by whoever drives the network."""

    def __init__(self, network: MemoryNetwork, host: str, turn: Turn) -> None:
        self.host = host
        self.asleep = True
        self.due_s = 0.0
        """When the owner wants a turn, even if nothing has happened. Infinity: not at all."""
        self._network = network
        self._turn = turn
        self._inbox: list[Event] = []
        self._sides: dict[Peer, _Side] = {}
        self._is_closed = False

    # -- for the driver ------------------------------------------------------------------------------------------

    def wants_turn(self, now_s: float) -> bool:
        """Whether something has happened, somebody has called `wake`, or it is due."""
        return not self._is_closed and (bool(self._inbox) or not self.asleep or now_s >= self.due_s)

    def take_turn(self, now_s: float) -> None:
        """Hand all that has happened to the owner."""
        events, self._inbox = self._inbox, []
        self.asleep = True
        delay_s = self._turn(events)
        self.due_s = math.inf if delay_s is None else now_s + delay_s

    # -- for the owner -------------------------------------------------------------------------------------------

    def listen(self, address: str) -> str:
        if address.endswith((":0", ":*")):
            address = self._network.free_address(self.host)
        if address in self._network.listeners:
            raise AddressInUse(address)
        self._network.listeners[address] = self
        return address

    def dial(self, address: str) -> Peer:
        return self._connect(address, is_call=False)

    def call(self, address: str) -> Peer:
        for peer, side in self._sides.items():
            if side.connection.is_call and side.connection.address == address and side is side.connection.near:
                return peer
        return self._connect(address, is_call=True)

    def hang_up(self, peer: Peer) -> None:
        side = self._sides.get(peer)
        if side is not None:
            side.connection.hang_up(side)
            self._end(side, "hung up here")

    def send(self, peer: Peer, frames: Sequence[Frame], urgent: bool = False) -> None:
        limit_bytes = self._network.limits.max_frame_bytes
        for frame in frames:
            if len(frame) > limit_bytes:
                raise MessageTooLarge("a frame", len(frame), limit_bytes)
        side = self._sides.get(peer)
        if side is not None:
            (side.urgent if urgent else side.bulk).append(frames)

    def backlog(self, peer: Peer) -> int:
        side = self._sides.get(peer)
        return 0 if side is None else len(side.urgent) + len(side.bulk)

    def wake(self) -> None:
        self.asleep = False

    def stop(self, linger_s: float = 1.0) -> None:
        """What was sent before still arrives."""
        for peer in tuple(self._sides):
            self.hang_up(peer)
        self.close()
        for connection in tuple(self._network.connections):
            connection.finish(self)

    # -- for the network -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing comes in any more, and nobody can connect."""
        self._is_closed = True
        self._inbox.clear()
        self._sides.clear()
        for address in [each for each, link in self._network.listeners.items() if link is self]:
            del self._network.listeners[address]
