"""How a greenlet or a native thread waits for what another one brings about."""

from __future__ import annotations

from typing import Any

from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from actorq.native import Bell, NativeBell

_LONGEST_S = 1e9
"""A timer for longer would not be one."""


class GreenBell:
    """Blocks the greenlet; the others of its hub run on, and the hub goes on even if there are none."""

    __slots__ = ("_hub", "_rung", "_waiter", "_watcher")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._waiter = Waiter(hub)
        self._watcher = hub.loop.async_()  # See HubGate for why it is this.
        self._rung = False

    def ring(self) -> None:
        self._rung = True
        if get_hub_if_exists() is self._hub:
            self._hub.loop.run_callback(self._waiter.switch, True)
            return
        try:
            self._watcher.send()
        except ValueError:
            pass  # Who waited has gone, with its hub and its thread.

    def wait(self, timeout_s: float | None) -> bool:
        self._watcher.start(self._waiter.switch, True)
        timer = None
        if timeout_s is not None:
            timer = self._hub.loop.timer(min(max(timeout_s, 0.0), _LONGEST_S))
            timer.start(self._waiter.switch, False, update=True)
        try:
            while not self._rung:  # Looked at after the start of the watcher, before which a ring has no effect on it.
                if not self._waiter.get():
                    break
                self._waiter.clear()
            heard, self._rung = self._rung, False
            return heard
        finally:
            self._watcher.stop()
            if timer is not None:
                timer.close()
            self._waiter.clear()


def new_bell() -> Bell:
    """A bell for the caller to wait for: blocks its greenlet where its native thread has a hub, else the thread."""
    hub = get_hub_if_exists()
    return NativeBell() if hub is None else GreenBell(hub)
