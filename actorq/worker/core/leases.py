"""What a node holds, from whichever coordinator: calls that are ready, that wait for their Begin, that run.

The pool takes `(call, job)` pairs from the left of `ready`; the watchdog may take from its right what has not started
(`take_unstarted`), from its own thread: both ends of a deque, and `held.pop`, are atomic.

While the node holds a call, `call.worker` is the number of its session with the coordinator that leased it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from actorq.config import HIGHEST_PRIORITY
from actorq.wire.records import Call

FORGOTTEN = -1
"""`attempt` of a call that runs on although its lease was given away. A new coordinator numbers attempts from 1 again,
so what comes of this one must not be taken for the outcome of a new lease of the same call."""

Pair = tuple[Call, Any]
"""A call and its job."""
Attempts = dict[int, list[tuple[str, int]]]
"""Ids and attempts by number of the session."""


class Leases:
    """The calls of one node, each in one place: ready, guarded or running."""

    def __init__(self) -> None:
        self.ready: deque[Pair] = deque()
        """Calls to run, with their jobs: by priority, oldest first."""
        self.lowest = HIGHEST_PRIORITY
        """None of those has a lower priority."""
        self.held: dict[str, Call] = {}
        """All leases that have not ended: ready, guarded and running."""
        self.guarded: dict[str, Pair] = {}
        """Those that wait for Begin before they start."""
        self.announced: set[str] = set()
        """The guarded ones whose start was announced."""
        self.cancelled: set[str] = set()
        """Running ones that were revoked and may run on. The watchdog adds to it, too."""
        self.doubles: dict[str, list[Pair]] = {}
        """Leases of calls that are held already from another coordinator. Their client has gone from one to the other
        and brought its calls along. They do not run: what becomes of the first is reported to all."""

    def sort(self) -> None:
        """A call has come whose priority is higher than that of others which wait: it goes before these."""
        pairs: list[Pair] = []
        while True:
            try:
                pairs.append(self.ready.popleft())
            except IndexError:
                break
        pairs.sort(key=_priority, reverse=True)  # Those of one priority stay in order.
        self.ready.extend(pairs)

    def forget_cancelled(self) -> None:
        """Forget which calls were revoked, of those that have ended."""
        for task_id in [each for each in list(self.cancelled) if each not in self.held]:
            self.cancelled.discard(task_id)

    def waiting(self) -> list[Pair]:
        """What has not started, with its jobs. From any thread: each `list` copies in one step of the interpreter."""
        return list(self.ready) + list(self.guarded.values())

    def take_unstarted(self) -> Attempts:
        """Empty `ready` from its end; returns the attempts in the order in which they stood there. From any thread."""
        attempts: Attempts = {}
        while True:
            try:
                call, _ = self.ready.pop()
            except IndexError:
                break
            held = self.held.pop(call.id, None)
            if held is call:
                attempts.setdefault(call.worker, []).append((call.id, call.attempt))
            elif held is not None:
                self.held[call.id] = held  # It has just been leased anew.
        for each in attempts.values():
            each.reverse()
        return attempts

    def drop_unstarted(self, number: int) -> None:
        """Forget what one session has leased and has not started."""
        for _ in range(len(self.ready)):
            try:
                pair = self.ready.popleft()
            except IndexError:
                break  # The watchdog has taken the rest.
            if pair[0].worker != number:
                self.ready.append(pair)
            elif self.held.get(pair[0].id) is pair[0]:
                del self.held[pair[0].id]
        self.drop_guarded_of(number)
        for task_id in list(self.doubles):
            self.take_double(task_id, number)

    def drop_guarded(self, task_id: str) -> None:
        """Forget a guarded call that has not started."""
        del self.guarded[task_id]
        self.announced.discard(task_id)
        self.held.pop(task_id, None)

    def drop_guarded_of(self, number: int) -> None:
        """Forget the guarded calls that one session has leased."""
        for task_id in [each for each, (call, _) in self.guarded.items() if call.worker == number]:
            self.drop_guarded(task_id)

    def take_waiting(self) -> Attempts:
        """As `take_unstarted`, with those that wait for their Begin, and all doubles."""
        attempts = self.take_unstarted()
        for task_id, (call, _) in self.guarded.items():
            self.held.pop(task_id, None)
            attempts.setdefault(call.worker, []).append((task_id, call.attempt))
        self.guarded.clear()
        self.announced.clear()
        for call, _ in self._all_doubles():
            attempts.setdefault(call.worker, []).append((call.id, call.attempt))
        self.doubles.clear()
        return attempts

    def withdraw(self, pair: Pair) -> bool:
        """Take a call that has not started out of where it waits. False if it is not there any more."""
        if self.guarded.pop(pair[0].id, None) is not None:
            self.announced.discard(pair[0].id)
            return True
        try:
            self.ready.remove(pair)
        except ValueError:
            return False
        return True

    def of(self, number: int) -> list[tuple[str, int]]:
        """Ids and attempts of all leases from one session."""
        held = [(call.id, call.attempt) for call in list(self.held.values()) if call.worker == number]
        return held + [(call.id, call.attempt) for call, _ in self._all_doubles() if call.worker == number]

    def counts(self) -> Counter[int]:
        """How many are held, by number of the session."""
        return Counter([call.worker for call in list(self.held.values())])

    # -- doubles -------------------------------------------------------------------------------------------------

    def add_double(self, call: Call, job: Any) -> None:
        """`call` is held from another coordinator already."""
        self.take_double(call.id, call.worker)
        self.doubles.setdefault(call.id, []).append((call, job))

    def take_double(self, task_id: str, number: int) -> Call | None:
        """Remove the double that a session has leased, if there is one."""
        pairs = self.doubles.get(task_id, [])
        for pair in pairs:
            if pair[0].worker == number:
                pairs.remove(pair)
                if not pairs:
                    del self.doubles[task_id]
                return pair[0]
        return None

    def pop_doubles(self, task_id: str) -> list[Call]:
        """Remove all doubles of a call that has ended."""
        return [call for call, _ in self.doubles.pop(task_id, ())]

    def pop_widows(self) -> list[Pair]:
        """Of each call whose first lease is gone without an outcome, one double, which takes its place."""
        orphaned = [task_id for task_id in self.doubles if task_id not in self.held]
        widows = []
        for task_id in orphaned:
            pairs = self.doubles[task_id]
            widows.append(pairs.pop(0))
            if not pairs:
                del self.doubles[task_id]
        return widows

    def _all_doubles(self) -> Iterator[Pair]:
        for pairs in list(self.doubles.values()):
            yield from list(pairs)


def _priority(pair: Pair) -> int:
    priority: int = pair[1].spec.priority
    return priority
