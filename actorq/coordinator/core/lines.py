"""How calls of one priority stand in line: first come, first served, or in turns between tenants (`fair_key`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice

from actorq.wire.records import Call

GONE = -1
"""`attempt` of a call that was taken out while it stood in line; it is dropped when its turn comes."""


LAST = 2**63
"""No call is so young."""


def age(call: Call) -> int:
    """The smaller the older."""
    return call.seq


def put_in_front(waiting: deque[Call], calls: list[Call]) -> None:
    """Put calls that were leased where they belong by age: before all that came after them."""
    youngest = max([call.seq for call in calls])
    while waiting and waiting[0].seq < youngest:
        calls.append(waiting.popleft())
    calls.sort(key=age)
    waiting.extendleft(reversed(calls))


def older(waiting: Iterable[Call], limit: int, before: int) -> int:
    """How many of the first `limit` calls are older than `before`; one is, at least."""
    count = 0
    for call in islice(waiting, limit):
        if call.seq > before and count:
            break
        count += 1
    return count


def tenant_of(call: Call) -> str:
    """The key by which the call takes turns with others."""
    return call.extra.fair_key if call.extra is not None else ""


class Line:
    """First come, first served."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()

    def extend(self, calls: list[Call]) -> None:
        """Put these at the end."""
        self.calls.extend(calls)

    def put_back(self, calls: list[Call]) -> None:
        """Calls that were leased go where they belong by age."""
        put_in_front(self.calls, calls)

    def take(self, limit: int) -> list[Call]:
        """Up to `limit` calls from the front. Those that are gone are dropped on the way."""
        taken: list[Call] = []
        calls = self.calls
        while calls and len(taken) < limit:
            call = calls.popleft()
            if call.attempt != GONE:
                taken.append(call)
        return taken

    def drop_gone(self) -> None:
        """Let go of the calls that were taken out."""
        self.calls = deque(call for call in self.calls if call.attempt != GONE)

    def oldest(self) -> int:
        """The age of the call in front."""
        return self.calls[0].seq

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)


class Tenant:
    """One key in one queue and priority, whatever its tasks."""

    __slots__ = ("lines", "served")

    def __init__(self) -> None:
        self.lines = 0
        """In how many lines it stands."""
        self.served = 0
        """Number of its last turn."""


class Rota:
    """Whose turn it is in one queue and priority. Its lines, one for each task, share it."""

    __slots__ = ("others", "tenants", "turn")

    def __init__(self) -> None:
        self.turn = 0
        self.tenants: dict[str, Tenant] = {}
        self.others = 0
        """The last turn of the calls without a key, which are one tenant together."""

    def next(self) -> int:
        """The number of the next turn."""
        self.turn += 1
        return self.turn


class _Place:
    """A tenant's calls in one line."""

    __slots__ = ("calls", "tenant")

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.calls: deque[Call] = deque()


class Turns:
    """Tenants take turns, with a call each; within a tenant first come, first served."""

    __slots__ = ("_count", "_order", "_places", "_rota")

    def __init__(self, rota: Rota) -> None:
        self._rota = rota
        self._places: dict[str, _Place] = {}
        self._order: list[tuple[int, str]] = []
        """A heap with the last turn of each place, or the one at which it came."""
        self._count = 0

    def extend(self, calls: list[Call]) -> None:
        """Put each at the end of its tenant's."""
        for call in calls:
            self._place(tenant_of(call)).calls.append(call)
        self._count += len(calls)

    def _place(self, key: str) -> _Place:
        place = self._places.get(key)
        if place is None:
            tenant = self._rota.tenants.setdefault(key, Tenant())
            tenant.lines += 1
            place = self._places[key] = _Place(tenant)
            heappush(self._order, (self._rota.next(), key))
        return place

    def put_back(self, calls: list[Call]) -> None:
        """Calls that were leased go where they belong by age."""
        by_tenant: dict[str, list[Call]] = {}
        for call in calls:
            by_tenant.setdefault(tenant_of(call), []).append(call)
        self._count += len(calls)
        for key, each in by_tenant.items():
            put_in_front(self._place(key).calls, each)

    def take(self, limit: int) -> list[Call]:
        """Up to `limit` calls. Those that are gone are dropped on the way."""
        taken: list[Call] = []
        while self._count and len(taken) < limit:
            turn, key = self._next()
            place = self._places[key]
            call = place.calls.popleft()
            self._count -= 1
            if call.attempt != GONE:
                turn = place.tenant.served = self._rota.next()
                taken.append(call)
            if place.calls:
                heapreplace(self._order, (turn, key))
            else:
                heappop(self._order)
                self._forget(key, place)
        return taken

    def _next(self) -> tuple[int, str]:
        """Whose turn it is. Who has had its turn in another line meanwhile goes where it stands by that one."""
        while True:
            turn, key = self._order[0]
            served = self._places[key].tenant.served
            if turn >= served:
                return turn, key
            heapreplace(self._order, (served, key))

    def _forget(self, key: str, place: _Place) -> None:
        del self._places[key]
        place.tenant.lines -= 1
        if not place.tenant.lines:
            del self._rota.tenants[key]

    def drop_gone(self) -> None:
        """Let go of the calls that were taken out."""
        for key, place in list(self._places.items()):
            before = len(place.calls)
            place.calls = deque(call for call in place.calls if call.attempt != GONE)
            self._count -= before - len(place.calls)
            if not place.calls:
                self._forget(key, place)
        self._order = [each for each in self._order if each[1] in self._places]
        heapify(self._order)

    def turn(self) -> int:
        """The number of the turn that is next."""
        return self._next()[0]

    def oldest(self) -> int:
        """The age of the call whose turn is next."""
        return self._places[self._next()[1]].calls[0].seq

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Call]:
        for place in self._places.values():
            yield from place.calls


def present(calls: Iterable[Call]) -> int:
    """How many of these are not gone."""
    return sum([call.attempt != GONE for call in calls])
