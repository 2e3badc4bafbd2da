"""Nodes that talk over a transport, for tests: the same test drives links of sockets and links in memory."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from actorq.transport import (
    Down,
    Event,
    Frame,
    GreenWaiter,
    Link,
    LinkKeys,
    LinkLimits,
    MemoryLink,
    MemoryNetwork,
    Peer,
    Received,
    ThreadWaiter,
    Transport,
    Up,
)
from tests.support import eventually

T = TypeVar("T")


class Node:
    """The owner of a link: does what the test asks in its turns, and remembers all events."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] | None = None
        self.link: Transport
        self._asked: deque[Callable[[], None]] = deque()

    def turn(self, events: list[Event]) -> float | None:
        for event in events:
            self.events.append(event)
            if self.on_event is not None:
                self.on_event(event)
        while self._asked:
            self._asked.popleft()()
        return None

    def ask(self, action: Callable[[], T]) -> T:
        """Have `action` done in a turn of this node, and return what it returns or raise what it raises."""
        results: list[T] = []
        errors: list[Exception] = []

        def act() -> None:
            try:
                results.append(action())
            except Exception as error:
                errors.append(error)

        self._asked.append(act)
        self.link.wake()
        self.world.until(lambda: results or errors)
        if errors:
            raise errors[0]
        return results[0]

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Meanwhile it has no turn, and libzmq's own threads go on."""
        goes_on = threading.Event()

        def stand_still() -> None:
            goes_on.wait(20)

        self._asked.append(stand_still)
        self.link.wake()
        yield
        goes_on.set()

    def listen(self, address: str = "tcp://127.0.0.1:0") -> str:
        return self.ask(lambda: self.link.listen(address))

    def dial(self, address: str) -> Peer:
        return self.ask(lambda: self.link.dial(address))

    def call(self, address: str, key: str = "") -> Peer:
        return self.ask(lambda: self.link.call(address, key))

    def hang_up(self, peer: Peer) -> None:
        self.ask(lambda: self.link.hang_up(peer))

    def send(self, peer: Peer, *frames: Frame, urgent: bool = False) -> None:
        self.ask(lambda: self.link.send(peer, frames, urgent))

    def send_all(self, peer: Peer, messages: Sequence[Sequence[Frame]]) -> None:
        def send() -> None:
            for message in messages:
                self.link.send(peer, message)

        self.ask(send)

    def backlog(self, peer: Peer) -> int:
        return self.ask(lambda: self.link.backlog(peer))

    def echo(self) -> None:
        """From now on send back whatever comes."""

        def answer(event: Event) -> None:
            if isinstance(event, Received):
                self.link.send(event.peer, event.frames)

        self.on_event = answer

    def messages(self, peer: Peer | None = None) -> list[list[bytes]]:
        """What was received, from `peer` or from all."""
        return [
            [bytes(frame) for frame in event.frames]
            for event in tuple(self.events)
            if isinstance(event, Received) and peer in (None, event.peer)
        ]

    def senders(self) -> list[Peer]:
        """Those from whom something was received, in the order of their first message."""
        return list(dict.fromkeys(event.peer for event in tuple(self.events) if isinstance(event, Received)))

    def ups(self) -> list[Peer]:
        return [event.peer for event in tuple(self.events) if isinstance(event, Up)]

    def downs(self) -> list[Peer]:
        return [event.peer for event in tuple(self.events) if isinstance(event, Down)]

    def reasons(self) -> list[str]:
        return [event.reason for event in tuple(self.events) if isinstance(event, Down)]


class World(ABC):
    """Makes nodes, lets them run, and ends them."""

    @abstractmethod
    def node(self, limits: LinkLimits | None = None) -> Node:
        """A new node, with its link running."""

    @abstractmethod
    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Let things happen until `condition` is true."""

    @abstractmethod
    def stop(self, node: Node) -> None:
        """End a node in good order."""

    @abstractmethod
    def close(self) -> None:
        """End all nodes."""


class SocketWorld(World):
    """Links of real sockets, each on a native thread: as a plain thread, or with a gevent hub of its own.

    On loopback they use Unix sockets; without `shortcuts` TCP, as between hosts.
    """

    def __init__(self, waiter: type[ThreadWaiter] | type[GreenWaiter], shortcuts: bool = True) -> None:
        self.waiter = waiter
        self.shortcuts = shortcuts
        self._running: dict[Node, tuple[Link, threading.Thread]] = {}
        self.failures: list[BaseException] = []

    def node(self, limits: LinkLimits | None = None, keys: LinkKeys | None = None) -> Node:
        node = Node(self)
        limits = replace(limits or LinkLimits(), shortcuts=self.shortcuts)
        link = node.link = Link(self.waiter(), node.turn, limits, keys)
        thread = threading.Thread(target=self._run, args=(link,), daemon=True)
        self._running[node] = (link, thread)
        thread.start()
        return node

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        for _ in range(50):  # Nearly always it is a matter of microseconds.
            if condition():
                return
            time.sleep(0.0002)
        eventually(lambda: bool(condition()) or bool(self.failures), timeout_s=20.0, what=what)
        self._raise_failure()

    def stop(self, node: Node) -> None:
        link, thread = self._running.pop(node)
        link.stop()
        thread.join(20)
        assert not thread.is_alive()

    def close(self) -> None:
        for node in tuple(self._running):
            self.stop(node)
        self._raise_failure()

    def link_of(self, node: Node) -> Link:
        return self._running[node][0]

    def _raise_failure(self) -> None:
        if self.failures:
            raise self.failures[0]

    def _run(self, link: Link) -> None:
        try:
            link.run()
        except BaseException as error:
            self.failures.append(error)
        finally:
            if self.waiter is GreenWaiter:
                import gevent

                with suppress(Exception):
                    gevent.get_hub().destroy(destroy_loop=True)


class MemoryWorld(World):
    """Links in memory. Time passes by itself when nothing else happens."""

    def __init__(self, network: MemoryNetwork | None = None) -> None:
        self.network = network or MemoryNetwork()
        self.now_s = 0.0
        self.nodes: list[Node] = []

    def node(self, limits: LinkLimits | None = None) -> Node:
        node = Node(self)
        node.link = self.network.link(f"host{len(self.nodes)}", node.turn)
        self.nodes.append(node)
        return node

    def step(self) -> None:
        """Deliver, and let all that want to take a turn."""
        self.network.deliver(self.now_s)
        took_turn = False
        for node in self.nodes:
            link = self.link_of(node)
            if link.wants_turn(self.now_s):
                link.take_turn(self.now_s)
                took_turn = True
        next_s = self.network.next_s()
        if not took_turn and self.now_s < next_s < float("inf"):
            self.now_s = next_s

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        for _ in range(10_000):
            if condition():
                return
            self.step()
        raise AssertionError(f"{what or 'the condition'}: not within 10,000 steps")

    def link_of(self, node: Node) -> MemoryLink:
        assert isinstance(node.link, MemoryLink)
        return node.link

    def stop(self, node: Node) -> None:
        node.link.stop()

    def close(self) -> None:
        pass
