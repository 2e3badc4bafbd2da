"""Ready calls, and which workers may have them.

A *lane* holds the ready calls of one queue that need the same offer (a task's name): ten priorities, FIFO inside. A
*group* is all workers that consume the same queues and make the same offers. A group takes from all lanes it matches:
highest priority first, then oldest first. Usually there is one group, and it has one lane or a few; so dispatch does
not depend on the number of workers or of queued calls. A lane that no group matches just waits.

Beside the queues for all, each worker has one of its own (`worker_direct`). Their lanes are in no group, or each worker
would be a group of its own. The lanes of a queue that is paused are in none either.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING

from actorq.config import HIGHEST_PRIORITY
from actorq.policies.routing import owner_of
from actorq.wire.messages import Call

if TYPE_CHECKING:
    from actorq.coordinator.core.workers import Ring, Worker

GONE = -1
"""`attempt` of a call that was taken out while it stood in a lane; it is dropped when its turn comes."""


class Queue:
    """A named queue: only its size is kept here, its calls stand in lanes."""

    __slots__ = ("is_paused", "name", "size")

    def __init__(self, name: str, is_paused: bool = False) -> None:
        self.name = name
        self.size = 0
        self.is_paused = is_paused
        """Its calls wait."""


class Lane:
    """Ready calls of one queue with one offer."""

    __slots__ = ("gone", "groups", "levels", "offer", "queue", "size")

    def __init__(self, queue: Queue, offer: str) -> None:
        self.queue = queue
        self.offer = offer
        self.levels: list[deque[Call]] = [deque() for _ in range(HIGHEST_PRIORITY + 1)]
        self.size = 0
        self.gone = 0
        self.groups: list[Group | DirectLanes] = []

    def grow(self, count: int) -> None:
        """`count` calls were put into the levels."""
        if self.size == 0 and count:
            self.show()
        self.size += count
        self.queue.size += count

    def show(self) -> None:
        """There is something here: those that may have it look at it."""
        for group in self.groups:
            group.active[self] = None

    def _shrink(self, count: int) -> None:
        self.size -= count
        self.queue.size -= count
        if self.size == 0:
            for group in self.groups:
                group.active.pop(self, None)

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

    def take_all(self) -> list[Call]:
        """All of them, oldest first."""
        taken = sorted((call for level in self.levels for call in level if call.attempt != GONE), key=_age)
        self.levels = [deque() for _ in self.levels]
        self.gone = 0
        if self.size:
            self._shrink(self.size)
        return taken

    def oldest(self) -> Call | None:
        """The call that came first of those that wait here."""
        heads = [next((call for call in level if call.attempt != GONE), None) for level in self.levels]
        return min([call for call in heads if call is not None], key=_age, default=None)

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
        return lane.queue.name in self.queues and lane.offer in self.offers and not lane.queue.is_paused

    def add(self, lane: Lane) -> None:
        self.lanes.append(lane)
        lane.groups.append(self)
        if lane.size:
            self.active[lane] = None

    def remove(self, lane: Lane) -> None:
        self.lanes.remove(lane)
        self.active.pop(lane, None)

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
        return take(self.active, limit)


class DirectLanes:
    """The lanes of the queues that are one worker's own."""

    __slots__ = ("active", "lanes", "workers")

    def __init__(self) -> None:
        self.workers: dict[str, list[Worker]] = {}
        """By name: there should be one of each."""
        self.lanes: dict[str, list[Lane]] = {}
        """By the owner's name."""
        self.active: dict[Lane, None] = {}
        """Lanes that are not empty, and whose owners are there; but for those that wait for a full one, which has them
        in `waiting`.
        """

    def matches(self, lane: Lane) -> bool:
        owners = self.workers.get(owner_of(lane.queue.name), ())
        return not lane.queue.is_paused and any(lane.offer in owner.group.offers for owner in owners)

    def add(self, lane: Lane) -> None:
        lane.groups.append(self)
        if lane.size:
            self.active[lane] = None

    def remove(self, lane: Lane) -> None:
        self.active.pop(lane, None)

    def join(self, worker: Worker) -> None:
        """A worker is there."""
        self.workers.setdefault(worker.name, []).append(worker)
        self._look_again(worker.name)

    def leave(self, worker: Worker) -> None:
        """The worker has gone."""
        namesakes = self.workers[worker.name]
        namesakes.remove(worker)
        if not namesakes:
            del self.workers[worker.name]
        self._look_again(worker.name)

    def _look_again(self, name: str) -> None:
        """The workers of this name have changed: lanes may have waited for the one, and another one may serve them."""
        for lane in self.lanes.get(name, ()):
            if self in lane.groups:
                lane.groups.remove(self)
                self.remove(lane)
            if self.matches(lane):
                self.add(lane)

    def take(self, worker: Worker, limit: int) -> list[Call]:
        """Up to `limit` of the worker's own calls: by priority, then by age."""
        lanes = self.lanes.get(worker.name, ())
        return take({lane: None for lane in lanes if lane in self.active and lane.offer in worker.group.offers}, limit)

    def put_off(self, name: str) -> None:
        """What is left for the workers of this name waits until one of them has room: nobody looks at it until then."""
        for lane in self.lanes[name]:
            if self.active.pop(lane, lane) is None:
                for owner in self.workers[name]:
                    owner.waiting[lane] = None


def take(active: dict[Lane, None], limit: int) -> list[Call]:
    """Up to `limit` calls of these lanes: by priority, then by age over all of them."""
    taken: list[Call] = []
    for level in range(HIGHEST_PRIORITY, -1, -1):
        while limit > len(taken):
            lanes = [lane for lane in active if lane.levels[level]]
            if not lanes:
                break
            if len(lanes) == 1:
                taken += lanes[0].take(level, limit - len(taken))
            else:
                taken += _oldest(lanes, level, limit - len(taken))
        if limit <= len(taken) or not active:
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
        self.direct = DirectLanes()
        self.paused: set[str] = set()
        """Names of the queues that are paused, also of those that are not there."""
        self._lanes: dict[tuple[str, str], Lane] = {}

    def lane(self, queue_name: str, offer: str) -> Lane:
        """The lane for a queue and an offer; made when first asked for."""
        lane = self._lanes.get((queue_name, offer))
        if lane is None:
            queue = self.queues.setdefault(queue_name, Queue(queue_name, queue_name in self.paused))
            lane = self._lanes[queue_name, offer] = Lane(queue, offer)
            owner = owner_of(queue_name)
            if owner:
                self.direct.lanes.setdefault(owner, []).append(lane)
            self._attach(lane)
        return lane

    def _attach(self, lane: Lane) -> None:
        """Have those serve the lane that may."""
        if self.direct.matches(lane):
            self.direct.add(lane)
        for group in self.groups.values():
            if group.matches(lane):
                group.add(lane)

    def set_paused(self, name: str, is_paused: bool) -> None:
        """Have the calls of a queue wait, or not any more."""
        if is_paused == (name in self.paused):
            return
        self.paused.symmetric_difference_update([name])
        queue = self.queues.get(name)
        if queue is None:
            return
        queue.is_paused = is_paused
        for lane in self.of(name):
            for group in lane.groups:
                group.remove(lane)
            lane.groups.clear()
            self._attach(lane)

    def of(self, queue_name: str) -> list[Lane]:
        """The lanes of one queue."""
        return [lane for lane in self._lanes.values() if lane.queue.name == queue_name]

    def forget_empty(self, used: Set[Lane]) -> None:
        """Forget the lanes that are empty and not among those in use, and queues that have no lane."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.size or lane in used}
        left = set(self._lanes.values())
        for group in self.groups.values():
            group.lanes = [lane for lane in group.lanes if lane in left]
        direct = {owner: [lane for lane in lanes if lane in left] for owner, lanes in self.direct.lanes.items()}
        self.direct.lanes = {owner: lanes for owner, lanes in direct.items() if lanes}
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
