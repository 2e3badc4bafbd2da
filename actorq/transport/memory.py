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
from actorq.transport.events import Down, Event, Frame, Identity, Peer, Received, Up
from actorq.transport.interface import Turn
from actorq.transport.limits import LinkLimits

_CLOSED = "the peer has closed the connection, or is gone"


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
    """All links, and the connections between them."""

    def __init__(self, policy: Policy | None = None, limits: LinkLimits | None = None) -> None:
        self.policy: Policy = policy or Calm()
        self.limits = limits or LinkLimits()
        self.now_s = 0.0
        self.listeners: dict[str, MemoryLink] = {}
        self.connections: list[Connection] = []
        # Each network counts from 1, so that a run can be repeated in one process.
        self.new_peer = itertools.count(1).__next__
        self.new_port = itertools.count(49152).__next__

    def link(self, host: str, turn: Turn) -> MemoryLink:
        """A new link, of a process on `host`. Hosts are what the policy is asked about."""
        return MemoryLink(self, host, turn)

    def deliver(self, now_s: float) -> None:
        """Let it be `now_s`: what is due by then arrives in the inboxes of the links."""
        self.now_s = max(now_s, self.now_s)
        for connection in self.connections:
            connection.advance(self.now_s)
        self.connections = [each for each in self.connections if not each.is_over]

    def next_s(self) -> float:
        """When there is something to deliver next, as the policy is now. Infinity: nothing moves."""
        return min((each.next_s(self.now_s) for each in self.connections), default=math.inf)

    def cut(self, host: str, other: str) -> None:
        """Break all connections between two hosts. What is under way is lost; both sides hear of it at once."""
        for connection in self.connections:
            if {side.link.host for side in connection.sides} == {host, other}:
                connection.cut()

    def crash(self, link: MemoryLink) -> None:
        """The process ends without a word. Its peers hear of it as soon as the network lets them."""
        link.close()
        for connection in self.connections:
            for side in connection.sides:
                if side.link is link:
                    side.discard()
                    side.close()


class MemoryLink:
    """A link in memory: to its owner as `Link` is, but its turns are taken by whoever drives the network."""

    def __init__(self, network: MemoryNetwork, host: str, turn: Turn) -> None:
        self.host = host
        self.asleep = True
        self.due_s = 0.0
        """When the owner wants a turn even if nothing has happened. Infinity: not at all."""
        self.inbox: list[Event] = []
        self.sides: dict[Peer, Side] = {}
        self.is_closed = False
        self._network = network
        self._turn = turn

    def wants_turn(self, now_s: float) -> bool:
        """Whether something has happened, somebody has called `wake`, or it is due."""
        return not self.is_closed and (bool(self.inbox) or not self.asleep or now_s >= self.due_s)

    def take_turn(self, now_s: float) -> None:
        """Hand all that has happened to the owner."""
        events, self.inbox = self.inbox, []
        self.asleep = True
        delay_s = self._turn(events)
        self.due_s = math.inf if delay_s is None else now_s + delay_s

    def listen(self, address: str) -> str:
        if address.endswith((":0", ":*")):
            address = f"tcp://{self.host}:{self._network.new_port()}"
        if address in self._network.listeners:
            raise AddressInUse(address)
        self._network.listeners[address] = self
        return address

    def dial(self, address: str) -> Peer:
        return self._connect(address, is_call=False)

    def identity(self, peer: Peer) -> Identity:
        return Identity()

    def call(self, address: str, key: str = "") -> Peer:
        for peer, side in self.sides.items():
            if side.connection.is_call and side.connection.address == address and side.is_near:
                return peer
        return self._connect(address, is_call=True)

    def hang_up(self, peer: Peer) -> None:
        side = self.sides.get(peer)
        if side is not None:
            if side.connection.is_up:
                side.flush()
            if side.is_near:
                side.close()
            self.end(side, "hung up here")

    def send(self, peer: Peer, frames: Sequence[Frame], urgent: bool = False) -> None:
        limit_bytes = self._network.limits.max_frame_bytes
        for frame in frames:
            if len(frame) > limit_bytes:
                raise MessageTooLarge("a frame", len(frame), limit_bytes)
        side = self.sides.get(peer)
        if side is not None:
            (side.urgent if urgent else side.bulk).append(frames)

    def backlog(self, peer: Peer) -> int:
        side = self.sides.get(peer)
        return 0 if side is None else len(side.urgent) + len(side.bulk)

    def wake(self) -> None:
        self.asleep = False

    def stop(self, linger_s: float = 1.0) -> None:
        """All that was sent before still arrives, however long it takes."""
        for connection in self._network.connections:
            for side in connection.sides:
                if side.link is self:
                    if connection.is_up:
                        side.flush()
                    side.close()
        self.close()

    def close(self) -> None:
        """Nothing is heard any more, and nobody can connect."""
        self.is_closed = True
        self.inbox.clear()
        self.sides.clear()
        for address in [each for each, link in self._network.listeners.items() if link is self]:
            del self._network.listeners[address]

    def arrive(self, side: Side, frames: Sequence[Frame]) -> None:
        """A message has come; the first one of a connection makes it a peer."""
        if self.is_closed or (len(frames) == 1 and not frames[0]):
            return
        if side.peer is None:
            self.begin(side)
        assert side.peer is not None
        self.inbox.append(Received(side.peer, [_as_received(frame) for frame in frames]))

    def begin(self, side: Side) -> Peer:
        """Gives the other side of a connection a number."""
        side.peer = self._network.new_peer()
        self.sides[side.peer] = side
        return side.peer

    def end(self, side: Side, reason: str) -> None:
        """The session that goes through the connection is over, for this link."""
        peer, side.peer = side.peer, None
        if peer is not None and self.sides.pop(peer, None) is not None:
            self.inbox.append(Down(peer, reason))

    def _connect(self, address: str, is_call: bool) -> Peer:
        connection = Connection(self._network, self, address, is_call)
        self._network.connections.append(connection)
        return self.begin(connection.sides[0])


class Connection:
    """Between the link that dialled or called, and from the time on when it is found, the one that listens."""

    def __init__(self, network: MemoryNetwork, near: MemoryLink, address: str, is_call: bool) -> None:
        self.network = network
        self.address = address
        self.is_call = is_call
        self.sides: list[Side] = [Side(self, near, is_near=True)]
        self._began_s = network.now_s
        self._retry_s = network.limits.redial_min_s
        self._attempt_at_s = network.now_s
        self._up_at_s: float | None = None

    @property
    def is_over(self) -> bool:
        return all(side.is_closed for side in self.sides)

    @property
    def is_up(self) -> bool:
        """Whether messages flow: one that was called takes them at once, one that was dialled after a handshake."""
        return len(self.sides) == 2 and self._up_at_s is None

    def advance(self, now_s: float) -> None:
        if len(self.sides) == 1 and not self.sides[0].is_closed:
            self._attempt(now_s)
        if self._up_at_s is not None and self._up_at_s <= now_s:
            self._up_at_s = None
            near = self.sides[0]
            if near.peer is not None:
                near.link.inbox.append(Up(near.peer, self.address))
        if self.is_up:
            near, far = self.sides
            near.transmit(far, now_s)
            far.transmit(near, now_s)

    def next_s(self, now_s: float) -> float:
        if len(self.sides) == 1:
            listener = self.network.listeners.get(self.address)
            if listener is None:
                return max(self._attempt_at_s, now_s)
            if self._can_meet(listener):
                return now_s
            return max(self._began_s + self.network.limits.handshake_s, now_s) if self.is_call else math.inf
        if self._up_at_s is not None:
            return self._up_at_s
        near, far = self.sides
        return min(near.next_s(far, now_s), far.next_s(near, now_s))

    def cut(self) -> None:
        """Both sides lose it, and what is under way."""
        for side in self.sides:
            side.discard()
            side.lose("the connection was cut")

    def _attempt(self, now_s: float) -> None:
        near = self.sides[0]
        policy, limits = self.network.policy, self.network.limits
        listener = self.network.listeners.get(self.address)
        if listener is None:
            if now_s < self._attempt_at_s:
                return
            if self.is_call:
                near.lose(f"nobody listens at {self.address}, or it cannot be reached")
            self._attempt_at_s = now_s + self._retry_s
            self._retry_s = min(self._retry_s * 2, limits.redial_max_s)
        elif self._can_meet(listener):
            self.sides.append(Side(self, listener, is_near=False))
            if not self.is_call:
                there_s = policy.delay_s(near.link.host, listener.host)
                self._up_at_s = now_s + there_s + policy.delay_s(listener.host, near.link.host)
        elif self.is_call and now_s - self._began_s >= limits.handshake_s:
            near.lose(f"{self.address} did not answer")

    def _can_meet(self, listener: MemoryLink) -> bool:
        host, passes = self.sides[0].link.host, self.network.policy.passes
        return passes(host, listener.host) and passes(listener.host, host)


class Side:
    """One end of a connection: its outbox, and the pipe that leads from it to the other end."""

    def __init__(self, connection: Connection, link: MemoryLink, is_near: bool) -> None:
        self.connection = connection
        self.link = link
        self.is_near = is_near
        self.peer: Peer | None = None  # As the link here calls the other end.
        self.urgent: deque[Sequence[Frame]] = deque()
        self.bulk: deque[Sequence[Frame]] = deque()
        self.is_closed = False
        self._pipe: deque[tuple[float, Sequence[Frame] | None]] = deque()  # None is the end.
        self._last_s = 0.0
        self._blocked_since_s: float | None = None

    def flush(self, room: float = math.inf) -> None:
        """From the outbox into the pipe, as far as there is `room`."""
        for lane in (self.urgent, self.bulk):
            while lane and len(self._pipe) < room:
                self._put(lane.popleft())

    def close(self) -> None:
        """The last message has been put into the pipe."""
        if not self.is_closed:
            self.is_closed = True
            self._put(None)

    def discard(self) -> None:
        """Everything that has not arrived is lost."""
        self.urgent.clear()
        self.bulk.clear()
        self._pipe.clear()

    def lose(self, reason: str) -> None:
        """The link here hears that the session is over."""
        self.urgent.clear()
        self.bulk.clear()
        self.close()
        self.link.end(self, reason)

    def transmit(self, other: Side, now_s: float) -> None:
        """Let arrive at the other end what is due."""
        network = self.connection.network
        if not self.is_closed:
            self.flush(network.limits.pipe_messages)
        if not network.policy.passes(self.link.host, other.link.host):
            if self._blocked_since_s is None:
                self._blocked_since_s = now_s
            elif now_s - self._blocked_since_s >= network.limits.heartbeat_timeout_s and not other.is_closed:
                other.lose(f"no heartbeat for {network.limits.heartbeat_timeout_s:g} s")
            return
        self._blocked_since_s = None
        while self._pipe and self._pipe[0][0] <= now_s and network.policy.reads(other.link.host):
            frames = self._pipe.popleft()[1]
            if other.is_closed:
                continue
            if frames is None:
                other.lose(_CLOSED)
            else:
                other.link.arrive(other, frames)

    def next_s(self, other: Side, now_s: float) -> float:
        """When `transmit` has something to do."""
        network = self.connection.network
        if not network.policy.passes(self.link.host, other.link.host):
            if other.is_closed:
                return math.inf
            since_s = now_s if self._blocked_since_s is None else self._blocked_since_s
            return max(since_s + network.limits.heartbeat_timeout_s, now_s)
        if not self.is_closed and (self.urgent or self.bulk) and len(self._pipe) < network.limits.pipe_messages:
            return now_s
        if self._pipe and network.policy.reads(other.link.host):
            return max(self._pipe[0][0], now_s)
        return math.inf

    def _put(self, frames: Sequence[Frame] | None) -> None:
        network = self.connection.network
        near, far = self.connection.sides[0], self.connection.sides[-1]
        other = near if self is far else far
        delay_s = network.policy.delay_s(self.link.host, other.link.host)
        self._last_s = max(self._last_s, network.now_s + delay_s)
        self._pipe.append((self._last_s, frames))


def _as_received(frame: Frame) -> Frame:
    """As it comes out of a socket: large ones as a view."""
    if len(frame) >= BLOB_BYTES:
        return memoryview(frame)
    return bytes(frame)
