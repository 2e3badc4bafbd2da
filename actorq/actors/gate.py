"""The way into a gevent hub from other native threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent._hub_local import get_hub_if_exists


class HubGate:
    """Has the hub of the thread that makes it call functions, for any thread. Keeps that hub going until it is closed.

    Not through gevent's `run_callback_threadsafe`: that changes the loop's reference count in the caller's thread,
    while libev changes it without the GIL. Lost counts end the hub with LoopExit, under load within seconds. An async
    watcher is made for this.
    """

    __slots__ = ("_calls", "_watcher", "hub")

    def __init__(self) -> None:
        self.hub: Any = get_hub()
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._watcher = self.hub.loop.async_()
        self._watcher.start(self._run_calls)

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        """Have the hub call `callback` in its next iteration. From any native thread."""
        if get_hub_if_exists() is self.hub:
            self.hub.loop.run_callback(callback, *args)
        else:
            self._calls.append((callback, args))
            self._watcher.send()

    def close(self) -> None:
        """Let the hub end. In the hub's thread; what other threads ask for from now on is not done."""
        self._watcher.stop()

    def _run_calls(self) -> None:
        calls = self._calls
        while calls:
            callback, args = calls.popleft()
            callback(*args)
