"""Equality that sees what ``==`` does not: types, order, NaN, signed zeros, zones, fold."""

from __future__ import annotations

import struct
from datetime import datetime, time, timezone
from decimal import Decimal
from typing import Any


def same(left: Any, right: Any) -> bool:
    """True if the two cannot be told apart, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, (set, frozenset)):
        return len(left) == len(right) and all(any(same(item, other) for other in right) for item in left)
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right) or (left != left and right != right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, Decimal):
        return same(left.as_tuple()[:], right.as_tuple()[:])
    if isinstance(left, (datetime, time)):
        unzoned = left.replace(tzinfo=None) == right.replace(tzinfo=None)
        return unzoned and left.fold == right.fold and same_zone(left.tzinfo, right.tzinfo)
    return bool(left == right)


def same_zone(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    return bool(left == right if left is None or isinstance(left, timezone) else left.key == right.key)
