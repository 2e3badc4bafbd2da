"""Ready calls, and which workers may have them.

A *lane* holds the ready calls of one queue that need the same offer (a task's name): ten priorities, FIFO inside. Calls
with a `fair_key` stand in a lane of their own, in which tenants take turns; and so do calls whose starts are limited
(`actorq.coordinator.core.gates`). A *group* is all workers that consume the same queues and make the same offers. A
group takes from all lanes it matches: highest priority first, then oldest first. Usually there is one group, and it has
one lane or a few; so dispatch does not depend on the number of workers or of queued calls. A lane that no group matches
just waits.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any, TypeVar

from actorq.config import HIGHEST_PRIORITY
from actorq.coordinator.core.lines import GONE, Rota, Turns, put_in_front
from actorq.wire.messages import Call

if TYPE_CHECKING:
    from actorq.coordinator.core.workers import Ring

LEVELS = range(HIGHEST_PRIORITY + 1)


class Queue:
    """A named queue: only its size is kept here, and whose turn it is; its calls stand in lanes."""

    __slots__ = ("_rotas", "name", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self._rotas: dict[int, Rota] = {}

    def rota(self, level: int) -> Rota:
        """Whose turn it is among the calls of one priority."""
        return self._rotas.setdefault(level, Rota())


class Lane:
    """Ready calls of one queue with one offer."""

    __slots__ = ("gone", "groups", "levels", "offer", "queue", "size")

    is_fair = is_limited = False

    def __init__(self, queue: Queue, offer: str) -> None:
        self.queue = queue
        self.offer = offer
        self.levels: list[Any] = self._levels()
        """By priority; what is empty has nothing that may start now."""
        self.size = 0
        """Calls that may start now."""
        self.gone = 0
        self.groups: list[Group] = []

    def _levels(self) -> list[Any]:
        return [deque() for _ in LEVELS]

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
                group.active.pop(self, None)

    def put_back(self, level: int, calls: list[Call]) -> None:
        """Put calls that were leased where they belong by age: before all that came after them."""
        count = len(calls)
        put_in_front(self.levels[level], calls)
        self.grow(count)

    def take_out(self, call: Call) -> None:
        """Remove a call from the middle: it is only marked, and dropped when its turn comes or half of all are such."""
        call.attempt = GONE
        self.gone += 1
        if self.gone * 2 > len(self):
            self.drop_gone()

    def drop_gone(self) -> None:
        """Let go of the calls that were taken out."""
        before = len(self)
        self.levels = [deque(each for each in level if each.attempt != GONE) for level in self.levels]
        self.gone = 0
        self._shrink(before - sum(map(len, self.levels)))

    def __len__(self) -> int:
        """All calls that stand here, those that were taken out included."""
        return self.size

    def pull_out(self, spec: int) -> list[Call]:
        """Remove all calls with this spec, and return them."""
        pulled = [call for _, call in self.standing() if call.spec == spec and call.attempt != GONE]
        attempts = [call.attempt for call in pulled]
        for call in pulled:
            call.attempt = GONE
        self.drop_gone()
        for call, attempt in zip(pulled, attempts, strict=True):
            call.attempt = attempt
        return pulled

    def standing(self) -> Iterator[tuple[int, Call]]:
        """All calls with their priorities, those that were taken out included."""
        for level, calls in enumerate(self.levels):
            for call in calls:
                yield level, call

    def oldest(self, level: int) -> int:
        """The age of the call of this priority that is next."""
        seq: int = self.levels[level][0].seq
        return seq

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


class FairLane(Lane):
    """Calls with a `fair_key`: tenants take turns, also with those in other lanes of the queue."""

    __slots__ = ()

    is_fair = True

    def _levels(self) -> list[Any]:
        return [Turns(self.queue.rota(level)) for level in LEVELS]

    def put(self, level: int, call: Call) -> None:
        """At the end of its tenant's line."""
        self.levels[level].add(call)
        self.grow(1)

    def put_back(self, level: int, calls: list[Call]) -> None:
        self.levels[level].put_back(calls)
        self.grow(len(calls))

    def take(self, level: int, limit: int) -> list[Call]:
        calls = self.levels[level]
        before = len(calls)
        taken: list[Call] = calls.take(limit)
        left = before - len(calls)
        self.gone -= left - len(taken)
        self._shrink(left)
        return taken

    def drop_gone(self) -> None:
        for calls in self.levels:
            calls.drop_gone()
        self.gone = 0
        self._shrink(self.size - sum(map(len, self.levels)))

    def oldest(self, level: int) -> int:
        seq: int = self.levels[level].oldest()
        return seq

    def turn(self, level: int) -> int:
        """The number of the turn that is next here."""
        turn: int = self.levels[level].turn()
        return turn


class Group:
    """Workers that are alike, and the lanes that they can serve."""

    __slots__ = ("active", "ahead", "free", "lanes", "limited", "offers", "queues", "workers")

    def __init__(self, queues: frozenset[str], offers: frozenset[str]) -> None:
        self.queues = queues
        self.offers = offers
        self.workers = 0
        self.lanes: list[Lane] = []
        self.active: dict[Lane, None] = {}
        """Lanes that are not empty."""
        self.limited: dict[Lane, None] = {}
        """Lanes of limited calls of which some may start now: in a free slot, and not later."""
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
            (self.limited if lane.is_limited else self.active)[lane] = None

    def dissolve(self) -> None:
        """The last worker left."""
        for lane in self.lanes:
            lane.groups.remove(self)
        self.lanes.clear()
        self.active.clear()
        self.limited.clear()

    def ready(self, is_free: bool = False) -> int:
        """How many calls wait for this group (those taken out from the middle included). `is_free`: with the limited ones."""
        ready = sum([lane.size for lane in self.active])
        return ready + sum([lane.size for lane in self.limited]) if is_free else ready

    def has_ready(self, is_free: bool) -> bool:
        """Whether `ready` is not 0."""
        return bool(self.active or (is_free and self.limited))

    def take(self, limit: int, is_free: bool = False) -> list[Call]:
        """Up to `limit` calls: by priority, then by age over all lanes, or in turns where calls have a `fair_key`.

        `is_free`: they will start at once, so that limited ones may be among them.
        """
        taken: list[Call] = []
        for level in range(HIGHEST_PRIORITY, -1, -1):
            while limit > len(taken):
                lanes = [lane for lane in self.active if lane.levels[level]]
                if is_free and self.limited:
                    lanes += [lane for lane in self.limited if lane.levels[level]]
                if not lanes:
                    break
                if len(lanes) == 1:
                    taken += lanes[0].take(level, limit - len(taken))
                elif any(lane.is_fair for lane in lanes):
                    taken += _in_turn(lanes, level, limit - len(taken))
                else:
                    taken += _oldest(lanes, level, limit - len(taken))
            if limit <= len(taken) or not self.has_ready(is_free):
                break
        return taken


def _oldest(lanes: list[Lane], level: int, limit: int) -> list[Call]:
    """Merge the heads of several lanes by age."""
    taken: list[Call] = []
    heap = [(lane.oldest(level), index) for index, lane in enumerate(lanes)]
    heapq.heapify(heap)
    while heap and len(taken) < limit:
        _, index = heap[0]
        lane = lanes[index]
        taken += lane.take(level, 1)
        if lane.levels[level]:
            heapq.heapreplace(heap, (lane.oldest(level), index))
        else:
            heapq.heappop(heap)
    return taken


def _in_turn(lanes: list[Lane], level: int, limit: int) -> list[Call]:
    """Merge several lanes: by turns within a queue, by age between queues."""
    taken: list[Call] = []
    while lanes and len(taken) < limit:
        by_queue: dict[Queue, list[Lane]] = {}
        for lane in lanes:
            by_queue.setdefault(lane.queue, []).append(lane)
        heads = [_whose_turn(queue, each, level) for queue, each in by_queue.items()]
        lane = min(heads, key=lambda lane: lane.oldest(level))
        taken += lane.take(level, 1)
        if not lane.is_fair:
            rota = lane.queue.rota(level)
            rota.others = rota.next()
        lanes = [lane for lane in lanes if lane.levels[level]]
    return taken


def _whose_turn(queue: Queue, lanes: list[Lane], level: int) -> Lane:
    """The lane of a queue that is next. Calls without a key are one tenant, whatever their lanes."""
    fair = [lane for lane in lanes if isinstance(lane, FairLane)]
    others = [lane for lane in lanes if not lane.is_fair]
    first = min(fair, key=lambda lane: lane.turn(level), default=None)
    if first is not None and (not others or first.turn(level) < queue.rota(level).others):
        return first
    return min(others, key=lambda lane: lane.oldest(level))


L = TypeVar("L", bound=Lane)


class Lanes:
    """All lanes, queues and groups, and how they match."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self.groups: dict[tuple[frozenset[str], frozenset[str]], Group] = {}
        self._lanes: dict[tuple[str, str, type[Lane]], Any] = {}

    def lane(self, queue_name: str, offer: str, kind: type[L]) -> L:
        """The lane of that kind for a queue and an offer; made when first asked for."""
        lane: L | None = self._lanes.get((queue_name, offer, kind))
        if lane is None:
            queue = self.queues.setdefault(queue_name, Queue(queue_name))
            lane = self._lanes[queue_name, offer, kind] = kind(queue, offer)
            for group in self.groups.values():
                if group.matches(lane):
                    group.add(lane)
        return lane

    def forget_empty(self, used: Set[Lane]) -> None:
        """Forget the lanes that are empty and not among those in use, and queues that have no lane."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if len(lane) or lane in used}
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
