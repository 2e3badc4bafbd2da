"""Connections between machines, as `actorq.transport` shows them.

Order is kept within a connection. One that is lost loses what is on its way; each side learns of it at a time of its
own; or what is on its way comes late, after the other side has a new connection. One whose other side is silent for as
long as ZeroMQ's heartbeats allow is lost too. A partition, which may be in one direction only, holds messages up.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from actorq.testing.loop import Loop

if TYPE_CHECKING:
    from tests.simulation.process import Machine, Process, Strand

Frames = Sequence["bytes | memoryview"]
FIN = None
"""What comes last on a connection that was closed."""
DELAY_LIMIT_S = 3.0
SILENCE_S = (6.0, 8.0)
"""After such a time without a sign of life a connection is given up."""


def address_of(machine: str) -> str:
    """Where the node on a machine is to be called."""
    return f"tcp://{machine}:1"


def name_of(address: str) -> str:
    """The machine that has this address."""
    return address.removeprefix("tcp://").removesuffix(":1")


@dataclass(frozen=True, slots=True)
class Up:
    """A connection that was dialled is there."""

    peer: int


@dataclass(frozen=True, slots=True)
class Down:
    """The session is over."""

    peer: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message came."""

    peer: int
    frames: Frames


class End:
    """One side of a connection."""

    __slots__ = ("arrives_s", "is_dialler", "is_held", "is_open", "network", "other", "peer", "strand", "stuck")

    def __init__(self, network: Network, strand: Strand, is_dialler: bool) -> None:
        self.network = network
        self.strand = strand
        self.is_dialler = is_dialler
        self.is_open = True
        self.peer = 0
        """What the process knows the session as. A listener knows none before the first message."""
        self.other: End | None = None
        self.arrives_s = 0.0
        """When the last message on its way to here will arrive."""
        self.is_held = False
        self.stuck: deque[Frames | None] = deque()
        """What has arrived, and is held up: by a partition, or as its connection is lost."""
        if is_dialler:
            self.name_session()

    @property
    def process(self) -> Process:
        return self.strand.process

    @property
    def machine(self) -> Machine:
        return self.strand.process.machine

    def name_session(self) -> None:
        self.peer = self.network.new_peer()
        self.process.ends[self.peer] = self

    def end_session(self) -> None:
        """The owner hears Down, once."""
        if self.peer:
            del self.process.ends[self.peer]
            self.strand.put(Down(self.peer))
            self.peer = 0

    def send(self, frames: Frames) -> None:
        if self.is_open and self.other is not None:
            self.network.send(self.other, frames)

    def hang_up(self) -> None:
        """End the session from this side.

        Like ZeroMQ's ROUTER, a listener cannot close one connection of many: it forgets it, and what still comes on it
        is a new peer's.
        """
        self.end_session()
        if self.is_dialler:
            self.is_open = False
            if self.other is not None:
                self.network.send(self.other, FIN)


class Network:
    """All connections and what is on them."""

    def __init__(self, loop: Loop, rng: Random, machines: dict[str, Machine]) -> None:
        self.loop = loop
        self.rng = rng
        self.machines = machines
        self.delay_s = 0.001
        self.slow: dict[str, float] = {}
        """Factors for the delay from and to a machine."""
        self.blocked: dict[tuple[str, str], int] = {}
        """Directions that a partition blocks, with the number of the partition."""
        self.late_share = 0.0
        """How often what was on a lost connection comes late, and is not lost."""
        self.unseen_share = 0.0
        """How often a result is lost on its way to a reply socket."""
        self.digest = 0
        self.counts: Counter[str] = Counter()
        self._peers = 0
        self._ends: list[End] = []

    def new_peer(self) -> int:
        self._peers += 1
        return self._peers

    # -- connections ---------------------------------------------------------------------------------------------

    def dial(self, strand: Strand, address: str) -> End:
        """Connect. As long as nobody listens there it goes on trying, until it is hung up."""
        address = name_of(address)
        end = End(self, strand, is_dialler=True)
        self.loop.after(self._delay(end.machine.name, address), partial(self._connect, end, address))
        return end

    def _connect(self, end: End, address: str) -> None:
        if not end.is_open or not end.process.is_alive:
            return
        listener = self.machines[address].process
        strand = None if listener is None or listener.is_paused or end.process.is_paused else listener.listens
        name = end.machine.name
        if strand is None or (name, address) in self.blocked or (address, name) in self.blocked:
            self.loop.after(self.rng.uniform(0.05, 0.5), partial(self._connect, end, address))
            return
        end.other = End(self, strand, is_dialler=False)
        end.other.other = end
        self._ends = [each for each in self._ends if each.is_open]
        self._ends += [end, end.other]
        self.loop.after(self._delay(name, address), partial(self._up, end))

    def _up(self, end: End) -> None:
        if end.peer:
            end.strand.put(Up(end.peer))

    def pairs(self) -> list[tuple[End, End]]:
        """The connections there are, as (dialler, listener)."""
        return [
            (end, end.other)
            for end in self._ends
            if end.is_dialler and end.is_open and end.other is not None and end.other.is_open
        ]

    def cut(self, end: End) -> None:
        """Lose the connection. Each side learns it at a time of its own, and what is on its way is lost.

        Or the listener gets it late, when the other side may have a new connection already, and only then learns it.
        """
        other = end.other
        if other is None or not end.is_open or not other.is_open:
            return
        if self.rng.random() < self.late_share:
            listener = other if end.is_dialler else end
            listener.is_held = True
            hold_s = self.rng.uniform(0.1, 4.0)
            self.loop.after(hold_s, partial(self._release, listener))
            self.loop.after(hold_s + self._notice_s(), partial(self._notice, listener))
            self.loop.after(self._notice_s(), partial(self._notice, end if end.is_dialler else other))
            return
        self.lose(end, self._notice_s())
        self.lose(other, self._notice_s())

    def lose(self, end: End, notice_s: float) -> None:
        """Nothing arrives at this end any more, and it learns so after a time."""
        end.arrives_s = float("inf")
        self.loop.after(notice_s, partial(self._notice, end))

    def _notice_s(self) -> float:
        return self.rng.expovariate(5.0) if self.rng.random() < 0.8 else self.rng.uniform(0.0, 6.0)

    def _notice(self, end: End) -> None:
        if end.is_open:
            end.is_open = False
            end.end_session()

    def close(self, process: Process, silently: bool) -> None:
        """The process is gone, and its connections with it."""
        for end in [each for each in self._ends if each.process is process and each.is_open]:
            end.is_open = False
            if end.other is None:
                continue
            if silently:  # The machine is gone: nobody says that the connection is over.
                self.loop.after(self.rng.uniform(*SILENCE_S), partial(self._notice, end.other))
            elif self.rng.random() < 0.5:
                self.send(end.other, FIN)
            else:  # What the process sent last is lost.
                end.other.arrives_s = float("inf")
                self.loop.after(self._notice_s(), partial(self._notice, end.other))

    # -- messages ------------------------------------------------------------------------------------------------

    def send(self, end: End, item: Frames | None) -> None:
        """Put something on its way to `end`, after all that is on it."""
        if end.other is not None or item is FIN:
            source = end.other.machine.name if end.other is not None else ""
            end.arrives_s = max(end.arrives_s, self.loop.now_s + self._delay(source, end.machine.name))
            if end.arrives_s != float("inf"):
                self.loop.at(end.arrives_s, partial(self._arrive, end, item))

    def _arrive(self, end: End, item: Frames | None) -> None:
        if not end.is_open or end.arrives_s == float("inf"):
            return
        if (
            end.is_held
            or end.stuck
            or (end.other is not None and (end.other.machine.name, end.machine.name) in self.blocked)
        ):
            end.stuck.append(item)
        else:
            self._hand_over(end, item)

    def _hand_over(self, end: End, item: Frames | None) -> None:
        if item is FIN:
            self._notice(end)
            return
        self.digest = zlib.crc32(item[1], self.digest ^ int(self.loop.now_s * 1e6))
        if not end.peer:
            end.name_session()
        end.strand.put(Received(end.peer, item))

    def cast(self, source: Machine, address: str, frames: Frames, lost: Callable[[], None]) -> None:
        """Send to a reply socket: best effort. `lost` is called when the sender notices that nobody is there."""
        names = (source.name, address)
        if names in self.blocked or self.rng.random() < self.unseen_share:
            self.counts["results lost"] += 1
            return
        self.loop.after(self._delay(*names), partial(self._arrive_cast, names, frames, lost))

    def _arrive_cast(self, names: tuple[str, str], frames: Frames, lost: Callable[[], None]) -> None:
        machine = self.machines.get(names[1])
        process = None if machine is None else machine.process
        if process is None or process.listens is None:
            self.loop.after(self._delay(*names), lost)
        elif names not in self.blocked:
            process.listens.put(Received(0, frames))

    def _delay(self, source: str, target: str) -> float:
        factor = max(self.slow.get(source, 1.0), self.slow.get(target, 1.0))
        rng = self.machines[source].rng if source else self.rng
        return min(rng.expovariate(1.0 / (self.delay_s * factor)), DELAY_LIMIT_S)

    # -- partitions and silence ----------------------------------------------------------------------------------

    def block(self, source: str, target: str) -> None:
        """Hold up all messages in one direction. Whoever hears nothing for long gives up its connections."""
        if (source, target) in self.blocked:
            return
        self._peers += 1
        self.blocked[source, target] = token = self._peers
        self.loop.after(self.rng.uniform(*SILENCE_S), partial(self._give_up, source, target, token))

    def unblock(self, source: str, target: str) -> None:
        if self.blocked.pop((source, target), None) is not None:
            for end in self._between(source, target):
                self.loop.after(self._delay(source, target), partial(self._unstick, end))

    def _release(self, end: End) -> None:
        end.is_held = False
        self._unstick(end)

    def _unstick(self, end: End) -> None:
        if end.is_held:
            return
        if end.other is None or (end.other.machine.name, end.machine.name) not in self.blocked:
            while end.stuck and end.is_open:
                self._hand_over(end, end.stuck.popleft())
            end.stuck.clear()

    def _give_up(self, source: str, target: str, token: int) -> None:
        if self.blocked.get((source, target)) == token:
            for end in self._between(source, target):
                self._give_up_end(end)

    def _between(self, source: str, target: str) -> list[End]:
        return [
            end
            for end in self._ends
            if end.is_open and end.machine.name == target and end.other is not None and end.other.machine.name == source
        ]

    def _give_up_end(self, end: End) -> None:
        """Nothing has come for long."""
        if not end.process.is_paused:
            self._notice(end)
            if end.other is not None:
                self.send(end.other, FIN)

    def watch_pause(self, process: Process) -> None:
        """`process` stands still: the others give it up if it does so for long."""
        self.loop.after(self.rng.uniform(*SILENCE_S), partial(self._give_up_process, process, process.pauses))

    def _give_up_process(self, process: Process, pauses: int) -> None:
        if process.is_paused and process.pauses == pauses:
            for end in [each for each in self._ends if each.process is process]:
                if end.other is not None and end.other.is_open:
                    self._give_up_end(end.other)
