"""A coordinator in the test's process: what its shell does, without sockets, threads and a clock of its own."""

from __future__ import annotations

import logging

from actorq.config import CoordinatorSettings
from actorq.coordinator.core import Coordinator
from actorq.errors import ProtocolError
from actorq.stores.groups import Groups
from actorq.stores.memory import MemoryStore, Shelf
from actorq.testing.scheduler import Scheduler
from actorq.transport import Down, Event, Received, Up
from actorq.wire import frames
from actorq.wire import messages as m

logger = logging.getLogger("actorq.testing")

ADDRESS = "tcp://127.0.0.1:5570"
"""Where it listens, in the memory of the process."""


class CoordinatorNode:
    """One incarnation of the coordinator."""

    def __init__(
        self, scheduler: Scheduler, name: str, epoch: str, settings: CoordinatorSettings, shelf: Shelf | None
    ) -> None:
        """`shelf`: what the incarnations before have kept, and this one keeps; None: all is in memory only."""
        now_s = scheduler.loop.now_s
        self.core = Coordinator(name, epoch, settings, now_s, scheduler.wall_s)
        self.link = scheduler.link(name, self._turn)
        self._scheduler = scheduler
        self._packer = frames.Packer()
        self._store = None if shelf is None else MemoryStore(shelf)
        self._groups = None if self._store is None else Groups(self._store)
        if self._store is not None:
            self.core.restore(self._store.load())
        self.link.listen(ADDRESS)
        self.core.mesh.listens_at(ADDRESS)
        self.core.begin(now_s, scheduler.wall_s)

    def crash(self) -> None:
        """It ends without a word. What it has not written is lost."""
        self._scheduler.remove(self.link)
        if self._store is not None:
            self._store.close()

    def _turn(self, events: list[Event]) -> float | None:
        core, now_s = self.core, self._scheduler.loop.now_s
        core.advance(now_s, self._scheduler.wall_s)
        if self._groups is not None:
            core.persisted(self._groups.confirmed)
        for event in events:
            if isinstance(event, Received):
                self._take(event)
            elif isinstance(event, Down):
                core.lose(event.peer)
            elif isinstance(event, Up):
                core.mesh.opened(event.peer)
        effects = core.finish()
        for peer, messages in effects.sends.items():
            for message in messages:
                self.link.send(peer, self._packer.pack(message))
        for peer in effects.hang_ups:
            self.link.hang_up(peer)
        if effects.token and self._groups is not None:
            self._groups.add(effects.token, effects.persist)
            self._groups.write()
            return 0.0
        return None if effects.deadline_s is None else max(effects.deadline_s - now_s, 0.0)

    def _take(self, event: Received) -> None:
        try:
            message = frames.unpack(event.frames, self.core.allowed(event.peer))
        except ProtocolError as error:
            logger.warning("peer %s broke the protocol, its session ends: %s", event.peer, error)
            self.link.send(event.peer, self._packer.pack(m.Reset()))
            self.core.lose(event.peer)
            self.link.hang_up(event.peer)
            return
        self.core.receive(event.peer, message)
