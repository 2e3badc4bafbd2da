"""What became of a call on each of several workers."""

from __future__ import annotations

import time
from typing import Any, Generic, TypeVar

from actorq.tasks.result import AsyncResult

R = TypeVar("R")


class BroadcastResult(dict[str, AsyncResult[R]], Generic[R]):
    """A result for each worker, by its name."""

    def get(self, timeout: float | None = None, propagate: bool = True) -> dict[str, Any]:  # type: ignore[override]
        """The values by name of the worker. Raises the first exception, unless `propagate` is false; TimeoutError."""
        deadline_s = None if timeout is None else time.monotonic() + timeout
        values: dict[str, Any] = {}
        for name, result in self.items():
            left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
            values[name] = result.get(timeout=left_s, propagate=propagate)
        return values

    def ready(self) -> bool:
        """Whether it has ended on all of them."""
        return all(result.ready() for result in self.values())

    def successful(self) -> bool:
        """Whether it has ended well on all of them."""
        return all(result.successful() for result in self.values())
