"""A transport link as an actor: the greenlet that owns the sockets lives and dies with it."""

from __future__ import annotations

from gevent import Greenlet

from actorq.actors.actor import Actor
from actorq.actors.reasons import Reason
from actorq.transport import Link


class LinkActor(Actor):
    """Runs a link from its start to its stop. When the link fails, so does the actor; it has no messages of its own."""

    def __init__(self, link: Link, linger_s: float = 1.0) -> None:
        self._link = link
        self._linger_s = linger_s
        self._loop = Greenlet(link.run)

    def on_start(self) -> None:
        self._loop.link_exception(lambda loop: self.stop(loop.exception))
        self._loop.start()

    def on_stop(self, reason: Reason) -> None:
        """Send what is in the outboxes, within the linger time, and close the sockets."""
        self._link.stop(self._linger_s)
        self._loop.join(self._linger_s + 1.0)
