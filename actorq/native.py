"""The operating system's own threads, locks and sleeps, also in a program that gevent has monkey-patched.

What keeps a node answering while its green threads are busy runs on a native thread, and a client's session does in
every kind of program. Both need primitives that block the thread and not the greenlet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

_LONGEST_S = 1e9
"""More than this, some locks refuse."""

_PATIENCE_S = 0.05
"""For how long a thread is not to be reached while it waits."""


class Bell(Protocol):
    """Rung by one, waited for by another. Made by the one who waits, where it waits. Repeated rings count as one."""

    def ring(self) -> None:
        """Wake the waiter, now or when it begins to wait. From any thread."""

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a ring, and consume it. False if the time was over first."""


def original(module: str, name: str) -> Any:
    """`module.name` as it was before gevent patched it; the plain attribute where gevent is not in use."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def start_thread(run: Callable[[], None]) -> int:
    """Run `run` on a new native thread, which does not keep the process alive. Returns the thread's ident."""
    ident: int = original("_thread", "start_new_thread")(run, ())
    return ident


def new_lock() -> Any:
    """A lock that blocks the native thread (`_thread.lock`)."""
    return original("_thread", "allocate_lock")()


class NativeBell:
    """Blocks the native thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = new_lock()
        self._lock.acquire()

    def ring(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass  # It was rung and not heard yet.

    def wait(self, timeout_s: float | None) -> bool:
        heard: bool = self._lock.acquire(True, -1 if timeout_s is None else min(max(timeout_s, 0.0), _LONGEST_S))
        return heard


class PatientBell(NativeBell):
    """Comes back to the interpreter now and then while it waits, where an exception may be raised in the thread."""

    __slots__ = ()

    def wait(self, timeout_s: float | None) -> bool:
        left_s = _LONGEST_S if timeout_s is None else timeout_s
        while left_s > _PATIENCE_S:
            if super().wait(_PATIENCE_S):
                return True
            left_s -= _PATIENCE_S
        return super().wait(left_s)


def sleep(seconds: float) -> None:
    """Block this native thread for `seconds`."""
    original("time", "sleep")(seconds)


def use_all_descriptors() -> None:
    """Let this process open as many files and connections as the system permits it; the usual limit is 1024."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        pass  # Some systems name a limit that they do not grant.


def keep_freed_memory(bytes_kept: int = 64 * 1024 * 1024) -> None:
    """Let the C library keep up to `bytes_kept` of freed memory for what comes next. For processes that are ours alone.

    Left to itself glibc gives large blocks back to the system at once and asks for new ones with the next message, and
    the system clears each page of them: that takes several times as long as copying a body of 1 MB. Does nothing with
    other C libraries. Source: mallopt(3).
    """
    import ctypes

    trim_threshold, mmap_threshold, mmap_limit_bytes = -1, -3, 32 * 1024 * 1024
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(trim_threshold, bytes_kept)
        mallopt(mmap_threshold, min(bytes_kept, mmap_limit_bytes))
