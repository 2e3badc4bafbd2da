"""The equality that the other tests rely on tells apart what must be told apart."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.wire.payload.sameness import same


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}),
        ([(1,)], [[1]]),
        ({(1,): 1}, {(True,): 1}),
        (b"a", bytearray(b"a")),
        (Decimal("1.0"), Decimal("1.00")),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, fold=1)),
        (datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))),
        (datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    ],
)
def test_what_only_looks_equal_is_not_the_same(left: Any, right: Any) -> None:
    assert not same(left, right)


def test_nan_is_the_same_as_nan_at_any_depth() -> None:
    assert same({"a": [float("nan")]}, {"a": [float("nan")]})
