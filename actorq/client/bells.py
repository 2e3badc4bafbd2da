"""How a user's thread or greenlet waits for something that the session's thread brings about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from actorq import context, native

_LONGEST_S = 1e9
"""More than this, some locks refuse."""


@contextmanager
def stepping_aside() -> Iterator[None]:
    """Around each wait for the mesh: a task that waits leaves its slot to other calls, and has one again after it."""
    running = context.current.get()
    if running is None:
        yield
        return
    running.pause()
    try:
        yield
    finally:
        running.resume()


class Bell(Protocol):
    """Rung by one thread, waited for by another. Made by the one who waits, where it waits."""

    def ring(self) -> None:
        """Wake the waiter, now or when it begins to wait. From any thread; repeated rings count once."""

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a ring and consume it. False if the time was over first."""


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
        acquired: bool = self._lock.acquire(True, -1 if timeout_s is None else min(max(timeout_s, 0.0), _LONGEST_S))
        return acquired


def is_green() -> bool:
    """Whether blocking this native thread would keep other greenlets from running."""
    hub_local = sys.modules.get("gevent._hub_local")
    return _is_patched() or (hub_local is not None and hub_local.get_hub_if_exists() is not None)


def is_in_greenlet() -> bool:
    """Whether the caller's hub is sure to run on: in a patched program, and in a greenlet beside the main one.

    A hub that a plain program has once made, and does not wait on, runs nothing.
    """
    gevent = sys.modules.get("gevent")
    return _is_patched() or (gevent is not None and gevent.getcurrent().parent is not None)


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def new_bell() -> Bell:
    """The kind of bell that suits the caller."""
    if not is_green():
        return NativeBell()
    from gevent import get_hub

    from actorq.actors.bells import GreenBell

    return GreenBell(get_hub())
