"""Acknowledgements that are in no hurry: they travel with the next message to the peer, or alone after a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actorq.coordinator.core.effects import Peer
from actorq.wire.messages import Accepted, Acked, Deliver, Message

CUMULATIVE = (Accepted, Acked)
"""Each stands for all before it, so that only the last one to a peer needs to be sent."""


def still_to_say(held: Sequence[tuple[Peer, Message]], is_there: Callable[[Peer], bool]) -> list[tuple[Peer, Message]]:
    """What of these messages has to be sent: not to peers that are gone, and of receipts the last one to each."""
    left: list[tuple[Peer, Message]] = []
    given: set[tuple[Peer, type[Message]]] = set()
    for peer, message in reversed(held):
        if is_there(peer) and (peer, type(message)) not in given:
            left.append((peer, message))
            if isinstance(message, CUMULATIVE):
                given.add((peer, type(message)))
    left.reverse()
    return left


class Receipts:
    """One message less in each direction for a call that comes alone, and one for many where they come in floods.

    A peer waits for receipts only when its window is used up or it is about to end: a few milliseconds do not matter.
    """

    def __init__(self, patience_s: float = 0.005) -> None:
        self._patience_s = patience_s
        self._waiting: dict[Peer, Message] = {}
        self._due_s: float | None = None

    def add(self, peer: Peer, receipt: Message, now_s: float) -> None:
        """Have `receipt` sent. It takes the place of an earlier one to the same peer."""
        self._waiting[peer] = receipt
        if self._due_s is None:
            self._due_s = now_s + self._patience_s

    def join(self, sends: dict[Peer, list[Message]], now_s: float) -> None:
        """Add those to `sends` whose peers are written to anyway; all, when their time has come."""
        waiting = self._waiting
        if not waiting:
            return
        if self._due_s is not None and self._due_s <= now_s:
            for peer, receipt in waiting.items():
                sends[peer].append(receipt)
            waiting.clear()
        else:
            for peer in [peer for peer in sends if peer in waiting]:
                _add(sends[peer], waiting.pop(peer))
        if not waiting:
            self._due_s = None

    def forget(self, peer: Peer) -> None:
        """Its session has ended."""
        self._waiting.pop(peer, None)

    def next_s(self) -> float | None:
        """When those that wait have to go."""
        return self._due_s if self._waiting else None


def _add(messages: list[Message], receipt: Message) -> None:
    last = messages[-1]
    if isinstance(last, Deliver) and isinstance(receipt, Acked):
        last.acked = receipt.seq  # A message of its own costs a call that comes alone a tenth of its way.
    else:
        messages.append(receipt)
