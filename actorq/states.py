"""The states of a call, with the names that users of Celery know."""

from __future__ import annotations

PENDING = "PENDING"
"""Not known to the mesh at all, or known by its id only."""
QUEUED = "QUEUED"
"""Waiting in a queue."""
SCHEDULED = "SCHEDULED"
"""Waiting for its time, or for those before it in its workflow."""
RECEIVED = "RECEIVED"
"""Leased to a worker, not started yet."""
STARTED = "STARTED"
"""Running."""
RETRY = "RETRY"
"""Has failed, and waits to run again."""
REJECTED = "REJECTED"
"""Its task has raised `Reject`."""
IGNORED = "IGNORED"
"""Its task has raised `Ignore`."""
PROGRESS = "PROGRESS"
"""Running, and has said how far it is."""
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
"""Terminal: the first of these that a call reaches stays."""
UNREADY_STATES = frozenset({PENDING, QUEUED, SCHEDULED, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
"""States whose result is an exception."""
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
"""States whose exception is raised by `get`."""
ALL_STATES = frozenset({PENDING, QUEUED, SCHEDULED, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

PRECEDENCE = (
    SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, QUEUED, SCHEDULED, PENDING
)  # fmt: skip
"""Which of two states of a call counts: that which is further in front. None: all states of users' own."""
_PLACES = {name: place for place, name in enumerate(PRECEDENCE)}


def precedence(name: str) -> int:
    """The place of a state in PRECEDENCE: the lower it is, the more it counts."""
    return _PLACES.get(name, _PLACES[None])


class state(str):  # noqa: N801 - Celery's name
    """A state that is compared by precedence: ``state(STARTED) < state(SUCCESS)``."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)
