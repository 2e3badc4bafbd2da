"""Actors that own a transport link: the coordinator and the worker."""

from __future__ import annotations

from gevent import Greenlet

from actorq.actors.actor import Actor
from actorq.actors.reasons import Reason
from actorq.transport import Event, GreenWaiter, Link, LinkKeys, LinkLimits


class LinkOwner(Actor):
    """Has a link, whose loop runs in a greenlet of its own from the actor's start to its stop.

    What comes over the link goes to `turn`, in the loop, and not through the mailbox: a call that comes alone would pay
    for two more rounds of the hub. It is one message at a time all the same, because neither `turn` nor a handler gives
    way to other greenlets. When the loop fails, or `turn` raises, the actor fails.
    """

    def __init__(self, linger_s: float = 1.0, limits: LinkLimits | None = None, keys: LinkKeys | None = None) -> None:
        self.transport = Link(GreenWaiter(), self.turn, limits, keys)
        self._linger_s = linger_s
        self._loop = Greenlet(self.transport.run)

    def turn(self, events: list[Event]) -> float | None:
        """Handle a batch of events, maybe none. Returns in how many seconds it wants to be called again, at the latest.

        Must not block, nor switch greenlets.
        """
        raise NotImplementedError

    def on_start(self) -> None:
        """Begin to receive."""
        self._loop.link_exception(lambda loop: self.stop(loop.exception))
        self._loop.start()

    def on_stop(self, reason: Reason) -> None:
        """Send what is in the outboxes, within the linger time, and close the sockets."""
        self.transport.stop(self._linger_s)
        self._loop.join(self._linger_s + 1.0)
