"""Python's types that msgpack does not have, and their form on the wire.

Two forms. A *leaf* is an extension of its own: its data is the value. A *tagged array* is an ordinary array whose first
element is an empty extension, which says what the array stands for: ``[tuple-tag, 1, 2]`` is ``(1, 2)``. So a container
costs three bytes, needs no second encoder for what is in it, and nests no deeper than the decoder's own limit.

A subclass travels as the supported type that is nearest to it: namedtuple as tuple, OrderedDict as dict, IntEnum as
int.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from msgpack import ExtType, Timestamp

from actorq.wire.payload import numpy_arrays
from actorq.wire.payload.moments import check_precision, moment_from_text, moment_to_text, timedelta_to_parts
from actorq.wire.payload.refusal import Refused

BIG_INT, DATETIME, DATE, TIME, TIMEDELTA, DECIMAL, UUID_CODE, COMPLEX = range(1, 9)
TUPLE, SET, FROZENSET, RANGE, NDARRAY, NUMPY_SCALAR = range(16, 22)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TIMEDELTA_FORM = struct.Struct(">iII")  # days, seconds, microseconds
COMPLEX_FORM = struct.Struct(">dd")

# -- to the wire --------------------------------------------------------------------------------------------------


def to_packable(value: Any) -> Any:
    """What the packer is to write for a `value` that it does not know. Raises Refused if nothing stands for it."""
    encode = ENCODERS.get(type(value))
    if encode is not None:
        return encode(value)
    return subclass_to_packable(value)


def subclass_to_packable(value: Any) -> Any:
    bases = type(value).__mro__
    if numpy_arrays.is_numpy(bases):  # First, because numpy.float64 is also a float.
        return numpy_to_packable(value)
    for base in bases:
        if base in ENCODERS:
            return ENCODERS[base](value)
    raise Refused(value)


def int_to_packable(value: int) -> Any:
    if -(2**63) <= value < 2**64:
        return int.__int__(value)
    return ExtType(BIG_INT, value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True))


def datetime_to_packable(value: datetime) -> Any:
    if value.tzinfo is timezone.utc and not value.fold:
        check_precision(value)
        since = value - EPOCH
        return Timestamp(since.days * 86_400 + since.seconds, since.microseconds * 1_000)
    return ExtType(DATETIME, moment_to_text(value).encode())


def numpy_to_packable(value: Any) -> Any:
    dtype, shape, order, data = numpy_arrays.parts(value)
    if shape is None:
        return [ExtType(NUMPY_SCALAR, b""), dtype, data]
    return [ExtType(NDARRAY, b""), dtype, shape, order, data]


def tagged(code: int) -> Callable[[Any], list[Any]]:
    tag = ExtType(code, b"")
    return lambda items: [tag, *items]


RANGE_TAG = ExtType(RANGE, b"")

ENCODERS: dict[type, Callable[[Any], Any]] = {
    tuple: tagged(TUPLE),
    datetime: datetime_to_packable,
    date: lambda value: ExtType(DATE, date.isoformat(value).encode()),
    time: lambda value: ExtType(TIME, moment_to_text(value).encode()),
    timedelta: lambda value: ExtType(TIMEDELTA, TIMEDELTA_FORM.pack(*timedelta_to_parts(value))),
    Decimal: lambda value: ExtType(DECIMAL, Decimal.__str__(value).encode()),
    UUID: lambda value: ExtType(UUID_CODE, value.bytes),
    set: tagged(SET),
    frozenset: tagged(FROZENSET),
    int: int_to_packable,
    complex: lambda value: ExtType(COMPLEX, COMPLEX_FORM.pack(value.real, value.imag)),
    range: lambda value: [RANGE_TAG, value.start, value.stop, value.step],
    # The packer writes these itself, and asks here for subclasses only.
    str: str.__str__,
    dict: dict,
    list: list,
    float: float.__float__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: bytes,
}

# -- from the wire ------------------------------------------------------------------------------------------------


class Tag(NamedTuple):
    """The first element of a tagged array: `build` makes the value from the other elements."""

    build: Callable[[list[Any]], Any]


def range_of(start: int, stop: int, step: int) -> range:
    return range(start, stop, step)


TAGS: dict[int, Tag] = {
    TUPLE: Tag(tuple),
    SET: Tag(set),
    FROZENSET: Tag(frozenset),
    RANGE: Tag(lambda items: range_of(*items)),
    NDARRAY: Tag(lambda items: numpy_arrays.array(*items)),
    NUMPY_SCALAR: Tag(lambda items: numpy_arrays.scalar(*items)),
}

LEAVES: dict[int, Callable[[bytes], Any]] = {
    BIG_INT: lambda data: int.from_bytes(data, "big", signed=True),
    DATETIME: lambda data: moment_from_text(data.decode(), datetime),
    DATE: lambda data: date.fromisoformat(data.decode()),
    TIME: lambda data: moment_from_text(data.decode(), time),
    TIMEDELTA: lambda data: timedelta(*TIMEDELTA_FORM.unpack(data)),
    DECIMAL: lambda data: Decimal(data.decode()),
    UUID_CODE: lambda data: UUID(bytes=data),
    COMPLEX: lambda data: complex(*COMPLEX_FORM.unpack(data)),
}


def leaf(code: int, data: bytes) -> Any:
    """The value of a leaf extension. Raises ValueError for a code that is not known, any error for bad data."""
    read = LEAVES.get(code)
    if read is None:
        raise ValueError(f"unknown extension type {code}; the sender may run a newer version")
    return read(data)
