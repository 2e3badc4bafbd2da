"""Which sockets are ready, and what is due: the inside of the loop, without a word about messages.

The descriptor of a ZeroMQ socket only rings when its state changes, and any send or receive on the socket may swallow
the ring (zmq_getsockopt(3), ZMQ_FD). So a socket counts as ready until a receive has found nothing; and after a send
its state is asked for before anybody sleeps. If that were wrong somewhere, messages would lie there unseen: therefore a
safety timer asks all sockets once a second, and counts what it finds.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import zmq

from actorq import native
from actorq.transport.limits import LinkStats
from actorq.transport.sockets import EVENTS, POLLIN
from actorq.transport.waiters import Waiter

_SAFETY_S = 1.0
_SMALLEST_SHARE = 64


class Source:
    """A ZeroMQ socket that is received from."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.fd = int(socket.getsockopt(zmq.FD))
        self.is_watched = False
        self.is_ready = False
        self.was_active = False
        self.needs_last_look = False
        """Whether a `receive` that finds nothing is waited for."""
        self._get: Callable[[int], Any] = socket.getsockopt

    def receive(self, limit: int) -> bool:
        """Take up to `limit` messages. True if there are no more for now, which a receive must have told."""
        raise NotImplementedError

    def has_input(self) -> bool:
        """Whether there is something to receive. Asking makes the descriptor ring for what comes after."""
        return bool(self._get(EVENTS) & POLLIN)


class Reactor:
    """The sources of a link, and its timers."""

    def __init__(self, waiter: Waiter, stats: LinkStats) -> None:
        self._waiter = waiter
        self._stats = stats
        self._sources: dict[Source, None] = {}
        self._ready: deque[Source] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._check_at_s = time.monotonic() + _SAFETY_S
        self._has_slept = self._is_first_round = False

    def watch(self, source: Source) -> None:
        """Receive from `source` whenever it is ready."""
        source.is_watched = True
        self._sources[source] = None
        self._waiter.watch(source.fd, partial(self.touch, source))
        self.touch(source)

    def unwatch(self, source: Source) -> None:
        """To be called before its socket is closed."""
        source.is_watched = False
        del self._sources[source]
        self._waiter.unwatch(source.fd)

    def touch(self, source: Source) -> None:
        """Something was done with the socket that may have swallowed its ring: look at it before the next sleep."""
        if not source.is_ready:
            source.is_ready = True
            self._ready.append(source)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have `action` called once, on the loop."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._numbers), action))

    @property
    def is_busy(self) -> bool:
        """Whether there is certainly something to do now."""
        return bool(self._ready)

    def receive(self, limit: int) -> None:
        """One turn of all that are ready, each with its share of `limit`.

        After a sleep it is one message of each: nearly always there is no other, and to see to that can wait until the
        answer is on its way.
        """
        ready = self._ready
        count = len(ready)
        self._is_first_round, self._has_slept = self._has_slept, False
        share = 1 if self._is_first_round else max(limit // (count or 1), _SMALLEST_SHARE)
        for _ in range(count):
            source = ready.popleft()
            source.was_active = True
            if not source.is_watched or source.receive(share):
                source.is_ready = False
            else:
                ready.append(source)

    def look_again(self) -> None:
        """After a first round: whether there was more than one message."""
        if self._is_first_round:
            ready = self._ready
            for _ in range(len(ready)):
                source = ready.popleft()
                if source.is_watched and (source.needs_last_look or source.has_input()):
                    ready.append(source)
                else:
                    source.is_ready = False

    def run_timers(self, now_s: float) -> None:
        """Call what is due."""
        timers = self._timers
        while timers and timers[0][0] <= now_s:
            heapq.heappop(timers)[2]()
        if now_s >= self._check_at_s:
            self._check_at_s = now_s + _SAFETY_S
            self._find_missed()

    def wait(self, now_s: float, until_s: float) -> None:
        """Sleep until a source is ready, the link is woken, or something is due; `until_s` at the latest."""
        until_s = min(until_s, self._check_at_s, self._timers[0][0] if self._timers else math.inf)
        self._has_slept = True
        self._waiter.wait(max(until_s - now_s, 0.0))

    def _find_missed(self) -> None:
        """Only where it was quiet for a whole period: elsewhere a message that comes just now would look missed."""
        quiet = [source for source in self._sources if not source.was_active and not source.is_ready]
        rings = _readable(quiet)
        for source in self._sources:
            source.was_active = False
        for source in quiet:
            if source.fd not in rings and source.has_input():
                self._stats.missed_wakeups += 1
                self.touch(source)


def _readable(sources: list[Source]) -> set[int]:
    poll: Any = native.original("select", "poll")()
    for source in sources:
        poll.register(source.fd, native.original("select", "POLLIN"))
    return {fd for fd, _ in poll.poll(0)}
