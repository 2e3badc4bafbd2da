"""What stands in a mailbox for a message of which more must be known than the message."""

from __future__ import annotations

from typing import Any

from actorq.actors.reply import Reply


class Envelope:
    """A message with an end of its own: somebody waits for the answer, or may take it back."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message

    def open(self) -> bool:
        """The actor has come to it. False if it is void: nobody wants it to be handled any more."""
        raise NotImplementedError

    def discard(self, error: Exception) -> None:
        """The actor will never come to it, because of `error`."""
        raise NotImplementedError


class Ask(Envelope):
    """A message whose sender waits for the answer."""

    __slots__ = ("reply",)

    def __init__(self, message: Any, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply

    def open(self) -> bool:
        return not self.reply.abandoned

    def discard(self, error: Exception) -> None:
        self.reply.fail(error)
