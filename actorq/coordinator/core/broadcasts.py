"""Control commands on their way to nodes, and the replies that came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actorq.coordinator.core.effects import Peer
from actorq.wire.messages import Command, Replies


@dataclass(slots=True)
class _Open:
    peer: Peer
    token: int
    deadline_s: float
    awaited: dict[str, str]
    """The names under which nodes are shown, by what tells them apart."""
    is_order: bool
    """It changes what this coordinator keeps."""
    missing: Sequence[str]
    """Those of whom it is known already that they will not answer."""
    unsent: dict[str, Command] = field(default_factory=dict)
    """For nodes that cannot be reached now, and may be in time."""
    replies: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> tuple[Peer, Replies, bool]:
        return self.peer, Replies(self.token, self.replies, [*self.awaited.values(), *self.missing]), self.is_order


class Broadcasts:
    """Gathers replies; a broadcast is answered when all have replied, or at its deadline with the names of the rest."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._count = 0
        self.open_by_peer: Counter[Peer] = Counter()

    def open(
        self,
        peer: Peer,
        token: int,
        awaited: dict[str, str],
        deadline_s: float,
        is_order: bool = False,
        missing: Sequence[str] = (),
    ) -> int:
        """Begin one for `peer`, to these nodes: their epochs and the names to show. Returns the token for the nodes."""
        self._count += 1
        self._open[self._count] = _Open(peer, token, deadline_s, awaited, is_order, missing)
        self.open_by_peer[peer] += 1
        return self._count

    def reply(self, number: int, node: str, value: Any) -> None:
        """The node with this epoch has answered. Late and repeated answers change nothing."""
        broadcast = self._open.get(number)
        if broadcast is not None and node in broadcast.awaited:
            broadcast.replies[broadcast.awaited.pop(node)] = value

    def hold(self, number: int, node: str, command: Command) -> None:
        """The node with this epoch cannot be told now."""
        self._open[number].unsent[node] = command

    def take_held(self, node: str) -> list[Command]:
        """What the node with this epoch, which can be told now, was asked and has not been told."""
        return [each.unsent.pop(node) for each in self._open.values() if node in each.unsent]

    def left(self, node: str, reason: str) -> None:
        """A node has ended as it was told. That is its answer, also to `shutdown`: its reply may come after its Bye."""
        for number in list(self._open):
            self.reply(number, node, {"ok": reason})

    def pop_done(self, now_s: float) -> list[tuple[Peer, Replies, bool]]:
        """The answers that are complete or due, and whether they are to orders."""
        if not self._open:
            return []
        done = [number for number, each in self._open.items() if not each.awaited or each.deadline_s <= now_s]
        return [self._close(number).answer() for number in done]

    def forget(self, peer: Peer) -> None:
        """Who asked has gone."""
        for number in [number for number, each in self._open.items() if each.peer == peer]:
            self._close(number)

    def _close(self, number: int) -> _Open:
        broadcast = self._open.pop(number)
        self.open_by_peer[broadcast.peer] -= 1
        if not self.open_by_peer[broadcast.peer]:
            del self.open_by_peer[broadcast.peer]
        return broadcast

    def next_s(self) -> float | None:
        """Monotonic time of the first deadline."""
        return min([each.deadline_s for each in self._open.values()]) if self._open else None
