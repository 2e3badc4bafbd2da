"""Monkey-patching, for the first statement of a node's process."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from gevent import monkey


def patch_all() -> None:
    """`gevent.monkey.patch_all`, which looks through all installed packages only once.

    By itself it does that for each of some 25 events, to find whoever wants to hear of them: 1 ms each in a small
    environment, 10 in a large one, and half of the time that a node takes to start.
    """
    look_up, found = metadata.entry_points, metadata.entry_points()

    def select(**parameters: Any) -> Any:
        return found.select(**parameters)

    metadata.entry_points = select
    try:
        monkey.patch_all()
    finally:
        metadata.entry_points = look_up
