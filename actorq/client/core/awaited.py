"""Calls that were accepted and whose outcomes have not come. Those that take long are asked for: one may be lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from actorq.config import MAX_BATCH, ClientSettings
from actorq.wire import messages as m


class Batch(NamedTuple):
    """Calls that were accepted, and have not settled as far as we know."""

    since_s: float
    """When they were accepted, or asked for the last time."""
    ids: list[str]
    unknown_s: float = 0.0
    """When it was heard that no coordinator which answers knows them; 0: that was not heard."""


class Awaited:
    """Batches of such calls, by the time when they were accepted or asked for the last time."""

    def __init__(self, settings: ClientSettings) -> None:
        self.asked: dict[int, Batch] = {}
        """What was asked for and has no answer yet, by the token of the query."""
        self._settings = settings
        self._batches: deque[Batch] = deque()
        self._token = 0
        self._is_in_hurry = False

    def add(self, ids: list[str], now_s: float) -> None:
        """These were accepted."""
        self._batches.append(Batch(now_s, ids))

    def ids(self) -> list[str]:
        """Of all but those that are asked for now."""
        return [task_id for batch in self._batches for task_id in batch.ids]

    def clear(self) -> None:
        """They are awaited no more."""
        self._batches.clear()

    def begin_anew(self, now_s: float) -> None:
        """Another connection is there: what was asked is not answered any more."""
        self._batches.extend(each._replace(since_s=now_s) for each in self.asked.values())
        self.asked.clear()

    def hurry(self, now_s: float) -> None:
        """Have all asked for the next time."""
        due_s = now_s - self._settings.ask_after_s
        self._batches = deque(each._replace(since_s=min(each.since_s, due_s)) for each in self._batches)
        self._is_in_hurry = True

    def due(self, pending: Collection[str], now_s: float) -> list[m.Query]:
        """Ask for those that take long, of those that are `pending`."""
        queries: list[m.Query] = []
        hurry, self._is_in_hurry = self._is_in_hurry, False
        budget = len(pending) if hurry else self._settings.ask_batch
        due_s = now_s - self._settings.ask_after_s
        while budget > 0 and self._batches and now_s - self._batches[0].since_s >= self._settings.ask_after_s:
            batch = self._batches.popleft()
            ids = [task_id for task_id in batch.ids if task_id in pending]
            size = min(budget, MAX_BATCH)
            now, later = ids[:size], ids[size:]
            if later:
                self._batches.appendleft(Batch(due_s, later, batch.unknown_s))
            if now:
                budget -= len(now)
                self._token -= 1  # The shell's tokens are positive.
                self.asked[self._token] = batch._replace(ids=now)
                queries.append(m.Query(self._token, now))
        return queries

    def lost(self, report: m.Report, pending: Collection[str], now_s: float) -> list[str]:
        """The answer to a query: those of its calls that are lost. A coordinator that is silent now may have them in its
        journal, and come back: they are not lost for as long as that may take.
        """
        asked = self.asked.pop(report.token)
        states = dict(report.states)
        waiting = [task_id for task_id in asked.ids if task_id in pending]
        known = [task_id for task_id in waiting if states.get(task_id, "not answered")]
        unknown = [task_id for task_id in waiting if not states.get(task_id, "not answered")]
        if known:
            self._batches.append(Batch(now_s, known))
        if not unknown:
            return []
        unknown_s = asked.unknown_s or now_s
        if report.silent and now_s < unknown_s + self._settings.resend_after_s:
            self._batches.append(Batch(now_s, unknown, unknown_s))
            return []
        return unknown
