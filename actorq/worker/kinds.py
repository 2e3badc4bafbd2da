"""The kinds of pools. Imports nothing: a node looks here before it is monkey-patched, and the command line does."""

from __future__ import annotations

GREEN = "green"
"""Calls in greenlets of one native thread; waiting for sockets, locks and sleeps gives way to the others."""
THREADS = "threads"
"""Calls on native threads of their own, for code that blocks in C."""
SOLO = "solo"
"""One call at a time, on the main thread."""
KINDS = (GREEN, THREADS, SOLO)

PREFORK = "prefork"
"""Not a pool, but many processes: each is a node with the pool `SOLO`."""
SYNONYMS = {"gevent": GREEN, "eventlet": GREEN, "processes": PREFORK}
"""Names that users of Celery know."""
NAMES = (*KINDS, PREFORK, *SYNONYMS)


def is_patched(kind: str) -> bool:
    """Whether a node with such a pool has the standard library wait in green. Others run code as any program does."""
    return kind == GREEN
