"""The selector in which asyncio loops of the hub's thread wait."""

from __future__ import annotations

import sys
from selectors import SelectorKey
from typing import Any

from gevent.selectors import GeventSelector


class GreenSelector(GeventSelector):  # type: ignore[misc]
    """Lets greenlets run while an asyncio loop waits, and others have loops of their own.

    asyncio knows one running loop for a native thread, and sets one pair of hooks for asynchronous generators. But here
    the pool's loop shares a thread with those that plain tasks start (``asyncio.run``). Where all of them wait in green,
    only there others get to run: so no loop counts as running for that time, and the one that goes on has what belongs
    to it.
    """

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        events: Any = sys.modules.get("asyncio.events")  # Not imported for those who do without.
        loop = None if events is None else events._get_running_loop()
        if loop is None:
            return super().select(timeout)  # type: ignore[no-any-return]
        hooks = sys.get_asyncgen_hooks()
        events._set_running_loop(None)
        try:
            return super().select(timeout)  # type: ignore[no-any-return]
        finally:
            events._set_running_loop(loop)
            sys.set_asyncgen_hooks(*hooks)
