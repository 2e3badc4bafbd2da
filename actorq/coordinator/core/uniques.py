"""Unique calls: while one holds its key, no other with the same key is taken.

Who holds a key is a call that has not settled, and nothing else is kept of it: so a key is never held by nobody, and is
held again when calls come back from the journal. Several hold one where they had to be taken in any case, as they may have
been running before they came: it is free when all of them have ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actorq.wire.records import UNTIL_START, Call

UNIQUE = "\x1funique "
"""With a key behind it, it stands for the call that holds that, in questions of coordinators to each other."""


class Uniques:
    """Who holds which key."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[str, Call]] = {}
        """By key, and by their ids."""

    def holder(self, key: str, wall_s: float) -> Call | None:
        """The call that holds the key now: the first one, if there are several."""
        return next((call for call in self._holders.get(key, {}).values() if _holds(call, wall_s)), None)

    def take(self, call: Call) -> None:
        """The call holds its key, if it has one."""
        key = key_of(call)
        if key:
            self._holders.setdefault(key, {})[call.id] = call

    def free(self, calls: Iterable[Call]) -> None:
        """These calls have ended, or are another coordinator's."""
        for call in calls:
            key = key_of(call)
            holders = self._holders.get(key) if key else None
            if holders and holders.get(call.id) is call:
                del holders[call.id]
                if not holders:
                    del self._holders[key]

    def __len__(self) -> int:
        return len(self._holders)

    def __iter__(self) -> Iterator[Call]:
        return (call for holders in self._holders.values() for call in holders.values())


def _holds(call: Call, wall_s: float) -> bool:
    until_s = call.extra.unique_until_s if call.extra is not None else 0.0
    return not (call.worker > 0 if until_s == UNTIL_START else 0 < until_s <= wall_s)


def key_of(call: Call) -> str:
    """The unique key of a call; empty if it has none."""
    return call.extra.unique if call.extra is not None else ""
