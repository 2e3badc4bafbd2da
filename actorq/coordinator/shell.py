"""The coordinator as an actor: carries out what its core decides."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from actorq.actors.link import LinkOwner
from actorq.actors.reasons import Reason
from actorq.coordinator.core import Coordinator, Effects
from actorq.errors import ProtocolError
from actorq.stores.api import Store
from actorq.stores.journal import Journal
from actorq.transport import Down, Event, Peer, Received, Up
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.payload import code_hash

logger = logging.getLogger("actorq.coordinator")


_URGENT = frozenset({m.Renewed, m.Command, m.Replies})
"""These overtake deliveries and outcomes with large bodies. Not Revoke, which must come after the delivery it is about;
the worker's second connection, where nothing is bulky, has it as well."""


class CoordinatorActor(LinkOwner):
    """Feeds its core what the link brings."""

    def __init__(self, core: Coordinator, store: Store | None = None, leave: Callable[[], None] = lambda: None) -> None:
        """`leave` is called when it has left the mesh: its process may end."""
        super().__init__()
        self._core = core
        self._leave = leave
        self._journal = None if store is None else Journal(store, self.transport.wake)
        self._trouble = ""
        self._packer = frames.Packer()

    def listen(self, address: str) -> str:
        """Let clients and workers connect; returns the real address. Raises AddressInUse, BadAddress."""
        return self.transport.listen(address)

    def announce(self, address: str) -> None:
        """Tell other coordinators, and through them workers and clients, that this one is to be called there."""
        self._core.mesh.listens_at(address)

    def turn(self, events: list[Event]) -> float | None:
        """Feed the batch to the core and carry out the effects."""
        core = self._core
        core.advance(time.monotonic(), time.time())
        if self._journal is not None:
            self._hear(self._journal)
        for event in events:
            if isinstance(event, Received):
                self._take(event)
            elif isinstance(event, Down):
                core.lose(event.peer)
            elif isinstance(event, Up):
                core.mesh.opened(event.peer)
        effects = core.finish()
        deadline_s = self._carry_out(effects)
        if effects.has_left:
            self._leave()
        return None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)

    def on_start(self) -> None:
        """As any owner of a link."""
        self._core.begin(time.monotonic(), time.time())
        super().on_start()

    def on_stop(self, reason: Reason) -> None:
        """As any owner of a link; and what was accepted is written."""
        super().on_stop(reason)
        if self._journal is not None and not self._journal.close():
            logger.error("the journal is not complete: what was not accepted yet may be lost")

    def _hear(self, journal: Journal) -> None:
        """What the journal's thread has to say."""
        self._core.persisted(journal.confirmed)
        trouble = journal.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            self._core.report_trouble(trouble)

    def _take(self, event: Received) -> None:
        try:
            message = frames.unpack(event.frames, self._core.allowed(event.peer))
            if isinstance(message, m.Code) and code_hash(message.blob) != message.digest:
                raise ProtocolError("a function by value is not the one that its digest names")
        except ProtocolError as error:
            # A session that has ended here may still be speaking: it is heard as a stranger then, who has said no Hello.
            level = logging.DEBUG if self._core.allowed(event.peer) is frames.HELLO else logging.WARNING
            logger.log(level, "peer %s broke the protocol, its session ends: %s", event.peer, error)
            self.transport.send(event.peer, self._packer.pack(m.Reset()))
            self._core.lose(event.peer)
            self.transport.hang_up(event.peer)
            return
        self._core.receive(event.peer, message)

    def _send(self, peer: Peer, message: m.Message) -> None:
        """A message that cannot be sent costs nobody else anything. Whoever has asked for it hears why."""
        try:
            self.transport.send(peer, self._packer.pack(message), type(message) in _URGENT)
        except Exception as error:
            logger.error("%s for peer %s cannot be sent: %s", type(message).__name__, peer, error)
            self._packer = frames.Packer()  # The other one may have kept blobs of what it could not pack.
            if isinstance(message, m.Replies):
                why = {"error": f"the replies of {len(message.replies)} nodes cannot be sent: {error}"}
                replies = m.Replies(message.token, {self._core.state.name: why}, [])
                self.transport.send(peer, self._packer.pack(replies), urgent=True)

    def _carry_out(self, effects: Effects) -> float | None:
        for peer, messages in effects.sends.items():
            for message in messages:
                self._send(peer, message)
        for peer in effects.hang_ups:
            self.transport.hang_up(peer)
        for address in effects.dial:
            self._core.mesh.dialled(address, self.transport.dial(address))
        if effects.token and self._journal is not None:
            self._journal.write(effects.token, effects.persist)
        return effects.deadline_s
