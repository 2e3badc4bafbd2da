"""What cannot be sent costs its call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from actorq.errors import EncodeError, MessageTooLarge
from actorq.transport import Peer
from actorq.wire import messages as m
from actorq.wire.frames import FROM_CONTROL, Frame, body_of, bytes_of, unpack
from actorq.wire.payload import decode_failure
from actorq.wire.records import FAILURE, SUCCESS, Outcome
from actorq.worker.sender import NOBODY, Sender

LIMIT_BYTES = 100_000


class FakeLink:
    """Notes what is sent; refuses frames as a real link does."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, peer: Peer, frames: Sequence[Frame], urgent: bool = False) -> None:
        for frame in frames:
            if len(frame) > LIMIT_BYTES:
                raise MessageTooLarge("a frame", len(frame), LIMIT_BYTES)
        if peer != NOBODY:
            self.sent.append(unpack([bytes(frame) for frame in frames], FROM_CONTROL))


@pytest.fixture
def link() -> Any:
    return FakeLink()


@pytest.mark.parametrize("body", [object(), body_of(bytes(LIMIT_BYTES + 1))], ids=["unknown to msgpack", "too large"])
def test_an_outcome_that_cannot_be_sent_becomes_a_failure_that_says_so_and_the_others_go_with_it(
    link: Any, body: Any
) -> None:
    outcomes = [
        Outcome("large", 1, SUCCESS, body_of(bytes(70_000))),
        Outcome("bad", 1, SUCCESS, body, "pickle"),
        Outcome("good", 1, SUCCESS, b"\x01"),
    ]
    Sender(link).send(1, m.Finished(1, outcomes))
    (message,) = link.sent
    large, bad, good = message.outcomes
    assert (large.state, len(large.body), good.state, good.body) == (SUCCESS, 70_000, SUCCESS, b"\x01")
    error = decode_failure(bytes_of(bad.body))
    assert bad.state == FAILURE and isinstance(error, EncodeError) and "cannot be sent" in str(error)
    assert outcomes[1].state == FAILURE, "who says it again must say the same"


def test_a_reply_that_cannot_be_sent_says_so(link: Any) -> None:
    Sender(link).send(1, m.Reply(7, {"args": object()}))
    (reply,) = link.sent
    assert reply.token == 7 and "cannot be sent" in reply.value["error"]
