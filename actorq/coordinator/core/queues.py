"""Ready calls, and which workers may have them.

A *lane* holds the ready calls of one queue that need the same offer (a task's name): ten priorities, FIFO inside. Calls
with a `fair_key` stand in a lane of their own, in which tenants take turns; and so do calls whose starts are limited
(`actorq.coordinator.core.gates`). A *group* is all workers that consume the same queues and make the same offers. A
group takes from all lanes it matches: highest priority first, then oldest first. Usually there is one group, and it has
one lane or a few; so dispatch does not depend on the number of workers or of queued calls. A lane that no group matches
just waits.

Beside the queues for all, each worker has one of its own (`worker_direct`). Their lanes are in no group, or each worker
would be a group of its own. The lanes of a queue that is paused are in none either.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any, TypeVar

from actorq.config import HIGHEST_PRIORITY
from actorq.coordinator.core.lines import GONE, LAST, Rota, Turns, age, older, put_in_front
from actorq.policies.routing import owner_of
from actorq.wire.records import Call

if TYPE_CHECKING:
    from actorq.coordinator.core.workers import Ring, Worker

LEVELS = range(HIGHEST_PRIORITY + 1)


class Queue:
    """A named queue: only its size is kept here, and whose turn it is; its calls stand in lanes."""

    __slots__ = ("_rotas", "is_paused", "name", "size")

    def __init__(self, name: str, is_paused: bool = False) -> None:
        self.name = name
        self.size = 0
        self.is_paused = is_paused
        """Its calls wait."""
        self._rotas: dict[int, Rota] = {}

    def rota(self, level: int) -> Rota:
        """Whose turn it is among the calls of one priority."""
        return self._rotas.setdefault(level, Rota())


class Lane:
    """Ready calls of one queue with one offer."""

    __slots__ = ("gone", "groups", "leads", "levels", "offer", "queue", "size")

    is_fair = False

    def __init__(self, queue: Queue, offer: str) -> None:
        self.queue = queue
        self.offer = offer
        self.levels: list[Any] = self._levels()
        """By priority; what is empty has nothing that may start now."""
        self.size = 0
        """Calls that may start now."""
        self.leads = True
        """A worker may have them at hand before it has a free slot."""
        self.gone = 0
        self.groups: list[Group | DirectLanes] = []

    def _levels(self) -> list[Any]:
        return [deque() for _ in LEVELS]

    def grow(self, count: int) -> None:
        """`count` calls were put into the levels."""
        if self.size == 0 and count:
            self.show()
        self.size += count
        self.queue.size += count

    def show(self) -> None:
        """There is something here: those that may have it look at it."""
        for group in self.groups:
            group.show(self)

    def hide(self) -> None:
        """There is nothing to have."""
        for group in self.groups:
            group.hide(self)

    def _shrink(self, count: int) -> None:
        self.size -= count
        self.queue.size -= count
        if self.size == 0:
            self.hide()

    def put(self, level: int, calls: list[Call]) -> None:
        """At the end."""
        self.levels[level].extend(calls)
        self.grow(len(calls))

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

    def standing(self) -> Iterator[tuple[int, Call]]:
        """All calls with their priorities, those that were taken out included."""
        for level, calls in enumerate(self.levels):
            for call in calls:
                yield level, call

    def age(self, level: int) -> int:
        """The age of the call of this priority that is next."""
        seq: int = self.levels[level][0].seq
        return seq

    def take(self, level: int, limit: int, before: int = LAST) -> list[Call]:
        """Up to `limit` calls of one level, oldest first, while they are older than `before`."""
        calls = self.levels[level]
        count = min(limit, len(calls)) if before == LAST else older(calls, limit, before)
        pop = calls.popleft
        taken = [pop() for _ in range(count)]
        self._shrink(len(taken))
        return self._present(taken) if self.gone else taken

    def take_all(self, spec: int | None = None) -> list[Call]:
        """All of them, or those with this spec, oldest first."""
        taken = [call for _, call in self.standing() if call.attempt != GONE and spec in (None, call.spec)]
        attempts = [call.attempt for call in taken]
        for call in taken:
            call.attempt = GONE
        self.gone += len(taken)
        self.drop_gone()
        for call, attempt in zip(taken, attempts, strict=True):
            call.attempt = attempt
        return sorted(taken, key=age)

    def oldest(self) -> Call | None:
        """The call that came first of those that wait here."""
        heads = [next((call for call in level if call.attempt != GONE), None) for level in self.levels]
        return min([call for call in heads if call is not None], key=age, default=None)

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

    def put(self, level: int, calls: list[Call]) -> None:
        """Each at the end of its tenant's line."""
        self.levels[level].extend(calls)
        self.grow(len(calls))

    def put_back(self, level: int, calls: list[Call]) -> None:
        self.levels[level].put_back(calls)
        self.grow(len(calls))

    def take(self, level: int, limit: int, before: int = LAST) -> list[Call]:
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

    def age(self, level: int) -> int:
        seq: int = self.levels[level].oldest()
        return seq

    def oldest(self) -> Call | None:
        return min((call for _, call in self.standing() if call.attempt != GONE), key=age, default=None)

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
        """Lanes with calls that may start, now or when a slot is free."""
        self.limited: dict[Lane, None] = {}
        """Lanes of limited calls of which some may start now: in a free slot, and not later."""
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
            self.show(lane)

    def show(self, lane: Lane) -> None:
        """Have the workers look at it."""
        (self.active if lane.leads else self.limited)[lane] = None

    def hide(self, lane: Lane) -> None:
        """Have nobody look at it."""
        self.active.pop(lane, None)
        self.limited.pop(lane, None)

    def remove(self, lane: Lane) -> None:
        self.lanes.remove(lane)
        self.hide(lane)

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
        """Up to `limit` calls; see `take`. `is_free`: they will start at once, so that limited ones may be among them."""
        return take({**self.active, **self.limited} if is_free and self.limited else self.active, limit)


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
            self.show(lane)

    def show(self, lane: Lane) -> None:
        """Have its owner look at it."""
        self.active[lane] = None

    def hide(self, lane: Lane) -> None:
        """Have nobody look at it."""
        self.active.pop(lane, None)

    remove = hide

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
                self.hide(lane)
            if self.matches(lane):
                self.add(lane)

    def take(self, worker: Worker, limit: int) -> list[Call]:
        """Up to `limit` of the worker's own calls: by priority, then by age. Limited ones only for its free slots."""
        own = [
            lane
            for lane in self.lanes.get(worker.name, ())
            if lane in self.active and lane.offer in worker.group.offers
        ]
        free = min(worker.slots - len(worker.leases), limit)
        taken = take(dict.fromkeys(own), free) if free > 0 else []
        return taken + take({lane: None for lane in own if lane.leads}, limit - len(taken))

    def put_off(self, name: str) -> None:
        """What is left for the workers of this name waits until one of them has room: nobody looks at it until then."""
        for lane in self.lanes[name]:
            if self.active.pop(lane, lane) is None:
                for owner in self.workers[name]:
                    owner.waiting[lane] = None


def take(active: dict[Lane, None], limit: int) -> list[Call]:
    """Up to `limit` calls of these lanes: by priority, then by age over all of them, or in turns where calls have a
    `fair_key`.
    """
    taken: list[Call] = []
    for level in range(HIGHEST_PRIORITY, -1, -1):
        while limit > len(taken):
            lanes = [lane for lane in active if lane.levels[level]]
            if not lanes:
                break
            if len(lanes) == 1:
                taken += lanes[0].take(level, limit - len(taken))
            elif any(lane.is_fair for lane in lanes):
                taken += _in_turn(lanes, level, limit - len(taken))
            else:
                taken += _oldest(lanes, level, limit - len(taken))
        if limit <= len(taken) or not active:
            break
    return taken


def _oldest(lanes: list[Lane], level: int, limit: int) -> list[Call]:
    """Merge the heads of several lanes by age."""
    taken: list[Call] = []
    heap = [(lane.age(level), index) for index, lane in enumerate(lanes)]
    heapq.heapify(heap)
    while heap and len(taken) < limit:
        _, index = heap[0]
        lane = lanes[index]
        next_age = min(heap[1:3])[0] if len(heap) > 1 else LAST
        taken += lane.take(level, limit - len(taken), next_age)
        if lane.levels[level]:
            heapq.heapreplace(heap, (lane.age(level), index))
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
        lane = min(heads, key=lambda lane: lane.age(level))
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
    return min(others, key=lambda lane: lane.age(level))


L = TypeVar("L", bound=Lane)


class Lanes:
    """All lanes, queues and groups, and how they match."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self.groups: dict[tuple[frozenset[str], frozenset[str]], Group] = {}
        self.direct = DirectLanes()
        self.paused: set[str] = set()
        """Names of the queues that are paused, also of those that are not there."""
        self._lanes: dict[tuple[str, str, type[Lane]], Any] = {}

    def lane(self, queue_name: str, offer: str, kind: type[L]) -> L:
        """The lane of that kind for a queue and an offer; made when first asked for."""
        lane: L | None = self._lanes.get((queue_name, offer, kind))
        if lane is None:
            queue = self.queues.setdefault(queue_name, Queue(queue_name, queue_name in self.paused))
            lane = self._lanes[queue_name, offer, kind] = kind(queue, offer)
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
        self._lanes = {key: lane for key, lane in self._lanes.items() if len(lane) or lane in used}
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
