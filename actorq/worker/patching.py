"""Monkey-patching, for the first statement of a node's process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from gevent import monkey

from actorq.worker.kinds import GREEN, is_patched


def patch_process(arguments: Sequence[str]) -> None:
    """`patch_all`, unless the options of the node (`WorkerOptions` as JSON) name a pool that runs code as it is."""
    try:
        kind = json.loads(arguments[-1])["pool"]
    except (ValueError, TypeError, KeyError, IndexError):
        kind = GREEN
    if is_patched(kind):
        patch_all()


def patch_all() -> None:
    """`gevent.monkey.patch_all`, faster, and so that several greenlets may run asyncio loops of their own."""
    look_up, found = metadata.entry_points, metadata.entry_points()

    def select(**parameters: Any) -> Any:
        return found.select(**parameters)

    # By itself gevent looks through all installed packages for each of some 25 events, to find whoever wants to hear
    # of them: 1 ms each in a small environment, 10 in a large one, and half of the time that a node takes to start.
    metadata.entry_points = select
    try:
        monkey.patch_all()
    finally:
        metadata.entry_points = look_up
    _patch_selectors()


def _patch_selectors() -> None:
    """Have each asyncio loop step aside while it waits."""
    import selectors

    from actorq.worker.green_selector import GreenSelector

    selectors.DefaultSelector = GreenSelector  # type: ignore[misc]
