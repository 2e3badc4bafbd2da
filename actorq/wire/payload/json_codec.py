"""JSON with the types of Python that matter to tasks, for clients in other languages and for people who read payloads.

datetime, date, time, timedelta, Decimal, UUID, bytes, set and frozenset travel as ``{"__actorq__": type, "value": …}``
and come back as themselves, and so do the types that an application has registered. What has a method ``__json__``
travels as what that returns, and Django's lazy strings as the strings that they stand for. As everywhere in JSON, tuples
come back as lists and keys as strings; NaN and Infinity are written although the standard has none.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from actorq.errors import ImproperlyConfigured
from actorq.wire.payload.moments import moment_from_text, moment_to_text, timedelta_to_parts
from actorq.wire.payload.refusal import Refused

TAG = "__actorq__"


class JsonCodec:
    """JSON, with the types of one application."""

    def __init__(self) -> None:
        self._own_to_plain: dict[type, tuple[str, Callable[[Any], object]]] = {}
        self._from_plain = dict(FROM_PLAIN)

    def register_type(
        self, kind: type, marker: str, encoder: Callable[[Any], object], decoder: Callable[[Any], Any]
    ) -> None:
        """Carry values of a class, and of those that derive from it, under the name `marker`.

        `encoder` returns what JSON can carry, of which `decoder` makes the value again. Raises ImproperlyConfigured for
        the markers of the built-in types, and for classes that JSON writes by itself, such as those derived from dict.
        """
        if marker in FROM_PLAIN:
            raise ImproperlyConfigured(f"the marker {marker!r} stands for a built-in type: choose another one")
        if issubclass(kind, WRITTEN_BY_JSON):
            raise ImproperlyConfigured(
                f"JSON writes a {kind.__qualname__} as the built-in type it derives from, and never asks: convert it "
                f"where you pass it"
            )
        self._own_to_plain[kind] = marker, encoder
        self._from_plain[marker] = decoder

    def dumps(self, value: object) -> bytes:
        """`value` as JSON in UTF-8. Raises Refused, TypeError, ValueError or RecursionError if it cannot be written."""
        from json import JSONEncoder  # Here and below: slow to import, and most programs never need it.

        written = 0

        def encode(item: Any) -> object:
            nonlocal written
            plain, is_tagged = self._to_plain(item)
            written += is_tagged
            return plain

        text = JSONEncoder(default=encode, separators=(",", ":")).encode(value)
        if text.count(f'"{TAG}":') != written:
            raise Refused(value, f"The key {TAG!r} is reserved: rename it")
        return text.encode()

    def loads(self, data: bytes | memoryview) -> Any:
        """The value that `dumps` was given. Raises any Exception for other data."""
        import json

        return json.loads(str(data, "utf-8"), object_hook=self._untagged)

    def _to_plain(self, value: Any) -> tuple[object, bool]:
        """What is written for a value that JSON does not know, and whether that has a tag."""
        kinds = type(value).__mro__
        own = self._own_to_plain
        if own:
            for kind in kinds:
                if kind in own:
                    marker, encode = own[kind]
                    return {TAG: marker, "value": encode(value)}, True
        if hasattr(kinds[0], "__json__"):
            return value.__json__(), False
        if isinstance(value, (bytearray, memoryview)):
            value, kinds = bytes(value), bytes.__mro__
        for kind in kinds:
            if kind in TO_PLAIN:
                return {TAG: kind.__name__, "value": TO_PLAIN[kind](value)}, True
        if is_lazy(kinds):
            return str(value), False
        raise Refused(value)

    def _untagged(self, members: dict[str, Any]) -> Any:
        if TAG not in members:
            return members
        return self._from_plain[members[TAG]](members["value"])


def is_lazy(kinds: tuple[type, ...]) -> bool:
    """Whether these are the bases of one of Django's lazy values. By name: so Django need not be imported to find out."""
    return any(kind.__name__ == "Promise" and kind.__module__ == "django.utils.functional" for kind in kinds)


def items_to_plain(items: set[Any] | frozenset[Any]) -> list[Any]:
    if any(isinstance(item, tuple) for item in items):
        raise Refused(items, "Its tuples would come back as lists, which no set can hold: pass a list of them")
    return list(items)


WRITTEN_BY_JSON = (dict, list, tuple, str, int, float)

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
