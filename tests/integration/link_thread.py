"""A link in a thread of its own, as nodes and clients have one, for those that a test speaks for."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from actorq import native
from actorq.transport import Event, Link, LinkKeys, ThreadWaiter

T = TypeVar("T", bound="LinkThread")


class LinkThread:
    """Runs until the end of the block."""

    _link: Link

    def __init__(self, keys: LinkKeys | None = None) -> None:
        """Returns when the link is open. Attributes that its turns need are there before."""
        self._ended = native.new_lock()
        self._ended.acquire()
        started = native.new_lock()
        started.acquire()

        def run() -> None:
            self._link = Link(ThreadWaiter(), self._turn, keys=keys)
            self._open()
            started.release()
            self._link.run()
            self._ended.release()

        native.start_thread(run)
        assert started.acquire(True, 10)

    def _open(self) -> None:
        """Listen, or dial."""
        raise NotImplementedError

    def _turn(self, events: list[Event]) -> float | None:
        """As `Link` calls it."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.stop()
        assert self._ended.acquire(True, 10)
