"""How a greenlet or a native thread waits for what another one brings about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from actorq import native

FOREVER_S = 1e9
"""A timer this long keeps a hub's loop running while the ring can only come from another thread."""


class Bell(Protocol):
    """Rung by one, waited for by another. A ring may be heard twice: look at what is awaited, then wait again."""

    def ring(self) -> None:
        """Wake the waiter, now or when it begins to wait. From any thread."""

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a ring. False if the time was over first."""


class NativeBell:
    """Blocks the native thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = native.new_lock()
        self._lock.acquire()

    def ring(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass  # It was rung and not heard yet.

    def wait(self, timeout_s: float | None) -> bool:
        heard: bool = self._lock.acquire(True, -1 if timeout_s is None else max(timeout_s, 0.0))
        return heard


class GreenBell:
    """Blocks the greenlet; the others of its hub run on."""

    __slots__ = ("_hub", "_waiter")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._waiter = Waiter(hub)

    def ring(self) -> None:
        call_soon(self._hub, self._waiter.switch, True)

    def wait(self, timeout_s: float | None) -> bool:
        timer = self._hub.loop.timer(FOREVER_S if timeout_s is None else max(timeout_s, 0.0))
        timer.start(self._waiter.switch, False, update=True)
        try:
            heard: bool = self._waiter.get()
            return heard
        finally:
            timer.close()
            self._waiter.clear()


def new_bell() -> Bell:
    """A bell for the caller to wait for: blocks its greenlet where its native thread has a hub, else the thread."""
    hub = get_hub_if_exists()
    return NativeBell() if hub is None else GreenBell(hub)


def call_soon(hub: Any, callback: Callable[..., object], *args: object) -> None:
    """Have `hub` call `callback` in its next iteration. From any native thread."""
    if get_hub_if_exists() is hub:
        hub.loop.run_callback(callback, *args)
    else:
        hub.loop.run_callback_threadsafe(callback, *args)
