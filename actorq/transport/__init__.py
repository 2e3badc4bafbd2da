"""Links between nodes: sessions and messages over ZeroMQ, which nothing else in actorq imports."""

from __future__ import annotations

from actorq.transport.events import Down, Event, Frame, Peer, Received, Up
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
    "Link",
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
]
