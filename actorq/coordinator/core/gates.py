"""Limits of how many calls may start, or run at once: `rate_limit` and `max_concurrency`.

Calls of one task with one key wait at a *gate*, first come, first served by priority, in as many *stands* as they have
queues and priorities. Only as many as may start now are shown in their lane, so that what waits for its turn costs the
dispatch nothing, and takes no slot. A lease takes its part of the rate at once; its end makes room for the next.
Where nothing stands and runs, and the rate is at rest, the gate is forgotten.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from actorq.coordinator.core.lines import GONE, LAST, Line, Rota, Turns, age, older
from actorq.coordinator.core.queues import LEVELS, Lane
from actorq.policies import rate as rates
from actorq.policies.rate import MANY, Rate
from actorq.wire.records import Call, CallSpec

_NO_SPEC = CallSpec("")
_Limits = tuple["Rate | None", float, int, bool]
"""Rate, seconds between two starts, how many may be leased at once, and whether calls may be at hand."""
_NONE: _Limits = (None, 0.0, 0, False)


class Stand:
    """The calls of one lane and priority that wait at one gate."""

    __slots__ = ("gate", "lane", "level", "line", "shown")

    def __init__(self, lane: LimitedLane, level: int, gate: Gate, line: Line | Turns) -> None:
        self.lane = lane
        self.level = level
        self.gate = gate
        self.line = line
        self.shown = 0
        """How many of them may start now."""


class Gate:
    """The limits of one task and key, and what has been taken of them."""

    __slots__ = (
        "concurrency",
        "due_s",
        "full_s",
        "gates",
        "leads",
        "name",
        "open",
        "rate",
        "running",
        "spec",
        "stands",
        "step_s",
    )

    def __init__(self, gates: Gates, name: tuple[str, str]) -> None:
        self.gates = gates
        self.name = name
        self.spec = _NO_SPEC
        self.rate: Rate | None = None
        self.concurrency = 0
        self.step_s = 0.0
        self.full_s = gates.now_s + rates.BURST_S  # Without a burst: there may have been starts before.
        """When nothing is left of what has been taken of the rate."""
        self.leads = False
        """What workers have at hand is next to nothing of the rate: these calls may be among it."""
        self.running = 0
        """Leases."""
        self.open = 0
        """How many may start now, at least."""
        self.stands: list[Stand] = []
        self.due_s: float | None = None
        """When it will be looked at."""

    def took(self, count: int) -> None:
        """So many calls were leased."""
        self.running += count
        if self.rate is not None:
            self.full_s = rates.take(self.full_s, self.gates.now_s, self.step_s, count)
        self.update()

    def freed(self, count: int) -> None:
        """So many leases have ended."""
        self.running -= count
        if self.concurrency or not self.stands:
            self.update()

    def update(self) -> None:
        """Something has changed: as `refresh`; and where nothing is left, the gate is forgotten as soon as it may."""
        self.refresh()
        if not self.stands and not self.running:
            self.gates.rest(self)

    def refresh(self) -> None:
        """Find out how many may start now, show so many, and have it looked again if time makes room for more."""
        room = MANY if self.rate is None else rates.room(self.full_s, self.gates.now_s, self.step_s)
        free = self.concurrency - self.running if self.concurrency else MANY
        self.open = max(min(room, free), 0)
        for stand in self.stands:
            stand.lane.expose(stand, min(len(stand.line), self.open))
        if self.stands and not room and free > 0:
            self.gates.look_again(self, rates.next_s(self.full_s))


class LimitedLane(Lane):
    """Limited calls of one queue with one offer. Gates take turns."""

    __slots__ = ("_behind", "_count", "_stands")

    def __init__(self, queue: Any, offer: str) -> None:
        super().__init__(queue, offer)
        self._stands: dict[tuple[int, Gate, bool], Stand] = {}
        self._count = self._behind = 0

    def _levels(self) -> list[OrderedDict[Stand, None]]:
        return [OrderedDict() for _ in LEVELS]

    def wait_at(self, gate: Gate, level: int, calls: list[Call]) -> None:
        """At the end of the line at this gate."""
        stand = self._stand(level, calls[0], gate)
        stand.line.extend(calls)
        self._count += len(calls)
        self.queue.size += len(calls)
        if stand.shown < gate.open:
            self.expose(stand, min(len(stand.line), gate.open))
        elif not gate.open and gate.due_s is None:
            gate.refresh()

    def put_in_front(self, level: int, call: Call, gate: Gate) -> None:
        """A call that was leased goes where it belongs by age."""
        stand = self._stand(level, call, gate)
        stand.line.put_back([call])
        self._count += 1
        self.queue.size += 1
        gate.refresh()

    def _stand(self, level: int, call: Call, gate: Gate) -> Stand:
        is_fair = call.extra is not None and bool(call.extra.fair_key)
        stand = self._stands.get((level, gate, is_fair))
        if stand is None:
            stand = Stand(self, level, gate, Turns(Rota()) if is_fair else Line())
            self._stands[level, gate, is_fair] = stand
            gate.stands.append(stand)
            self.fall_behind(not gate.leads)
        return stand

    def fall_behind(self, count: int) -> None:
        """So many stands more are for free slots only. As long as there is one, all of the lane is."""
        self._behind += count
        if self.leads != (not self._behind):
            self.hide()
            self.leads = not self._behind
            if self.size:
                self.show()

    def expose(self, stand: Stand, count: int) -> None:
        """So many calls of the stand may start now."""
        more = count - stand.shown
        if not more:
            return
        if not stand.shown:
            self.levels[stand.level][stand] = None
        elif not count:
            del self.levels[stand.level][stand]
        stand.shown = count
        if not self.size:
            self.show()
        self.size += more
        if not self.size:
            self.hide()

    def take(self, level: int, limit: int, before: int = LAST) -> list[Call]:
        """Up to `limit` calls of one level that may start now, while they are older than `before`."""
        taken: list[Call] = []
        stands = self.levels[level]
        while stands and len(taken) < limit:
            stand = next(iter(stands))
            if taken and stand.line.oldest() > before:
                break
            stands.move_to_end(stand)
            count = min(stand.shown, limit - len(taken)) if len(stands) == 1 else 1
            if before != LAST and count > 1:
                count = older(stand.line.calls, count, before) if isinstance(stand.line, Line) else 1
            stood = len(stand.line)
            calls = stand.line.take(count)
            self._has_left(stand, stood - len(stand.line), len(calls))
            stand.gate.took(len(calls))
            taken += calls
        return taken

    def drop_gone(self) -> None:
        for stand in list(self._stands.values()):
            before = len(stand.line)
            stand.line.drop_gone()
            if len(stand.line) < before:
                self._has_left(stand, before - len(stand.line), 0)
                stand.gate.update()

    def _has_left(self, stand: Stand, count: int, leased: int) -> None:
        """So many calls stand there no more: those that were leased, and others that were gone."""
        self._count -= count
        self.queue.size -= count
        self.gone -= count - leased
        if not stand.line:
            self.expose(stand, 0)
            stand.gate.stands.remove(stand)
            self.fall_behind(-(not stand.gate.leads))
            del self._stands[stand.level, stand.gate, isinstance(stand.line, Turns)]

    def oldest(self) -> Call | None:
        return min((call for _, call in self.standing() if call.attempt != GONE), key=age, default=None)

    def age(self, level: int) -> int:
        stand: Stand = next(iter(self.levels[level]))
        return stand.line.oldest()

    def stands(self) -> Iterator[Stand]:
        """All of them, for those who check."""
        return iter(self._stands.values())

    def standing(self) -> Iterator[tuple[int, Call]]:
        for stand in self._stands.values():
            for call in stand.line:
                yield stand.level, call

    def __len__(self) -> int:
        return self._count


class Gates:
    """All gates of a coordinator. Where there are several, each takes its share of a rate."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self._gates: dict[tuple[str, str], Gate] = {}
        self._rates: dict[str, Rate | None] = {}
        """Of tasks, as they were set at run time."""
        self._due: list[tuple[float, int, Gate]] = []
        self._count = 0
        self._coordinators = self._workers = 1
        self._at_hand = 0
        """Calls that workers have beside those in slots."""
        self._last: tuple[CallSpec, _Limits] = (_NO_SPEC, _NONE)
        """Calls come in runs with one spec."""

    def is_limited(self, spec: CallSpec) -> bool:
        """Whether calls with this spec wait at gates."""
        return spec.is_limited or spec.task in self._rates

    def of(self, call: Call, spec: CallSpec) -> Gate:
        """The gate where the call waits, with the limits of its spec: those of the last call count for all."""
        name = _name(call, spec)
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = Gate(self, name)
        if gate.spec is not spec:
            gate.spec = spec
            self._adjust(gate)
        return gate

    def freed(self, key: str, spec: CallSpec, count: int) -> None:
        """So many limited calls with this key are leased no more."""
        gate = self._gates.get((spec.task, key))
        if gate is not None:
            gate.freed(count)

    def set_rate(self, task: str, rate: Rate | None) -> None:
        """From now on calls of the task start at this rate, whatever they say themselves."""
        self._rates[task] = rate
        self._adjust_all(task)

    def forget_rate(self, task: str) -> None:
        """From now on calls of the task start at the rate that they say themselves."""
        if task in self._rates:
            del self._rates[task]
            self._adjust_all(task)

    def _adjust_all(self, task: str) -> None:
        self._last = (_NO_SPEC, _NONE)
        for gate in list(self._gates.values()):
            if gate.name[0] == task:
                self._adjust(gate)

    def share(self, coordinators: int, workers: int, at_hand: int) -> None:
        """So many coordinators share the limits of the mesh; so many worker nodes have limits each. `at_hand`: so many
        calls do these have, at most, that are not in slots.
        """
        is_about_the_same = self._at_hand >= at_hand >= self._at_hand // 4  # It changes all the time, a little.
        at_hand = self._at_hand if is_about_the_same else 1 << at_hand.bit_length()
        if (coordinators, workers, at_hand) != (self._coordinators, self._workers, self._at_hand):
            self._coordinators, self._workers, self._at_hand = coordinators, workers, at_hand
            self._last = (_NO_SPEC, _NONE)
            for gate in list(self._gates.values()):
                self._adjust(gate)

    def _adjust(self, gate: Gate) -> None:
        """Bring the gate's limits in line with its spec."""
        if gate.spec is not self._last[0]:
            self._last = gate.spec, self._limits(gate.spec)
        rate, step_s, gate.concurrency, leads = self._last[1]
        if (rate, step_s) != (gate.rate, gate.step_s):
            gate.rate, gate.step_s = rate, step_s
            gate.full_s = min(gate.full_s, self.now_s + rates.BURST_S + step_s)
        if leads != gate.leads:
            gate.leads = leads
            for stand in gate.stands:
                stand.lane.fall_behind(-1 if leads else 1)
        gate.refresh()

    def _limits(self, spec: CallSpec) -> _Limits:
        """Those of the spec, with what was set at run time, and our share of them."""
        rate = Rate(spec.rate, spec.rate_period_s) if spec.rate else None
        rate = self._rates.get(spec.task, rate)
        times = self._workers if spec.limits_worker else 1
        concurrency = max(spec.max_concurrency * times // self._coordinators, 1) if spec.max_concurrency else 0
        if rate is None:
            return None, 0.0, concurrency, False
        ours = rate._replace(starts=rate.starts * times)
        leads = not concurrency and rates.leads(ours, self._coordinators, self._at_hand)
        return rate, rates.step_s(ours, self._coordinators, self._at_hand if leads else 0), concurrency, leads

    # -- time ----------------------------------------------------------------------------------------------------

    def open_due(self, now_s: float) -> None:
        """It is now so late: some may have room again."""
        self.now_s = now_s
        while self._due and self._due[0][0] <= now_s:
            due_s, _, gate = heapq.heappop(self._due)
            if gate.due_s == due_s:
                gate.due_s = None
                gate.update()

    def look_again(self, gate: Gate, when_s: float) -> None:
        """Have the gate looked at then, unless it will be earlier."""
        if gate.due_s is None or when_s < gate.due_s:
            gate.due_s = when_s
            self._count += 1
            heapq.heappush(self._due, (when_s, self._count, gate))

    def rest(self, gate: Gate) -> None:
        """Nothing stands at the gate, and nothing runs: forget it, at once or when its rate is at rest."""
        if gate.rate is not None and gate.full_s > self.now_s:
            self.look_again(gate, gate.full_s)
        else:
            gate.due_s = None
            self._gates.pop(gate.name, None)

    def next_s(self) -> float | None:
        """Monotonic time at which a gate is to be looked at."""
        return self._due[0][0] if self._due else None

    def __len__(self) -> int:
        return len(self._gates)

    def __iter__(self) -> Iterator[Gate]:
        return iter(self._gates.values())


def _name(call: Call, spec: CallSpec) -> tuple[str, str]:
    return spec.task, call.extra.limit_key if call.extra is not None else ""
