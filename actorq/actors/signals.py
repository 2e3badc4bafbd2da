"""What the runtime sends to an actor, past the messages in its mailbox. Users see `Down` and `Exited` of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from actorq.actors.mailbox import Mailbox
from actorq.actors.reasons import Reason


@dataclass(frozen=True, slots=True)
class Stop:
    """End, for this reason."""

    reason: Reason
    incarnation: int | None = None
    """Which start of the actor is meant; None for any. A stop that came too late must not hit the next one."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Call `notify` once, when the actor has stopped for good."""

    watcher: Hashable
    notify: Callable[[Reason], None]


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Take back the Watch of this watcher."""

    watcher: Hashable


@dataclass(frozen=True, slots=True)
class Link:
    """`peer` has linked itself to the actor, which now links back."""

    peer: Mailbox


@dataclass(frozen=True, slots=True)
class Unlink:
    """Take back the Link of `peer`."""

    peer: Mailbox


@dataclass(frozen=True, slots=True)
class Exit:
    """`peer` has ended, and with it the link."""

    peer: Mailbox
    reason: Reason
