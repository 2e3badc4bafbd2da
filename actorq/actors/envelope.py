"""What stands in a mailbox for a message that is more than told."""

from __future__ import annotations

from typing import Any

from actorq.actors.reply import Reply


class Envelope:
    """A message, and the reply to it if somebody waits for one."""

    __slots__ = ("message", "reply")

    def __init__(self, message: Any, reply: Reply | None = None) -> None:
        self.message = message
        self.reply = reply

    def open(self) -> bool:
        """The actor has come to it. Returns whether it is still to be handled."""
        return self.reply is None or not self.reply.abandoned

    def discard(self, error: Exception) -> None:
        """The actor will never come to it, because of `error`."""
        if self.reply is not None:
            self.reply.fail(error)
