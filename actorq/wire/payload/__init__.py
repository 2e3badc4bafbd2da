"""Payloads: how a user's arguments, results and exceptions become bytes and back. The coordinator never opens them."""

from __future__ import annotations

from actorq.wire.payload.cloudpickle_codec import dumps_without, loads_with
from actorq.wire.payload.code import code_blob, code_hash, load_code
from actorq.wire.payload.failure import decode_failure, describe_failure, encode_failure
from actorq.wire.payload.msgpack_codec import decode_call, dumps, encode_call, loads
from actorq.wire.payload.registry import (
    DEFAULT_ACCEPT_CONTENT,
    DEFAULT_SERIALIZER,
    PLAIN_FORMATS,
    Serializers,
    format_name,
)
from actorq.wire.payload.serializer import Serializer
from actorq.wire.payload.tracebacks import format_remote_traceback, remote_traceback

__all__ = [
    "DEFAULT_ACCEPT_CONTENT",
    "DEFAULT_SERIALIZER",
    "PLAIN_FORMATS",
    "Serializer",
    "Serializers",
    "code_blob",
    "code_hash",
    "decode_call",
    "decode_failure",
    "describe_failure",
    "dumps",
    "dumps_without",
    "encode_call",
    "encode_failure",
    "format_name",
    "format_remote_traceback",
    "load_code",
    "loads",
    "loads_with",
    "remote_traceback",
]
