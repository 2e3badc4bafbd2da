"""JSON with the types of Python that matter to tasks, for clients in other languages and for people who read payloads.

datetime, date, time, timedelta, Decimal, UUID, bytes, set and frozenset travel as ``{"__actorq__": type, "value": …}``
and come back as themselves. As everywhere in JSON, tuples come back as lists and keys as strings; NaN and Infinity are
written although the standard has none.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from actorq.wire.payload.moments import moment_from_text, moment_to_text, timedelta_to_parts
from actorq.wire.payload.refusal import Refused

TAG = "__actorq__"


def dumps(value: object) -> bytes:
    """`value` as JSON in UTF-8. Raises Refused, TypeError, ValueError or RecursionError if it cannot be written."""
    from json import JSONEncoder  # Here and below: slow to import, and most programs never need it.

    written = 0

    def encode(item: object) -> dict[str, object]:
        nonlocal written
        written += 1
        return tagged(item)

    text = JSONEncoder(default=encode, separators=(",", ":")).encode(value)
    if text.count(f'"{TAG}":') != written:
        raise Refused(value, f"The key {TAG!r} is reserved: rename it")
    return text.encode()


def tagged(value: Any) -> dict[str, object]:
    if isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    for kind in type(value).__mro__:
        if kind in TO_PLAIN:
            return {TAG: kind.__name__, "value": TO_PLAIN[kind](value)}
    raise Refused(value)


def loads(data: bytes | memoryview) -> Any:
    """The value that `dumps` was given. Raises any Exception for other data."""
    import json

    return json.loads(str(data, "utf-8"), object_hook=untagged)


def untagged(members: dict[str, Any]) -> Any:
    if TAG not in members:
        return members
    return FROM_PLAIN[members[TAG]](members["value"])


def items_to_plain(items: set[Any] | frozenset[Any]) -> list[Any]:
    if any(isinstance(item, tuple) for item in items):
        raise Refused(items, "Its tuples would come back as lists, which no set can hold: pass a list of them")
    return list(items)


TO_PLAIN: dict[type, Callable[[Any], object]] = {
    datetime: moment_to_text,
    date: date.isoformat,
    time: moment_to_text,
    timedelta: timedelta_to_parts,
    Decimal: Decimal.__str__,
    UUID: UUID.__str__,
    bytes: lambda value: b2a_base64(value, newline=False).decode(),
    set: items_to_plain,
    frozenset: items_to_plain,
}

FROM_PLAIN: dict[str, Callable[[Any], Any]] = {
    "datetime": lambda text: moment_from_text(text, datetime),
    "date": date.fromisoformat,
    "time": lambda text: moment_from_text(text, time),
    "timedelta": lambda parts: timedelta(*parts),
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": a2b_base64,
    "set": set,
    "frozenset": frozenset,
}
