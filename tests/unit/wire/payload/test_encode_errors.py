"""An EncodeError says where the culprit is, what it is, and what to do."""

from __future__ import annotations

import dataclasses
import enum
import threading
from datetime import datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest

from actorq.errors import EncodeError
from actorq.wire.payload import Serializers, dumps, encode_call


@dataclasses.dataclass
class Order:
    id: int


class Size(enum.Enum):
    SMALL = 1


class Nowhere(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(0)

    dst = tzname = utcoffset  # type: ignore[assignment]


class Holder:
    def __init__(self, held: object) -> None:
        self.held = held


def error_of(args: tuple[Any, ...], kwargs: dict[str, Any], serializer: str = "msgpack") -> str:
    with pytest.raises(EncodeError) as caught:
        Serializers.default().encode_call(serializer, args, kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((1, object()), {}, "args[1]"),
        ((1, {"when": datetime(2024, 1, 1, tzinfo=Nowhere())}), {}, "args[1]['when'].tzinfo"),
        ((), {"orders": [1, (2, Order(3))]}, "kwargs['orders'][1][1]"),
        (({"a": {Size.SMALL: 1}},), {}, "args[0]['a'].key(<"),
        (({frozenset({object}): 1},), {}, "args[0].key(<frozenset>).item(<type>)"),
        (("ok", "lone surrogate \ud800"), {}, "args[1]"),
        (([memoryview(b"abcd")[::2]],), {}, "args[0][0]"),
    ],
)
def test_it_names_the_place(args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode_call(args, kwargs)
    assert f"cannot serialize {path}" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "kind", "advice"),
    [
        (Order(1), f"{__name__}.Order", "dataclasses.asdict()"),
        (Size.SMALL, f"{__name__}.Size", ".value"),
        (Path("a"), "pathlib", "str(path)"),
        (len, "builtin_function", "an id"),
        (error_of, "function", "its name"),
        (Order, "type", "its name"),
        (iter([1]), "list_iterator", "list()"),
        (datetime(2024, 1, 1, tzinfo=Nowhere()), f"{__name__}.Nowhere", "zoneinfo.ZoneInfo"),
        (time(1, tzinfo=timezone(timedelta(microseconds=1))), "datetime.timezone", "whole seconds"),
        (type("Model", (), {"model_dump": None})(), "Model", "model_dump()"),
        ("\ud800", "a str", "surrogates"),
    ],
)
def test_it_names_the_type_and_what_to_do(value: object, kind: str, advice: str) -> None:
    text = error_of((value,), {})
    assert kind in text
    assert advice in text
    assert 'serializer="cloudpickle"' in text


def test_a_value_alone_is_called_value() -> None:
    with pytest.raises(EncodeError, match=r"cannot serialize value\[0\] as msgpack: it is a object"):
        dumps([object()])


def test_a_value_that_contains_itself_is_named_as_such() -> None:
    cycle: list[Any] = [1]
    cycle.append({"again": cycle})
    assert "contains itself" in error_of((cycle,), {})


def test_a_pickle_that_fails_names_the_attribute() -> None:
    text = error_of((Holder([Holder(threading.Lock())]),), {}, "cloudpickle")
    assert "cannot serialize args[0].held[0].held as cloudpickle" in text
    assert "_thread.lock" in text


def test_a_closure_that_cannot_travel_names_the_variable() -> None:
    guard = threading.Lock()
    assert "args[0].<closure>.guard" in error_of((lambda: guard,), {}, "cloudpickle")


def test_json_names_the_place_too() -> None:
    assert "cannot serialize args[0]['a'][1] as json" in error_of(({"a": [1, Order(1)]},), {}, "json")


def test_a_value_that_fails_while_it_is_looked_at_is_an_encode_error_still() -> None:
    class Broken(dict[str, int]):
        def keys(self) -> Any:
            raise RuntimeError("no keys today")

        items = __iter__ = keys

    assert "no keys today" in error_of((Broken(a=1),), {})


def test_nat_and_nanoseconds_are_refused_and_not_lost() -> None:
    class PandasTimestamp(datetime):
        nanosecond = 7

    class PandasNaT(datetime):
        def __ne__(self, other: object) -> bool:
            return True

    class PandasTimedelta(timedelta):
        nanoseconds = 7

    for value in (PandasTimestamp(2024, 1, 1), PandasNaT(1, 1, 1), PandasTimedelta(1)):
        for serializer in ("msgpack", "json"):
            assert "nanoseconds" in error_of((value,), {}, serializer)
