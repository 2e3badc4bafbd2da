"""Somebody who has a key and says whatever a test wants."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import TypeVar

from actorq import native
from actorq.transport import Down, Event, Link, LinkKeys, Received, ThreadWaiter, Up
from actorq.wire import frames
from actorq.wire.messages import Message
from tests.support import eventually

M = TypeVar("M", bound=Message)
_ALL = {**frames.TO_CLIENT, **frames.TO_WORKER, **frames.TO_CONTROL}


class Stranger:
    """One connection to a coordinator."""

    def __init__(self, address: str, keys: LinkKeys | None) -> None:
        self.heard: list[Message] = []
        self.down = ""
        self._is_up = False
        self._outbox: deque[Message] = deque()
        self._packer = frames.Packer()
        self._ended = native.new_lock()
        self._ended.acquire()
        started = native.new_lock()
        started.acquire()

        def run() -> None:
            self._link = Link(ThreadWaiter(), self._turn, keys=keys)
            self._peer = self._link.dial(address)
            started.release()
            self._link.run()
            self._ended.release()

        native.start_thread(run)
        started.acquire()

    def __enter__(self) -> Stranger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.stop()
        assert self._ended.acquire(True, 10)

    def say(self, *messages: Message) -> None:
        """Send these in order, as soon as the connection is up."""
        self._outbox.extend(messages)
        self._link.wake()

    def wait_for(self, kind: type[M]) -> M:
        """The first message of a kind that has come, or comes."""
        return eventually(
            lambda: next((each for each in self.heard if isinstance(each, kind)), None), 20, kind.__name__
        )  # type: ignore[return-value]

    def _turn(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Up):
                self._is_up = True
            elif isinstance(event, Down):
                self._is_up, self.down = False, event.reason
            elif isinstance(event, Received):
                self.heard.append(frames.unpack(event.frames, _ALL))
        while self._is_up and self._outbox:
            self._link.send(self._peer, self._packer.pack(self._outbox.popleft()))
