"""What a peer sends may be anything; what comes out of `unpack` is a message or a ProtocolError."""

from __future__ import annotations

import msgspec
import pytest

from actorq.config import BLOB_BYTES
from actorq.errors import ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.records import FAILURE, Blob, Outcome


def test_text_that_is_not_utf8_is_a_protocol_error() -> None:
    kind, _ = frames.Packer().pack(m.Bye("x"))
    with pytest.raises(ProtocolError, match="Bye"):
        frames.unpack([kind, b"\x91\xa1\xff"], frames.FROM_WORKER)


def test_a_large_body_that_stands_in_the_payload_becomes_a_blob() -> None:
    small, large = b"s" * (BLOB_BYTES - 1), b"l" * BLOB_BYTES
    outcomes = [Outcome("a", 1, FAILURE, small), Outcome("b", 1, FAILURE, large)]
    message = frames.unpack(frames.Packer().pack(m.Finished(1, outcomes)), frames.FROM_WORKER)
    assert isinstance(message, m.Finished)
    bodies = [outcome.body for outcome in message.outcomes]
    assert bodies[0] == small
    assert isinstance(bodies[1], Blob)
    assert bytes(bodies[1].view) == large
    assert len(frames.Packer().pack(m.Settled(message.outcomes))) == 3


@pytest.mark.parametrize(("capacity", "slots"), [(-1, 1), (1, -1), (2**40, 1), (1, 2**40)])
def test_a_capacity_out_of_bounds_is_a_protocol_error(capacity: int, slots: int) -> None:
    packed = frames.Packer().pack(m.Capacity(capacity, slots))
    with pytest.raises(ProtocolError):
        frames.unpack(packed, frames.FROM_WORKER)
    hello = m.WorkerHello((1, 1), "n", "w", "e", [], [], slots, capacity)
    with pytest.raises(ProtocolError):
        frames.unpack(frames.Packer().pack(hello), frames.HELLO)


def test_a_payload_that_is_nested_too_deeply_is_a_protocol_error() -> None:
    kind, _ = frames.Packer().pack(m.Reply(1, None))
    with pytest.raises(ProtocolError):
        frames.unpack([kind, msgspec.msgpack.encode([1])[:1] + b"\x01" + b"\x91" * 100_000], frames.FROM_WORKER)
