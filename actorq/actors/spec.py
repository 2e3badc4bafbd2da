"""How a supervisor starts a child, and when it starts it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from actorq.actors.actor import Actor
from actorq.actors.mailbox import MailboxSettings
from actorq.actors.reasons import Ended, Reason
from actorq.errors import ImproperlyConfigured


class Restart(Enum):
    """When a child that has ended is started again. Source: ``restart`` in OTP's child specifications."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """When it failed or was killed; not when it was stopped."""
    TEMPORARY = "temporary"
    """Never."""

    def follows(self, reason: Reason) -> bool:
        """Whether a child that ended by itself for `reason` is started again."""
        if self is Restart.TRANSIENT:
            return reason not in (Ended.NORMAL, Ended.SHUTDOWN)
        return self is Restart.PERMANENT


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of a supervisor or a system."""

    factory: Callable[[], Actor]
    """Makes the actor, in the actor's own greenlet; again at each restart."""
    name: str
    """Unique among the children of one supervisor."""
    restart: Restart = Restart.PERMANENT
    shutdown_s: float | None = 5.0
    """How long the child may take to stop (the message that it is busy with, and `on_stop`) before it is killed.

    0 kills at once. None waits as long as it takes: right for a supervisor, whose own children have such times.
    """
    mailbox: MailboxSettings = field(default_factory=MailboxSettings)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ImproperlyConfigured(f"an actor's name must not be empty or have a '/' in it: {self.name!r}")
        if self.shutdown_s is not None and self.shutdown_s < 0:
            raise ImproperlyConfigured(f"shutdown_s of child {self.name!r} must not be negative: {self.shutdown_s:g}")
