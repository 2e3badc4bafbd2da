"""The coordinator as an actor: carries out what its core decides."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from actorq.actors import Actor
from actorq.coordinator.core import Coordinator, Effects
from actorq.errors import ProtocolError
from actorq.stores.api import Store
from actorq.transport import Down, Event, Link, Received
from actorq.wire import frames
from actorq.wire import messages as m

logger = logging.getLogger("actorq.coordinator")


class Tick:
    """The time the core asked to be called at has come."""


TICK = Tick()
_URGENT = frozenset({m.Renewed, m.Command, m.Replies})
"""These overtake deliveries and outcomes with large bodies. Not Revoke, which must come after the delivery it is about;
the worker's second connection, where nothing is bulky, has it as well."""


class CoordinatorActor(Actor):
    """Its messages are batches of transport events, and ticks."""

    def __init__(self, core: Coordinator, link: Link, store: Store) -> None:
        self._core = core
        self._link = link
        self._store = store
        self._packer = frames.Packer()
        self._timer: Any = None
        self._timer_s: float | None = None

    def receive(self, message: Sequence[Event] | Tick) -> None:
        """Feed the batch to the core and carry out the effects."""
        core = self._core
        core.advance(time.monotonic(), time.time())
        if not isinstance(message, Tick):
            for event in message:
                if isinstance(event, Received):
                    self._take(event)
                elif isinstance(event, Down):
                    core.lose(event.peer)
        self._carry_out(core.finish())
        self._link.wake()

    def _take(self, event: Received) -> None:
        try:
            message = frames.unpack(event.frames, self._core.allowed(event.peer))
        except ProtocolError as error:
            # A session that has ended here may still be speaking: it is heard as a stranger then, who has said no Hello.
            level = logging.DEBUG if self._core.allowed(event.peer) is frames.HELLO else logging.WARNING
            logger.log(level, "peer %s broke the protocol, its session ends: %s", event.peer, error)
            self._link.send(event.peer, self._packer.pack(m.Reset()))
            self._core.lose(event.peer)
            self._link.hang_up(event.peer)
            return
        self._core.receive(event.peer, message)

    def _carry_out(self, effects: Effects) -> None:
        send, pack = self._link.send, self._packer.pack
        for peer, messages in effects.sends.items():
            for message in messages:
                send(peer, pack(message), type(message) in _URGENT)
        for peer in effects.hang_ups:
            self._link.hang_up(peer)
        self._schedule(effects.deadline_s)
        if effects.token:
            self._store.commit(effects.persist)
            self._core.persisted(effects.token)
            self._carry_out(self._core.finish())

    def _schedule(self, deadline_s: float | None) -> None:
        if deadline_s == self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = deadline_s
        self._timer = None if deadline_s is None else self.after(max(deadline_s - time.monotonic(), 0.0), TICK)
