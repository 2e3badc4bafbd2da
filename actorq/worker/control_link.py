"""A node's second connection to a coordinator, which belongs to the watchdog's thread: from Hello to Bye."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from actorq.config import LivenessSettings
from actorq.transport import Link, Peer
from actorq.wire import messages as m
from actorq.wire.batches import batches
from actorq.wire.records import Outcome
from actorq.worker.sender import Sender

REPORT_BATCH = 512


class ControlLink:
    """To one coordinator, at the address where the node's first connection has found it."""

    def __init__(self, link: Link, sender: Sender, name: str, epoch: str, liveness: LivenessSettings) -> None:
        self.peer: Peer = 0
        self.is_open = False
        """The coordinator has welcomed it."""
        self.coordinator = ""
        """Epoch of the one that has done so the last time."""
        self._link, self._sender = link, sender
        self._name, self._epoch = name, epoch
        self._liveness = liveness
        self._address = ""
        self.redial_s = 0.0
        """When to dial again, if there is no connection."""
        self._nonce = 0
        self._reports = 0
        self._acked = 0

    def keep_connected(self, address: str, now_s: float) -> None:
        """Dial, unless it is done; hang up first if the address is another one than before."""
        if address != self._address:
            self.hang_up()
            self._address = address
        if not self.peer and now_s >= self.redial_s:
            self.peer = self._link.dial(address)

    def say_hello(self, coordinator: str, held: list[tuple[str, int]]) -> None:
        """The connection is up. `held`: what the node has from there, and `coordinator` the epoch that has granted it."""
        self._nonce += 1
        versions = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
        self.send(m.ControlHello(versions, str(self._nonce), self._name, self._epoch, coordinator, held))

    def hang_up(self) -> None:
        """Close the connection."""
        self._link.hang_up(self.peer)
        self.peer, self.is_open = 0, False

    def lose(self, now_s: float) -> None:
        """The connection is gone, or of no use. The next one comes after a moment, not the same for all nodes."""
        self.hang_up()
        self.redial_s = now_s + self._liveness.heartbeat_s * random.uniform(0.1, 0.3)

    def receive(self, message: Any, now_s: float) -> bool:
        """A message came. Returns whether it has opened the session."""
        kind = type(message)
        if kind is m.Welcome and message.nonce == str(self._nonce) and not self.is_open:
            self.is_open, self.coordinator = True, message.epoch
            self._reports = self._acked = 0
            return True
        if kind in (m.Reset, m.Rejected):
            self.lose(now_s)  # Our first connection is not welcomed there, or not any more.
        elif kind is m.Acked and self.is_open:
            self._acked = message.seq
        return False

    def send(self, message: m.Message, urgent: bool = False) -> None:
        self._sender.send(self.peer, message, urgent)

    def report(self, outcomes: Sequence[Outcome]) -> int:
        """Report outcomes. Returns the number of the last report, for `is_acked`."""
        for batch in batches(outcomes, REPORT_BATCH):
            self._reports += 1
            self.send(m.Finished(self._reports, batch, relay=True))
        return self._reports

    def is_acked(self, seq: int) -> bool:
        """Whether the coordinator has taken all reports up to that number."""
        return self._acked >= seq
