"""The coordinator as an actor: carries out what its core decides."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from actorq.actors.link import LinkOwner
from actorq.actors.reasons import Reason
from actorq.coordinator.core import Coordinator, Effects
from actorq.errors import ProtocolError
from actorq.policies.addresses import is_loopback
from actorq.stores.api import Store
from actorq.stores.journal import Journal
from actorq.transport import Down, Event, Peer, Received, Up
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.payload import code_hash

if TYPE_CHECKING:
    from actorq.coordinator.guard import Guard
    from actorq.keys import KeyRing
    from actorq.transport import LinkKeys, Transport

logger = logging.getLogger("actorq.coordinator")


_URGENT = frozenset({m.Welcome, m.Renewed, m.Command, m.Replies})
"""These overtake deliveries and outcomes with large bodies; Welcome, so that none of the others comes before it.
Not Revoke, which must come after the delivery it is about; the worker's second connection, where nothing is bulky, has
it as well."""
LOOK_S = 1.0
"""How often it looks whether keys have changed."""
REMIND_S = 60.0
"""How often it says that it can be reached without a key."""


class CoordinatorActor(LinkOwner):
    """Feeds its core what the link brings. With a ring of keys it lets nobody in but their owners."""

    def __init__(
        self,
        core: Coordinator,
        store: Store | None = None,
        ring: KeyRing | None = None,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        """`leave` is called when it has left the mesh: its process may end."""
        super().__init__(keys=None if ring is None else _keys_of(ring))
        self._core = core
        self._leave = leave
        self._journal = None if store is None else Journal(store, self.transport.wake)
        self._trouble = ""
        self._guard = None if ring is None else _guard_of(ring, core, self.transport)
        self._exposed = ""
        """Where others can connect without a key."""
        self._look_s = math.inf if ring is None else 0.0
        core.state.counts = self._counts
        self._packer = frames.Packer()

    def listen(self, address: str) -> str:
        """Let clients and workers connect; returns the real address. Raises AddressInUse, BadAddress."""
        try:
            real_address = self.transport.listen(address)
        except BaseException:
            self.transport.stop(0.0)  # One that is left open could keep the process from ending.
            raise
        if self._guard is None and not is_loopback(real_address):
            self._exposed, self._look_s = real_address, 0.0
        return real_address

    def announce(self, address: str) -> None:
        """Tell other coordinators, and through them workers and clients, that this one is to be called there."""
        self._core.mesh.listens_at(address)

    def turn(self, events: list[Event]) -> float | None:
        """Feed the batch to the core and carry out the effects."""
        core = self._core
        now_s = time.monotonic()
        core.advance(now_s, time.time())
        if self._journal is not None:
            self._hear(self._journal)
        if now_s >= self._look_s:
            self._look(now_s)
        for event in events:
            if isinstance(event, Received):
                self._take(event)
            elif isinstance(event, Down):
                core.lose(event.peer)
                if self._guard is not None:
                    self._guard.forget(event.peer)
            elif isinstance(event, Up):
                core.mesh.opened(event.peer)
        effects = core.finish()
        deadline_s = self._carry_out(effects)
        if effects.has_left:
            self._leave()
        due_s = self._look_s if deadline_s is None else min(deadline_s, self._look_s)
        return None if due_s == math.inf else max(due_s - time.monotonic(), 0.0)

    def _look(self, now_s: float) -> None:
        """What comes with time: whose key was taken away, and the reminder that there are none."""
        if self._guard is not None:
            self._look_s = now_s + LOOK_S
            for peer, message in self._guard.refresh():
                self._end(peer, message)
        else:
            self._look_s = now_s + REMIND_S
            logger.warning(
                "insecure: whoever reaches %s can run code on the workers, and nothing is encrypted. Give --key PATH to "
                "change that (make one with 'actorq key new')",
                self._exposed,
            )

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
            who = f"peer {event.peer}" if self._guard is None else self._guard.describe(event.peer)
            logger.log(level, "%s broke the protocol, its session ends: %s", who, error)
            self._end(event.peer, m.Reset())
            return
        if self._guard is not None and (verdict := self._guard.check(event.peer, message)) is not None:
            if verdict.ends_session:
                self._end(event.peer, verdict.answer or m.Reset())
                return
            if verdict.answer is not None:
                self._send(event.peer, verdict.answer)
            if verdict.message is None:
                return
            message = verdict.message
        self._core.receive(event.peer, message)

    def _end(self, peer: Peer, message: m.Message) -> None:
        """End a session, with a last word."""
        self.transport.send(peer, self._packer.pack(message))
        self._core.lose(peer)
        self.transport.hang_up(peer)

    def _counts(self) -> dict[str, int]:
        stats = self.transport.stats
        return {
            "connections": stats.connections,
            "refused_keys": stats.refused,
            "broken_handshakes": stats.broken_handshakes,
            "denied_messages": 0 if self._guard is None else self._guard.denied_count,
        }

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
        for news in effects.news:
            logger.info("%s", news)
        for address in effects.dial:
            self._core.mesh.dialled(address, self.transport.dial(address))
        if effects.token and self._journal is not None:
            self._journal.write(effects.token, effects.persist)
        return effects.deadline_s


# A coordinator without keys does without these, and what they load for cryptography: they are imported where needed.


def _keys_of(ring: KeyRing) -> LinkKeys:
    from actorq.keys import node_keys

    return node_keys(ring.key, ring.admit)


def _guard_of(ring: KeyRing, core: Coordinator, link: Transport) -> Guard:
    from actorq.coordinator.guard import Guard

    return Guard(ring, core, link)
