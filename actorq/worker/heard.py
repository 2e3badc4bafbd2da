"""For tasks whose children are to be known: they end when the mesh has heard of all the calls that they have made.

These go another way than the outcome, and would come later than somebody who has got that asks for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def with_calls_heard(fn: Callable[..., Any], hear: Callable[[], None], is_coroutine: bool) -> Callable[..., Any]:
    """`fn`, and then `hear`, which waits for that."""

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            value = fn(*args, **kwargs)
        except Exception:
            hear()
            raise
        hear()
        return value

    @functools.wraps(fn)
    async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
        import asyncio  # Which most nodes never need.

        loop = asyncio.get_running_loop()
        try:
            value = await fn(*args, **kwargs)
        except Exception:
            await loop.run_in_executor(None, hear)
            raise
        await loop.run_in_executor(None, hear)
        return value

    return run_coroutine if is_coroutine else run
