"""Messages to frames and back.

A message is ``kind | payload | blob…``: one byte that names the type, one msgpack array, and the large bodies as frames
of their own. Where a body is large, the array has the index of its frame instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from actorq.config import BLOB_BYTES
from actorq.errors import MessageTooLarge, ProtocolError, VersionMismatch
from actorq.wire import free_form
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import Blob, Body, Call, PlanInProgress

Frame = bytes | memoryview
Kinds = Mapping[bytes, type[Message]]

_ALL: tuple[type[Message], ...] = (
    m.ClientHello, m.WorkerHello, m.ControlHello, m.Welcome, m.Rejected, m.Reset,
    m.Submit, m.Code, m.Query, m.Control, m.Ping,
    m.Accepted, m.Refused, m.Settled, m.Report, m.Pressure, m.Replies,
    m.Define, m.Deliver, m.Begin, m.Revoke, m.Acked, m.Renewed, m.Command,
    m.Capacity, m.Finished, m.Returned, m.Starting, m.Heartbeat, m.Reply, m.Bye,
    m.Results,
    m.Discover, m.View, m.PeerHello, m.HandOver, m.HandOverOutcomes, m.Unwatch,
    m.Noted, m.Told, m.Consume, m.Duplicates,
)  # fmt: skip
_KIND_BYTE = {kind: bytes([number]) for number, kind in enumerate(_ALL, start=1)}  # 0 is the transport's probe.
_DECODERS = {kind: msgspec.msgpack.Decoder(kind) for kind in _ALL}


def kinds(types: Iterable[type[Message]]) -> Kinds:
    """The table that `unpack` takes: the types that a peer in some role and state may send."""
    return {_KIND_BYTE[each]: each for each in types}


HELLO = kinds([m.Discover, m.ClientHello, m.WorkerHello, m.ControlHello, m.PeerHello])
FROM_CLIENT = kinds([m.Discover, m.ClientHello, m.Submit, m.Code, m.Query, m.Control, m.Ping])
FROM_WORKER = kinds(
    [
        m.Discover, m.WorkerHello, m.Capacity, m.Consume, m.Finished, m.Returned, m.Starting, m.Noted, m.Heartbeat, m.Reply,
        m.Bye,
    ]
)  # fmt: skip
FROM_CONTROL = kinds([m.ControlHello, m.Finished, m.Returned, m.Heartbeat, m.Reply, m.Bye])
TO_CLIENT = kinds(
    [
        m.Welcome, m.View, m.Rejected, m.Reset, m.Accepted, m.Refused, m.Duplicates, m.Settled, m.Report, m.Pressure,
        m.Replies,
    ]
)  # fmt: skip
TO_WORKER = kinds([m.View, m.Welcome, m.Rejected, m.Reset, m.Define, m.Code, m.Deliver, m.Begin, m.Acked, m.Revoke])
TO_CONTROL = kinds([m.Welcome, m.Rejected, m.Reset, m.Renewed, m.Command, m.Revoke, m.Acked])
FROM_COORDINATOR = kinds(
    [m.Discover, m.PeerHello, m.Query, m.Control, m.Unwatch, m.Ping, m.Code, m.HandOver, m.HandOverOutcomes, m.Bye]
)
"""On a connection that another coordinator has dialled."""
TO_COORDINATOR = kinds([m.View, m.Welcome, m.Rejected, m.Reset, m.Accepted, m.Settled, m.Report, m.Pressure, m.Replies])
"""On a connection that we have dialled to another coordinator."""
TO_REPLY_SOCKET = kinds([m.Results, m.Told])


def body_of(data: bytes) -> Body:
    """The body for `data`: large ones become blobs, which are not copied again."""
    return data if len(data) < BLOB_BYTES else Blob(data)


def bytes_of(body: Body) -> bytes | memoryview:
    """The bytes of a body, without a copy."""
    return body.view if isinstance(body, Blob) else body


class Packer:
    """Encodes messages. One per thread that sends."""

    def __init__(self) -> None:
        self._blobs: list[Frame] = []
        self._encode = msgspec.msgpack.Encoder(enc_hook=self._take_blob).encode

    def _take_blob(self, value: Any) -> int:
        if type(value) is not Blob:
            raise TypeError(f"{type(value).__name__} is not part of the protocol")
        self._blobs.append(value.view)
        return len(self._blobs) - 1

    def pack(self, message: Message) -> list[Frame]:
        """The frames of `message`. Raises MessageTooLarge, ProtocolError for the values in control messages."""
        try:
            payload = self._encode(message)
        except BaseException:
            self._blobs.clear()  # They belong to this message, which is not sent.
            raise
        if type(message) in free_form.KINDS:
            free_form.check(message, len(payload))
        frames: list[Frame] = [_KIND_BYTE[type(message)], payload]
        if self._blobs:
            frames += self._blobs
            self._blobs.clear()
        return frames


def unpack(frames: Sequence[Frame], allowed: Kinds) -> Message:
    """The message in `frames`.

    Raises ProtocolError if it is not one of the `allowed` kinds, or is not what its kind says.
    """
    if len(frames) < 2:
        raise ProtocolError(f"a message has a kind and a payload, this one has {len(frames)} frame(s)")
    kind = allowed.get(bytes(frames[0]))
    if kind is None:
        raise ProtocolError(f"message kind {bytes(frames[0][:8])!r} is not allowed here")
    try:
        message: Message = _DECODERS[kind].decode(frames[1])
    except (ValueError, RecursionError) as error:  # msgspec's own are ValueErrors; so is text that is not UTF-8.
        raise ProtocolError(f"a {kind.__name__} message cannot be decoded: {error}") from None
    if kind in free_form.KINDS:
        try:
            free_form.check(message, len(frames[1]))
        except MessageTooLarge as error:
            raise ProtocolError(str(error)) from None
    records = _records_of(message)
    if records is not None:
        _attach_blobs(records, frames[2:])
        if len(frames[1]) >= BLOB_BYTES:
            _lift_large_bodies(records)
    return message


def _records_of(message: Message) -> list[Any] | None:
    """What has a body in `message`, in the order in which it is encoded."""
    kind = type(message)
    if kind is m.Deliver:
        return _with_parts(cast(m.Deliver, message).calls)
    if kind is m.HandOver:
        return [*_with_parts(message.calls), *_in_progress(message.plans)]  # type: ignore[attr-defined]
    if kind is m.Submit:
        submit = cast(m.Submit, message)
        if not submit.plans:
            return submit.calls
        return [*submit.calls, *(node.call for plan in submit.plans for node in plan.nodes)]
    if kind is m.Finished or kind is m.Settled or kind is m.Results or kind is m.HandOverOutcomes:
        return cast(m.Finished, message).outcomes
    return None


def _in_progress(plans: list[PlanInProgress]) -> Iterator[Any]:
    for each in plans:
        for node in each.plan.nodes:
            yield node.call
        for _, _, outcome in each.ends:
            if outcome is not None:
                yield outcome


def _with_parts(calls: list[Call]) -> list[Any]:
    """The calls, each with what it takes from others behind it."""
    if all(map(_is_without_inputs, calls)):
        return calls
    records: list[Any] = []
    for call in calls:
        records.append(call)
        if call.inputs is not None:
            records += call.inputs.parts
    return records


def _is_without_inputs(call: Call) -> bool:
    return call.inputs is None


def _attach_blobs(records: list[Any], blobs: Sequence[Frame]) -> None:
    """Replace each index by its blob. An index without a frame, or a frame without an index, is an error."""
    expected = 0
    for record in records:
        if record.body.__class__ is int:
            if record.body != expected or expected >= len(blobs):
                raise ProtocolError(f"the body of {record.id} refers to a frame that is not there")
            record.body = Blob(blobs[expected])
            expected += 1
    if expected != len(blobs):
        raise ProtocolError(f"{len(blobs)} blob frame(s) came, {expected} belong to a record")


def _lift_large_bodies(records: list[Any]) -> None:
    """Make blobs of large bodies that a peer left in the payload: they leave as frames, and are counted as blobs."""
    for record in records:
        if record.body.__class__ is bytes and len(record.body) >= BLOB_BYTES:
            record.body = Blob(record.body)


def agree_version(theirs: tuple[int, int]) -> int:
    """The newest protocol version that both sides speak. Raises VersionMismatch if there is none."""
    version = min(theirs[1], m.PROTOCOL_VERSION)
    if version < max(theirs[0], m.OLDEST_VERSION):
        raise VersionMismatch(
            f"the peer speaks protocol {theirs[0]} to {theirs[1]}, this node {m.OLDEST_VERSION} to "
            f"{m.PROTOCOL_VERSION}: bring both to the same release of actorq"
        )
    return version
