"""The states of a call, with the names that users of Celery know."""

from __future__ import annotations

PENDING = "PENDING"
"""Waiting in a queue or for its time, or not known to the mesh at all."""
RECEIVED = "RECEIVED"
"""Leased to a worker, not started yet."""
STARTED = "STARTED"
"""Running."""
RETRY = "RETRY"
"""Has failed, and waits to run again."""
PROGRESS = "PROGRESS"
"""Running, and has said how far it is."""
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
"""Terminal: the first of these that a call reaches stays."""
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, RETRY})
EXCEPTION_STATES = frozenset({FAILURE, REVOKED})
"""Terminal states whose result is an exception."""
