"""Monkey-patching, for the first statement of a node's process."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

from gevent import monkey


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
    """Have each asyncio loop step aside while it waits.

    asyncio knows one running loop for a native thread, and sets one pair of hooks for asynchronous generators. But here
    the pool's loop shares a thread with those that plain tasks start (``asyncio.run``). All of them wait in
    `selectors.DefaultSelector`, and only there others get to run: so no loop counts as running for that time, and the
    one that goes on has what belongs to it.
    """
    import selectors

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            events = sys.modules.get("asyncio.events")
            loop = None if events is None else events._get_running_loop()
            if events is None or loop is None:
                return super().select(timeout)
            hooks = sys.get_asyncgen_hooks()
            events._set_running_loop(None)
            try:
                return super().select(timeout)
            finally:
                events._set_running_loop(loop)
                sys.set_asyncgen_hooks(*hooks)

    selectors.DefaultSelector = Selector  # type: ignore[misc]
