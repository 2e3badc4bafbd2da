"""The default serializer: msgpack with Python's own types.

What comes back as itself: None, bool, int of any size, float, complex, str, bytes, list, tuple, dict (keys of any kind
that is hashable), set, frozenset, range, datetime (naive, offset or zone; fold), date, time, timedelta, Decimal, UUID,
and numpy's arrays and scalars, except those that hold Python objects. What comes back as its base: bytearray and
memoryview as bytes, subclasses as the supported type they derive from, pytz's zones as zoneinfo's. Everything else is
an EncodeError: nothing is pickled, and no class is ever imported.

Two libraries do it. What consists of msgpack's own types, as most calls do, is written and read by msgspec, in a third
of the time and with one copy of large bytes less; all else by msgpack, whose packer asks for what it does not know. The
bytes are the same.

A value may be nested 1,024 levels deep, a call's arguments 1,022. Bytes are decoded without recursion. How many objects
they can make is bounded by their number (up to 85 bytes of memory for each), so it is the limit on a body's size that
protects a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgpack import Packer, unpackb

from actorq.errors import DecodeError
from actorq.wire.payload.call import as_call
from actorq.wire.payload.extension_types import TAGS, Tag, leaf, to_packable
from actorq.wire.payload.refusal import arguments, error_text, refusal

FIRST_BUFFER_BYTES = 64 * 1024
KEEP_BYTES = 2 * 1024 * 1024
"""A packer keeps the memory of the largest value it has written; one that wrote more than this is not used again."""

# A packer can be used by one thread at a time, and not from within itself. `pop` and `append` are atomic, so this free
# list gives each user its own, and never holds more than were in use at once. A `threading.local` would take longer
# and, under gevent, make one packer for each greenlet.
_free_packers: list[Packer] = []


def pack(value: object) -> bytes:
    """As `dumps`, for those who look at no error: raises any Exception, without the search for the place."""
    try:
        packer = _free_packers.pop()
    except IndexError:
        packer = Packer(strict_types=True, default=to_packable, buf_size=FIRST_BUFFER_BYTES)
    data: bytes = packer.pack(value)
    if len(data) <= KEEP_BYTES:
        _free_packers.append(packer)
    return data


def dumps(value: object) -> bytes:
    """`value` as msgpack. Raises EncodeError, which says where in the value something cannot be carried."""
    try:
        if type(value) in _PLAIN:
            return _encode_plain(value)
    except Exception:
        pass  # An integer or a string that is out of the ordinary.
    try:
        return pack(value)
    except Exception as error:
        raise refusal("msgpack", [("value", value)], pack, error) from None


def encode_call(args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
    """The arguments of a call as ``[args, kwargs]``. Raises EncodeError, which names the argument."""
    for value in args:  # Whatever does it without a loop here takes twice as long.
        if type(value) not in _PLAIN:
            break
    else:
        if not kwargs:
            try:
                return _encode_plain(((*args,), kwargs))
            except Exception:
                pass
    try:
        return pack([[*args], kwargs])
    except Exception as error:
        raise refusal("msgpack", arguments(args, kwargs), pack, error) from None


def loads(data: bytes | memoryview) -> Any:
    """The value that `dumps` was given. Raises DecodeError for what is no msgpack, or not whole."""
    try:
        return _decode_untagged(data)
    except Exception:  # Nearly always there is a tag. If not, the other decoder says what is wrong.
        pass
    try:
        return _loads_tagged(data)
    except Exception as error:
        raise _undecodable(error) from error


def decode_call(body: bytes | memoryview) -> tuple[list[Any], dict[str, Any]]:
    """The ``(args, kwargs)`` that `encode_call` was given. Raises DecodeError for anything else."""
    try:
        return _decode_untagged_call(body)
    except Exception:
        return as_call(loads(body))


def _leaf(code: int, data: memoryview) -> Any:
    if code in TAGS:
        raise ValueError("a tagged array")  # Which this decoder does not build.
    return leaf(code, bytes(data))


_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_encode_plain = msgspec.msgpack.Encoder().encode
_decode_untagged = msgspec.msgpack.Decoder(ext_hook=_leaf).decode
_decode_untagged_call = msgspec.msgpack.Decoder(tuple[list[Any], dict[Any, Any]], ext_hook=_leaf).decode
"""These hold no state between calls, so all threads share them."""


def _loads_tagged(data: bytes | memoryview) -> Any:
    """Decode data that has tagged arrays. Looking at each list for a tag takes time, which most data need not pay."""
    unused_tags = 0

    def read_extension(code: int, data: bytes) -> Any:
        nonlocal unused_tags
        tag = TAGS.get(code)
        if tag is None:
            return leaf(code, data)
        unused_tags += 1
        return tag

    def build(items: list[Any]) -> Any:
        nonlocal unused_tags
        if items and type(items[0]) is Tag:
            unused_tags -= 1
            return items[0].build(items[1:])
        return items

    value = unpackb(data, ext_hook=read_extension, list_hook=build, strict_map_key=False, timestamp=3)
    if unused_tags:
        raise ValueError("a tag that is not the first element of an array")
    return value


def _undecodable(error: Exception) -> DecodeError:
    return DecodeError(f"not a msgpack payload: {error_text(error)}")
