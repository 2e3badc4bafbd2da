"""The default serializer: msgpack with Python's own types.

What comes back as itself: None, bool, int of any size, float, complex, str, bytes, list, tuple, dict (keys of any kind
that is hashable), set, frozenset, range, datetime (naive, offset or zone; fold), date, time, timedelta, Decimal, UUID,
and numpy's arrays and scalars, except those that hold Python objects. What comes back as its base: bytearray and
memoryview as bytes, subclasses as the supported type they derive from, pytz's zones as zoneinfo's. Everything else is
an EncodeError: nothing is pickled, and no class is ever imported.

A value may be nested 1,024 levels deep, a call's arguments 1,022. Bytes are decoded without recursion. How many objects
they can make is bounded by their number (up to 85 bytes of memory for each), so it is the limit on a body's size that
protects a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        return pack(value)
    except Exception as error:
        raise refusal("msgpack", [("value", value)], pack, error) from None


def encode_call(args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
    """The arguments of a call as ``[args, kwargs]``. Raises EncodeError, which names the argument."""
    try:
        return pack([[*args], kwargs])
    except Exception as error:
        raise refusal("msgpack", arguments(args, kwargs), pack, error) from None


def loads(data: bytes | memoryview) -> Any:
    """The value that `dumps` was given. Raises DecodeError for anything else, however it was made."""
    try:
        return unpackb(data, ext_hook=_leaf, strict_map_key=False, timestamp=3)
    except _TaggedArray:
        pass
    except Exception as error:
        raise _undecodable(error) from error
    try:
        return _loads_tagged(data)
    except Exception as error:
        raise _undecodable(error) from error


def decode_call(body: bytes | memoryview) -> tuple[list[Any], dict[str, Any]]:
    """The ``(args, kwargs)`` that `encode_call` was given. Raises DecodeError for anything else."""
    return as_call(loads(body))


class _TaggedArray(Exception):
    """There is a tagged array in the data, so it has to be read in the slower way."""


def _leaf(code: int, data: bytes) -> Any:
    if code in TAGS:
        raise _TaggedArray
    return leaf(code, data)


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
