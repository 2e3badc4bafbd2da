"""Links between nodes: sessions and messages over ZeroMQ, which nothing else in actorq imports."""

from __future__ import annotations

from actorq.transport.curve import KeyPair, LinkKeys, is_key, new_pair, pair_of
from actorq.transport.events import Down, Event, Frame, Identity, Peer, Received, Up
from actorq.transport.interface import Transport, Turn
from actorq.transport.limits import LinkLimits, LinkStats
from actorq.transport.link import Link
from actorq.transport.memory import Calm, MemoryLink, MemoryNetwork, Policy
from actorq.transport.waiters import GreenWaiter, ThreadWaiter, Waiter

__all__ = [
    "Calm",
    "Down",
    "Event",
    "Frame",
    "GreenWaiter",
    "Identity",
    "KeyPair",
    "Link",
    "LinkKeys",
    "LinkLimits",
    "LinkStats",
    "MemoryLink",
    "MemoryNetwork",
    "Peer",
    "Policy",
    "Received",
    "ThreadWaiter",
    "Transport",
    "Turn",
    "Up",
    "Waiter",
    "is_key",
    "new_pair",
    "pair_of",
]
