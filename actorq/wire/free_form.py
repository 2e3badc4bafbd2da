"""Values of any form, in control commands and their answers: how large and how deep they may be.

What is nested as deep as its receiver's stack just allows cannot be passed on to the next one, inside another message.
So the limit is far from that, and the same for all.
"""

from __future__ import annotations

from typing import Any

from actorq.config import CONTROL_BYTES
from actorq.errors import MessageTooLarge, ProtocolError
from actorq.wire import messages as m
from actorq.wire.messages import Message

DEEPEST = 100
"""Levels of lists and dicts in the arguments of a command, or the answer of a node."""
KINDS = frozenset({m.Control, m.Command, m.Reply})
"""Messages that hold one. (Replies gathers many that were looked at when they came.)"""


def check(message: Message, payload_bytes: int) -> None:
    """Raise MessageTooLarge for a message of `KINDS` over CONTROL_BYTES, ProtocolError for one nested too deep."""
    if payload_bytes > CONTROL_BYTES:
        raise MessageTooLarge(f"a {type(message).__name__} message", payload_bytes, CONTROL_BYTES)
    value = message.value if isinstance(message, m.Reply) else message.arguments  # type: ignore[attr-defined]
    if is_too_deep(value):
        raise ProtocolError(f"a {type(message).__name__} message is nested deeper than {DEEPEST} levels: send it flat")


def is_too_deep(value: Any) -> bool:
    """Whether lists and dicts stand in one another deeper than DEEPEST. Goes down without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for each in level
            if isinstance(each, (dict, list, tuple))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
