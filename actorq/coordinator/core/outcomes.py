"""Outcomes of settled calls, kept for look-ups within bounds of count, bytes and age.

When each came, and from whom, is known too, and costs nothing for each: that is noted for each batch, with the place of its
first outcome, and an outcome's place is found by counting, when somebody asks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from actorq.config import BLOB_BYTES
from actorq.wire.records import Call, CallSpec, Outcome

GENERATIONS = 8
RESOLUTION_S = 0.01
"""Batches from one worker that came within so long are noted as one."""


class Origin(NamedTuple):
    """Where an outcome came from."""

    came_s: float
    """When: Unix time."""
    worker: str
    """Name of the worker node that has run the call; empty: none has, or it is not known."""


class Made(NamedTuple):
    """What call an outcome is of."""

    spec: CallSpec
    call: Call


def made_of(spec: CallSpec, call: Call) -> Made:
    """What is kept of a call that has settled: nothing of what it has taken from others, and no large arguments."""
    is_kept = not spec.sensitive and len(call.body) <= BLOB_BYTES
    return Made(spec, msgspec.structs.replace(call, body=call.body if is_kept else b"", inputs=None))


class _Generation:
    __slots__ = (
        "_again",
        "_firsts",
        "_times_s",
        "_workers",
        "bytes",
        "children",
        "forgotten",
        "made",
        "opened_s",
        "outcomes",
    )

    def __init__(self, opened_s: float) -> None:
        self.opened_s = opened_s
        self.outcomes: dict[str, Outcome | None] = {}
        """In the order in which they came. None: it was forgotten, and keeps its place."""
        self.forgotten = 0
        self.made: dict[str, Made] = {}
        """Of those that are to be known: what they are outcomes of."""
        self.children: dict[str, list[str]] = {}
        """Of those: ids, by what they belong to."""
        self.bytes = 0
        self._firsts = array("L")
        self._times_s = array("d")
        self._workers: list[str] = []
        self._again: dict[str, Origin] = {}
        """Of those that stand at the place of an earlier one with the same id."""

    def add(self, outcomes: Sequence[Outcome], came_s: float, worker: str) -> None:
        kept = self.outcomes
        first = len(kept)
        for outcome in outcomes:
            kept[outcome.id] = outcome
        self.bytes += sum([len(outcome.body) for outcome in outcomes])
        if len(kept) < first + len(outcomes):
            self._again.update(dict.fromkeys([outcome.id for outcome in outcomes], Origin(came_s, worker)))
            self.forgotten = sum([outcome is None for outcome in kept.values()]) if self.forgotten else 0
        workers = self._workers
        if workers and worker == workers[-1] and 0 <= came_s - self._times_s[-1] < RESOLUTION_S:
            return
        self._firsts.append(first)
        self._times_s.append(came_s)
        workers.append(worker)

    def origin(self, task_id: str) -> Origin:
        """Of an outcome that is here."""
        again = self._again.get(task_id)
        if again is not None:
            return again
        after = next(count for count, each in enumerate(reversed(self.outcomes)) if each == task_id)
        batch = bisect_right(self._firsts, len(self.outcomes) - 1 - after) - 1
        return Origin(self._times_s[batch], self._workers[batch])

    def know(self, made: Made) -> None:
        call = made.call
        is_new = call.id not in self.made
        self.made[call.id] = made
        self.bytes += len(call.body)
        if is_new and call.extra is not None and call.extra.parent:
            self.children.setdefault(call.extra.parent, []).append(call.id)

    def is_empty(self) -> bool:
        """Whether all were forgotten."""
        return len(self.outcomes) == self.forgotten

    def forget(self, task_id: str) -> bool:
        outcome = self.outcomes.get(task_id)
        if outcome is None:
            return False
        self.outcomes[task_id] = None
        self.forgotten += 1
        self.bytes -= len(outcome.body)
        made = self.made.pop(task_id, None)
        if made is not None:
            self.bytes -= len(made.call.body)
        return True


class OutcomeCache:
    """Bounded by dropping the oldest eighth at once: no bookkeeping per outcome.

    At least 7/8 of each bound are kept, never more than the bound (plus one batch).
    """

    def __init__(self, count: int, size_bytes: int, age_s: float) -> None:
        self._count = max(count // GENERATIONS, 1)
        self._bytes = max(size_bytes // GENERATIONS, 1)
        self._age_s = age_s
        self._generations: deque[_Generation] = deque()

    def add(self, outcomes: Sequence[Outcome], now_s: float, came_s: float = 0.0, worker: str = "") -> None:
        """Keep these, which have come from a worker (at `came_s`, Unix time). Of two with one id the later one is found.

        A call settles once, so there are two only where a client has sent an old id again, and said that it is fresh.
        """
        self._newest(now_s).add(outcomes, came_s, worker)

    def know(self, made: Sequence[Made]) -> None:
        """Keep what calls the outcomes that were added last are of."""
        for each in made:
            self._generations[-1].know(each)

    def get(self, task_id: str) -> Outcome | None:
        """The outcome of a call, or None if it has not settled or was dropped since."""
        for generation in reversed(self._generations):
            outcome = generation.outcomes.get(task_id)
            if outcome is not None:
                return outcome
        return None

    def origin(self, task_id: str) -> Origin | None:
        """Where the outcome of a call came from; None if it is not here. Looks through an eighth of them."""
        generation = self._generation_of(task_id)
        return None if generation is None else generation.origin(task_id)

    def made(self, task_id: str) -> Made | None:
        """What call an outcome is of, if that was to be kept."""
        generation = self._generation_of(task_id)
        return None if generation is None else generation.made.get(task_id)

    def children(self, parent: str) -> list[Made]:
        """The calls with that parent, of those that were to be kept."""
        return [
            each.made[task_id]
            for each in self._generations
            for task_id in each.children.get(parent, ())
            if task_id in each.made
        ]

    def _generation_of(self, task_id: str) -> _Generation | None:
        return next((each for each in reversed(self._generations) if each.outcomes.get(task_id) is not None), None)

    def forget(self, task_id: str) -> bool:
        """Drop the outcome of a call. False if it is not here."""
        return sum(generation.forget(task_id) for generation in self._generations) > 0

    def all(self) -> list[Outcome]:
        """All that are kept, the oldest first."""
        return [
            outcome
            for generation in self._generations
            for outcome in generation.outcomes.values()
            if outcome is not None
        ]

    def expire(self, now_s: float) -> None:
        """Drop generations that are over age, and those of which nothing is left."""
        while self._generations and (
            now_s - self._generations[0].opened_s > self._age_s or self._generations[0].is_empty()
        ):
            self._generations.popleft()

    def __len__(self) -> int:
        return sum(len(generation.outcomes) - generation.forgotten for generation in self._generations)

    def _newest(self, now_s: float) -> _Generation:
        generations = self._generations
        if generations:
            newest = generations[-1]
            age_s = now_s - newest.opened_s
            if len(newest.outcomes) < self._count and newest.bytes < self._bytes and age_s * GENERATIONS < self._age_s:
                return newest
        generations.append(_Generation(now_s))
        if len(generations) > GENERATIONS:
            generations.popleft()
        return generations[-1]
