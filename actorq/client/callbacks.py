"""Where callbacks run: on the event loop, the hub or the thread that belongs to whoever registered them."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable

from actorq import native
from actorq.client.bells import is_in_greenlet
from actorq.native import NativeBell

logger = logging.getLogger("actorq.client")


class Callbacks:
    """The callbacks of a session. Those registered in plain threads run one after another on a thread of their own."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()
        self._bell = NativeBell()
        self._lock = native.new_lock()
        self._started = False

    def deliverer(self, fn: Callable[[], object]) -> Callable[[], None]:
        """A function for any thread to call, which has `fn` run where this was called. What it raises is logged."""

        def run() -> None:
            try:
                fn()
            except Exception:
                logger.exception("a callback of a result has failed")

        asyncio = sys.modules.get("asyncio")
        if asyncio is not None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                return _unless_closed(lambda: loop.call_soon_threadsafe(run))
        if is_in_greenlet():
            from gevent import Greenlet, get_hub

            greenlet = Greenlet(run)  # It belongs to the hub that it is made on.
            watcher = get_hub().loop.async_(ref=False)  # Not run_callback_threadsafe: see HubGate in actorq.actors.

            def start() -> None:
                watcher.close()
                greenlet.start()

            watcher.start(start)
            return _unless_closed(watcher.send)
        return lambda: self._put(run)

    def _put(self, run: Callable[[], None]) -> None:
        self._queue.append(run)
        with self._lock:
            if not self._started:
                self._started = True
                native.start_thread(self._run)
        self._bell.ring()

    def _run(self) -> None:
        while True:
            while self._queue:
                try:
                    self._queue.popleft()()
                except BaseException:  # `sys.exit()` ends a thread, and this one is for all callbacks.
                    logger.exception("a callback of a result wanted to end its thread")
            self._bell.wait(None)


def _unless_closed(call: Callable[[], object]) -> Callable[[], None]:
    """A loop that is closed runs no callbacks any more: asyncio raises RuntimeError then, and gevent ValueError."""

    def deliver() -> None:
        try:
            call()
        except (RuntimeError, ValueError):
            logger.warning("a callback of a result was not called: its event loop is closed")

    return deliver
