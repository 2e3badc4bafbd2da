"""What the owner of a link may call, whether the link is made of sockets or of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from actorq.transport.events import Event, Frame, Identity, Peer

Turn = Callable[[list[Event]], "float | None"]
"""Takes all that has happened since the last call; returns in how many seconds it wants the next one, at the latest."""


class Transport(Protocol):
    """`Link` has the contracts."""

    asleep: bool

    def listen(self, address: str) -> str: ...

    def dial(self, address: str) -> Peer: ...

    def call(self, address: str, key: str = "") -> Peer: ...

    def identity(self, peer: Peer) -> Identity: ...

    def hang_up(self, peer: Peer) -> None: ...

    def send(self, peer: Peer, frames: Sequence[Frame], urgent: bool = False) -> None: ...

    def backlog(self, peer: Peer) -> int: ...

    def wake(self) -> None: ...

    def stop(self, linger_s: float = 1.0) -> None: ...
