"""The body of an outcome that is REPLACED: what the call goes on as."""

from __future__ import annotations

from typing import Any

import msgspec

from actorq.errors import ProtocolError
from actorq.wire.records import Blob, Body, Call, CallSpec, Node, Plan, Replacement


def rerun(spec: CallSpec, call: Call, plan_id: str, note: bytes = b"") -> bytes:
    """The same call again, as it is in `call`, in the form that `spec` describes; `plan_id` is a new one."""
    return encode_replacement(Replacement([spec], Plan(plan_id, [Node(call)]), note))


def encode_replacement(replacement: Replacement) -> bytes:
    """As bytes. Large bodies are in them, not beside them."""
    return _ENCODER.encode(replacement)


def decode_replacement(body: Body) -> Replacement:
    """What `encode_replacement` made. Raises ProtocolError if it is nothing of that kind."""
    try:
        return _DECODER.decode(body.view if isinstance(body, Blob) else body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a replacement cannot be decoded: {error}") from None


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, Blob):
        return bytes(value.view)
    raise TypeError(f"{type(value).__name__} is not part of the protocol")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_bytes_of)
_DECODER = msgspec.msgpack.Decoder(Replacement)
