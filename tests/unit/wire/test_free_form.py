"""Values in control messages: so large and so deep, and no more, for those who send them and those who get them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actorq.config import CONTROL_BYTES
from actorq.errors import MessageTooLarge, ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.free_form import DEEPEST
from actorq.wire.messages import Message

KINDS = frames.kinds([m.Control, m.Command, m.Reply])


def nested(levels: int, in_dicts: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value} if in_dicts else [value]
    return value


def holding(value: Any) -> list[Message]:
    return [m.Control(1, "x", {"a": value}, [], 1.0), m.Command(1, "x", {"a": value}), m.Reply(1, {"a": value})]


def sent(message: Message) -> list[frames.Frame]:
    """As somebody sends it who looks at nothing."""
    kind = next(byte for byte, each in KINDS.items() if each is type(message))
    return [kind, msgspec.msgpack.encode(message)]


@pytest.mark.parametrize("in_dicts", [False, True])
def test_what_is_as_deep_as_it_may_be_arrives_and_can_be_passed_on(in_dicts: bool) -> None:
    value = nested(DEEPEST - 2, in_dicts)
    for message in holding(value):
        assert frames.unpack(frames.Packer().pack(message), KINDS) == message
    replies = m.Replies(1, {"node": {"a": value}}, [])
    assert frames.unpack(frames.Packer().pack(replies), frames.TO_CLIENT) == replies


@pytest.mark.parametrize("in_dicts", [False, True])
@pytest.mark.parametrize("levels", [DEEPEST, 300])
def test_what_is_deeper_is_neither_sent_nor_taken(levels: int, in_dicts: bool) -> None:
    for message in holding(nested(levels, in_dicts)):
        with pytest.raises(ProtocolError, match="deeper than 100 levels"):
            frames.Packer().pack(message)
        with pytest.raises(ProtocolError, match="deeper than 100 levels"):
            frames.unpack(sent(message), KINDS)


def test_what_is_too_large_is_neither_sent_nor_taken() -> None:
    for message in holding(bytes(CONTROL_BYTES)):
        with pytest.raises(MessageTooLarge):
            frames.Packer().pack(message)
        with pytest.raises(ProtocolError, match="the limit is 8,388,608"):
            frames.unpack(sent(message), KINDS)


def test_a_packer_works_on_after_a_message_that_it_refused() -> None:
    packer = frames.Packer()
    with pytest.raises(ProtocolError):
        packer.pack(m.Reply(1, nested(DEEPEST)))
    assert frames.unpack(packer.pack(m.Reply(1, 2)), KINDS) == m.Reply(1, 2)
