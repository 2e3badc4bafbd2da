"""Ready calls, and which workers may have them.

A *lane* holds the ready calls of one queue that need the same offer (a task's name): ten priorities, FIFO inside. A
*group* is all workers that consume the same queues and make the same offers. A group takes from all lanes it matches:
highest priority first, then oldest first. Usually there is one group, and it has one lane or a few; so dispatch does
not depend on the number of workers or of queued calls. A lane that no group matches just waits.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING

from actorq.config import HIGHEST_PRIORITY
from actorq.wire.messages import Call

if TYPE_CHECKING:
    from actorq.coordinator.core.workers import Ring

GONE = -1
"""`attempt` of a call that was taken out while it stood in a lane; it is dropped when its turn comes."""


class Queue:
    """A named queue: only its size is kept here, its calls stand in lanes."""

    __slots__ = ("name", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0


class Lane:
    """Ready calls of one queue with one offer."""

    __slots__ = ("gone", "groups", "levels", "offer", "queue", "size")

    def __init__(self, queue: Queue, offer: str) -> None:
        self.queue = queue
        self.offer = offer
        self.levels: list[deque[Call]] = [deque() for _ in range(HIGHEST_PRIORITY + 1)]
        self.size = 0
        self.gone = 0
        self.groups: list[Group] = []

    def grow(self, count: int) -> None:
        """`count` calls were put into the levels."""
        if self.size == 0 and count:
            for group in self.groups:
                group.active[self] = None
        self.size += count
        self.queue.size += count

    def _shrink(self, count: int) -> None:
        self.size -= count
        self.queue.size -= count
        if self.size == 0:
            for group in self.groups:
                del group.active[self]

    def put_back(self, level: int, calls: list[Call]) -> None:
        """Put calls that were leased where they belong by age: before all that came after them."""
        waiting, count = self.levels[level], len(calls)
        youngest = max([call.seq for call in calls])
        while waiting and waiting[0].seq < youngest:
            calls.append(waiting.popleft())
        calls.sort(key=_age)
        waiting.extendleft(reversed(calls))
        self.grow(count)

    def take_out(self, call: Call) -> None:
        """Remove a call from the middle: it is only marked, and dropped when its turn comes or half of all are such."""
        call.attempt = GONE
        self.gone += 1
        if self.gone * 2 > self.size:
            before = sum(map(len, self.levels))
            self.levels = [deque(each for each in level if each.attempt != GONE) for level in self.levels]
            self.gone = 0
            self._shrink(before - sum(map(len, self.levels)))

    def take(self, level: int, limit: int) -> list[Call]:
        """Up to `limit` calls of one level, oldest first."""
        calls = self.levels[level]
        pop = calls.popleft
        taken = [pop() for _ in range(min(limit, len(calls)))]
        self._shrink(len(taken))
        return self._present(taken) if self.gone else taken

    def _present(self, taken: list[Call]) -> list[Call]:
        present = [call for call in taken if call.attempt != GONE]
        self.gone -= len(taken) - len(present)
        return present


class Group:
    """Workers that are alike, and the lanes that they can serve."""

    __slots__ = ("active", "ahead", "free", "lanes", "offers", "queues", "workers")

    def __init__(self, queues: frozenset[str], offers: frozenset[str]) -> None:
        self.queues = queues
        self.offers = offers
        self.workers = 0
        self.lanes: list[Lane] = []
        self.active: dict[Lane, None] = {}
        """Lanes that are not empty."""
        self.free: Ring = OrderedDict()
        """Workers with free slots."""
        self.ahead: Ring = OrderedDict()
        """Workers without free slots that want a few calls at hand."""

    def matches(self, lane: Lane) -> bool:
        return lane.queue.name in self.queues and lane.offer in self.offers

    def add(self, lane: Lane) -> None:
        self.lanes.append(lane)
        lane.groups.append(self)
        if lane.size:
            self.active[lane] = None

    def dissolve(self) -> None:
        """The last worker left."""
        for lane in self.lanes:
            lane.groups.remove(self)
        self.lanes.clear()
        self.active.clear()

    def ready(self) -> int:
        """How many calls wait for this group (those taken out from the middle included)."""
        return sum([lane.size for lane in self.active])

    def take(self, limit: int) -> list[Call]:
        """Up to `limit` calls: by priority, then by age over all lanes."""
        taken: list[Call] = []
        for level in range(HIGHEST_PRIORITY, -1, -1):
            while limit > len(taken):
                lanes = [lane for lane in self.active if lane.levels[level]]
                if not lanes:
                    break
                if len(lanes) == 1:
                    taken += lanes[0].take(level, limit - len(taken))
                else:
                    taken += _oldest(lanes, level, limit - len(taken))
            if limit <= len(taken) or not self.active:
                break
        return taken


def _age(call: Call) -> int:
    return call.seq


def _oldest(lanes: list[Lane], level: int, limit: int) -> list[Call]:
    """Merge the heads of several lanes by age."""
    taken: list[Call] = []
    heap = [(lane.levels[level][0].seq, index) for index, lane in enumerate(lanes)]
    heapq.heapify(heap)
    while heap and len(taken) < limit:
        _, index = heap[0]
        lane = lanes[index]
        taken += lane.take(level, 1)
        calls = lane.levels[level]
        if calls:
            heapq.heapreplace(heap, (calls[0].seq, index))
        else:
            heapq.heappop(heap)
    return taken


class Lanes:
    """All lanes, queues and groups, and how they match."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self.groups: dict[tuple[frozenset[str], frozenset[str]], Group] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}

    def lane(self, queue_name: str, offer: str) -> Lane:
        """The lane for a queue and an offer; made when first asked for."""
        lane = self._lanes.get((queue_name, offer))
        if lane is None:
            queue = self.queues.setdefault(queue_name, Queue(queue_name))
            lane = self._lanes[queue_name, offer] = Lane(queue, offer)
            for group in self.groups.values():
                if group.matches(lane):
                    group.add(lane)
        return lane

    def forget_empty(self, used: Set[Lane]) -> None:
        """Forget the lanes that are empty and not among those in use, and queues that have no lane."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.size or lane in used}
        left = set(self._lanes.values())
        for group in self.groups.values():
            group.lanes = [lane for lane in group.lanes if lane in left]
        names = {lane.queue.name for lane in left}
        self.queues = {name: queue for name, queue in self.queues.items() if name in names}

    def join(self, queues: Iterable[str], offers: Iterable[str]) -> Group:
        """The group for a new worker."""
        key = (frozenset(queues), frozenset(offers))
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(*key)
            for lane in self._lanes.values():
                if group.matches(lane):
                    group.add(lane)
        group.workers += 1
        return group

    def leave(self, group: Group) -> None:
        """A worker of the group has gone."""
        group.workers -= 1
        if group.workers == 0:
            group.dissolve()
            del self.groups[group.queues, group.offers]

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())
