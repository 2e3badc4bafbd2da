"""`unpack` answers any frames with a message of an allowed kind, or with a ProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actorq.errors import ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import FAILURE, SUCCESS, Blob, Call, CallSpec, Member, Note, Outcome

SPECS = [(1, CallSpec("tasks.add")), (2, CallSpec("fn", "fast", 9, code="d1gest"))]
CALLS = [Call("a", 1, b"body", 1.5, 2e9), Call("b", 2, Blob(b"blob")), Call("ü", 2, Blob(b"other"), lost=1)]
OUTCOMES = [Outcome("a", 1, SUCCESS, b""), Outcome("b", 2, FAILURE, Blob(b"blob"), "json")]
VALUE = {"text": ["ü", 1, -2.5, None, True], "map": {"a": {"b": b"bytes"}}}
MEMBER = Member("tcp://127.0.0.1:2", "epoch", "coordinator")
MESSAGES: list[Message] = [
    m.ClientHello((1, 1), "nonce", "client", "session", "tcp://127.0.0.1:1"),
    m.WorkerHello((1, 1), "nonce", "worker", "epoch", ["default"], ["tasks.add"], 4, 8, "c", [("a", 1)], 7),
    m.ControlHello((1, 1), "nonce", "worker", "epoch"),
    m.Welcome(1, "nonce", "coordinator", "epoch", 10, True, 1000, 4, ["transient"], "tcp://127.0.0.1:1", [MEMBER]),
    m.Rejected("no"),
    m.Reset(),
    m.Submit(1, SPECS, CALLS, False, True),
    m.Code("d1gest", b"code"),
    m.Query(1, ["a", "b"], True),
    m.Control(1, "ping", VALUE, ["worker"], 1.0),
    m.Ping(),
    m.Accepted(1, 4),
    m.Refused([("a", "why")]),
    m.Settled(OUTCOMES),
    m.Report(1, [("a", "PENDING")]),
    m.Pressure("full"),
    m.Replies(1, VALUE, ["worker"]),
    m.Define(SPECS, [(1, "session", "tcp://127.0.0.1:1")]),
    m.Deliver(1, CALLS),
    m.Begin(["a"]),
    m.Revoke(["a"], True, True),
    m.Acked(1),
    m.Renewed(1.5),
    m.Command(1, "ping", VALUE),
    m.Capacity(4, 2),
    m.Consume(["default", "fast"]),
    m.Finished(1, OUTCOMES, True),
    m.Returned([("a", 1)]),
    m.Starting([("a", 1)]),
    m.Heartbeat(1.5, 0.1, [("a", 1)], 10),
    m.Reply(1, VALUE),
    m.Bye("done"),
    m.Results("session", OUTCOMES),
    m.Discover("nonce"),
    m.View("nonce", MEMBER, [MEMBER]),
    m.PeerHello((1, 1), "nonce", MEMBER),
    m.HandOver(1, [(1, "session", "client", "tcp://127.0.0.1:1")], SPECS, CALLS),
    m.HandOverOutcomes(1, OUTCOMES),
    m.Unwatch(["a"]),
    m.Duplicates([("a", "b")]),
    m.Noted([Note("a", 1, "PROGRESS", b"\xc0")]),
    m.Told("session", [Note("a", 1, "RETRY", b"\xc0")]),
]
ALL_KINDS = frames.kinds(Message.__subclasses__())


def packed(message: Message) -> list[bytes]:
    return [bytes(frame) for frame in frames.Packer().pack(message)]


def test_there_is_an_example_of_every_kind_and_each_is_read_back() -> None:
    assert {type(message) for message in MESSAGES} == set(Message.__subclasses__())
    for message in MESSAGES:
        assert type(frames.unpack(packed(message), ALL_KINDS)) is type(message)


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a few bytes changed, inserted or cut."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(changed)))
        end = min(start + draw(st.integers(0, 3)), len(changed))
        changed[start:end] = draw(st.binary(max_size=4))
    return bytes(changed)


@st.composite
def broken_frames(draw: st.DrawFn) -> list[bytes]:
    kind, payload, *blobs = packed(draw(st.sampled_from(MESSAGES)))
    if draw(st.integers(0, 9)) == 0:
        kind = draw(st.binary(max_size=3))
    payload = draw(mutations(payload))
    return [kind, payload, *draw(st.just(blobs) | st.lists(st.binary(max_size=4), max_size=4))]


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken_frames())
@example([*packed(m.Bye(""))[:1], b"\x91\xa1\xff"])
@example([])
@example([b""])
def test_broken_frames_are_a_message_or_a_protocol_error(broken: list[bytes]) -> None:
    try:
        message = frames.unpack(broken, ALL_KINDS)
    except ProtocolError:
        return
    frames.Packer().pack(message)  # And what was taken can be passed on.


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_no_single_byte_changed_to_one_that_is_no_text_breaks_unpack(message: Message) -> None:
    kind, payload, *blobs = packed(message)
    for place in range(len(payload)):
        for byte in (0xFF, 0xC1, 0xA1, 0xD9, 0xCA, 0xC4, 0x00):
            broken = payload[:place] + bytes([byte]) + payload[place + 1 :]
            try:
                frames.unpack([kind, broken, *blobs], ALL_KINDS)
            except ProtocolError:
                pass
