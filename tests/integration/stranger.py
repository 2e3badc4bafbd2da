"""Somebody who has a key and says whatever a test wants."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from actorq.transport import Down, Event, LinkKeys, Received, Up
from actorq.wire import frames
from actorq.wire.messages import Message
from tests.integration.link_thread import LinkThread
from tests.support import eventually

M = TypeVar("M", bound=Message)
_ALL = {**frames.TO_CLIENT, **frames.TO_WORKER, **frames.TO_CONTROL}


class Stranger(LinkThread):
    """One connection to a coordinator."""

    def __init__(self, address: str, keys: LinkKeys | None) -> None:
        self.heard: list[Message] = []
        self.down = ""
        self._is_up = False
        self._outbox: deque[Message] = deque()
        self._packer = frames.Packer()
        self._address = address
        super().__init__(keys)

    def _open(self) -> None:
        self._peer = self._link.dial(self._address)

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
