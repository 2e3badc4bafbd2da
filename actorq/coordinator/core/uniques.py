"""Unique calls: while one holds its key, no other with the same key is taken.

Who holds a key is a call that has not settled, and nothing else is kept of it: so a key is never held by nobody, and is
held again when calls come back from the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actorq.wire.records import UNTIL_START, Call

UNIQUE = "\x1funique "
"""With a key behind it, it stands for the call that holds that, in questions of coordinators to each other."""


class Uniques:
    """Who holds which key."""

    def __init__(self) -> None:
        self._holders: dict[str, Call] = {}

    def holder(self, key: str, wall_s: float) -> Call | None:
        """The call that holds the key now."""
        call = self._holders.get(key)
        if call is None or call.extra is None:
            return None
        until_s = call.extra.unique_until_s
        is_over = call.worker > 0 if until_s == UNTIL_START else 0 < until_s <= wall_s
        return None if is_over else call

    def take(self, call: Call, wall_s: float) -> None:
        """The call holds its key, if it has one and nobody else holds it."""
        key = key_of(call)
        if key and self.holder(key, wall_s) is None:
            self._holders[key] = call

    def free(self, calls: Iterable[Call]) -> None:
        """These calls have ended, or are another coordinator's."""
        for call in calls:
            key = key_of(call)
            if key and self._holders.get(key) is call:
                del self._holders[key]

    def __len__(self) -> int:
        return len(self._holders)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._holders.values())


def key_of(call: Call) -> str:
    """The unique key of a call; empty if it has none."""
    return call.extra.unique if call.extra is not None else ""
