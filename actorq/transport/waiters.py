"""How a link sleeps until a socket may be ready, somebody wakes it, or the time is over.

Two implementations, for the two kinds of programs a link runs in: a greenlet on a gevent hub, and a native thread. The
rest of the transport does not know which one it has.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from actorq import native


class Waiter(Protocol):
    """All methods but `wake` are for the thread that runs the link."""

    def open(self) -> None:
        """Called first, in the thread that runs the link."""

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """From now on call `ready` in `wait` or `breathe` while `fd` can be read. It must return soon, and not wait."""

    def unwatch(self, fd: int) -> None:
        """The end of `watch`. To be called before `fd` is closed."""

    def wait(self, timeout_s: float) -> None:
        """Sleep until something can be read, `wake` is called (or was, since the last `wait`), or the time is over.

        May return early for no reason.
        """

    def breathe(self) -> None:
        """Look at what can be read, and let others on this thread run, without sleeping."""

    def wake(self) -> None:
        """End the `wait` that goes on, or else the next one. From any thread; cheap while the link is awake."""

    def close(self) -> None:
        """Give back what `open` took."""


class ThreadWaiter:
    """For a native thread: blocks it, also in a program that gevent has patched."""

    def __init__(self) -> None:
        self._ready: dict[int, Callable[[], None]] = {}
        self._asleep = False
        self._woken = False
        self._pipe: tuple[int, ...] = ()

    def open(self) -> None:
        self._poll: Any = native.original("select", "poll")()
        self._pollin: int = native.original("select", "POLLIN")
        self._pipe = self._heard, self._bell = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self.watch(self._heard, self._hear)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        self._ready[fd] = ready
        self._poll.register(fd, self._pollin)

    def unwatch(self, fd: int) -> None:
        del self._ready[fd]
        self._poll.unregister(fd)

    def wait(self, timeout_s: float) -> None:
        self._asleep = True  # Before the look at `_woken`: whoever wakes us after it writes to the pipe.
        ready = self._ready
        for fd, _ in self._poll.poll(0 if self._woken else math.ceil(timeout_s * 1000)):
            ready[fd]()
        self._asleep = self._woken = False

    def breathe(self) -> None:
        ready = self._ready
        for fd, _ in self._poll.poll(0):
            ready[fd]()

    def wake(self) -> None:
        self._woken = True
        if self._asleep:
            self._asleep = False
            try:
                os.write(self._bell, b"\0")
            except BlockingIOError:
                pass  # Full, so it will be heard.

    def close(self) -> None:
        self.unwatch(self._heard)

    def __del__(self) -> None:
        for end in self._pipe:  # Not in `close`: another thread may be about to write to it.
            os.close(end)

    def _hear(self) -> None:
        os.read(self._heard, 4096)


class GreenWaiter:
    """For a greenlet on the gevent hub of its thread: other greenlets run while it waits.

    Its watchers stay for the life of the link, since to start and stop one costs more than a message.
    """

    def __init__(self) -> None:
        self._watchers: dict[int, Any] = {}
        self._asleep = False
        self._woken = False
        self._resuming = False
        self._timer: Any = None
        self._timer_ends_s = math.inf
        self._greenlet: Any = None

    def open(self) -> None:
        import gevent

        self._hub = gevent.get_hub()
        self._loop = self._hub.loop
        self._getcurrent = gevent.getcurrent
        self._sleep = gevent.sleep
        self._get_ident: Callable[[], int] = native.original("_thread", "get_ident")
        self._thread = self._get_ident()
        self._bell = self._loop.async_()
        self._bell.start(self._resume)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        watcher = self._watchers[fd] = self._loop.io(fd, 1)
        watcher.start(self._hear, ready)

    def unwatch(self, fd: int) -> None:
        watcher = self._watchers.pop(fd)
        watcher.stop()
        watcher.close()

    def wait(self, timeout_s: float) -> None:
        self._set_timer(timeout_s)
        self._greenlet = self._getcurrent()
        self._asleep = True  # Before the look at `_woken`, as a native thread may wake us in between.
        try:
            if not self._woken:
                self._hub.switch()
        finally:
            self._asleep = self._woken = False

    def breathe(self) -> None:
        self._sleep(0)

    def wake(self) -> None:
        self._woken = True
        if self._asleep:
            if self._get_ident() != self._thread:
                self._bell.send()
            elif not self._resuming:
                self._resuming = True
                self._loop.run_callback(self._resume)

    def close(self) -> None:
        for fd in list(self._watchers):
            self.unwatch(fd)
        self._stop_timer()
        self._bell.stop()
        self._bell.close()

    def _hear(self, ready: Callable[[], None]) -> None:
        ready()
        if self._asleep:
            self._asleep = False
            self._greenlet.switch()

    def _resume(self) -> None:
        self._resuming = False
        if self._asleep:
            self._asleep = False
            self._greenlet.switch()

    def _set_timer(self, timeout_s: float) -> None:
        """A timer that ends earlier than it need stays as it is: then `wait` returns early, which is cheaper."""
        ends_s = time.monotonic() + timeout_s
        if ends_s < self._timer_ends_s:
            self._stop_timer()
            self._timer_ends_s = ends_s
            self._timer = self._loop.timer(timeout_s)
            self._timer.start(self._time_is_over, update=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
            self._timer_ends_s = math.inf

    def _time_is_over(self) -> None:
        self._stop_timer()
        self._resume()
