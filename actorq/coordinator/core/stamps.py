"""Stamps of calls: the one thing in `Extra.request` that a coordinator looks at, and only to end calls by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from actorq.wire.records import Call

_NAME = b"stamps"


def stamped(calls: Iterable[Call], wanted: Mapping[str, Any]) -> list[str]:
    """The ids of the calls that have one of these stamps: names, each with a value or a list of them."""
    values = {name: value if isinstance(value, list) else [value] for name, value in wanted.items()}
    return [call.id for call in calls if call.extra is not None and _has_one(call.extra.request, values)]


def _has_one(request: bytes, wanted: Mapping[str, list[Any]]) -> bool:
    if _NAME not in request:
        return False
    try:
        stamps = msgspec.msgpack.decode(request).get(_NAME.decode())
    except (ValueError, RecursionError, AttributeError):
        return False
    if not isinstance(stamps, dict):
        return False
    return any(
        value in found
        for name, values in wanted.items()
        if isinstance(found := stamps.get(name), list)
        for value in values
    )
