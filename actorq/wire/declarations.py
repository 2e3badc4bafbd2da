"""What is said of exchanges, queues, bindings and limits, as all coordinators know it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

NAME_LENGTH = 512
Name = Annotated[str, Meta(max_length=NAME_LENGTH)]
Scalar = bool | int | float | Name | None

EXCHANGE, QUEUE, BINDING, PAUSE, RATE = "exchange", "queue", "binding", "pause", "rate"


class Declaration(Struct, array_like=True, frozen=True):
    """What was said last of an exchange, a queue, a binding or a task's limit. Of two for the same one the later one counts."""

    kind: Name
    """EXCHANGE, QUEUE, BINDING; PAUSE: whether a queue's calls wait; RATE: how many calls of a task may start."""
    names: Annotated[list[Name], Meta(max_length=3)]
    """Of the exchange; of the queue; of the binding: exchange, queue, routing key; of the task."""
    value: dict[Name, Scalar | dict[Name, Scalar]] | None = {}
    """EXCHANGE: its `type`. QUEUE: its options, `dead_letter_expired`. BINDING: its `headers`. PAUSE: `paused`. RATE:
    `rate_limit`, as users write it. None: it is gone."""
    at_s: float = 0
    """Unix time when it was said, at the coordinator that was told first."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What it is about."""
        return (self.kind, *self.names)
