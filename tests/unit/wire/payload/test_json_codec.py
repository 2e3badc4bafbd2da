"""JSON keeps Python's types too, except those that JSON itself cannot tell apart."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from actorq.errors import DecodeError, EncodeError, ImproperlyConfigured
from actorq.wire.payload import Serializer, Serializers
from tests.unit.wire.payload.sameness import same

JSON: Serializer = Serializers.default().get("json")

VALUES: list[Any] = [
    None,
    True,
    2**100,
    1.5,
    float("nan"),
    float("inf"),
    'grüße \ud800 \\ "__actorq__":',
    [1, [2]],
    {"a": {"b": []}},
    {"value": 1},
    {"a": "__actorq__"},
    b"\x00\xff",
    {1, "a"},
    frozenset({frozenset({1})}),
    [{b"a", date(2024, 1, 1)}],
    date(2024, 2, 29),
    time(2, 30, fold=1),
    time(2, 30, tzinfo=timezone.utc),
    timedelta(days=-1, microseconds=1),
    datetime(2024, 2, 29, 1, 2, 3, 4),
    datetime(2024, 2, 29, tzinfo=timezone.utc),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    Decimal("-1.50"),
    UUID(int=7),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_comes_back_as_itself(value: Any) -> None:
    assert same(JSON.loads(JSON.dumps(value)), value)
    assert same(JSON.loads(memoryview(JSON.dumps([value, value]))), [value, value])


@pytest.mark.parametrize(
    ("value", "arrives_as"),
    [((1, (2,)), [1, [2]]), ({1: None}, {"1": None}), (bytearray(b"a"), b"a"), (memoryview(b"a"), b"a")],
)
def test_what_json_cannot_tell_apart_arrives_as_what_it_has(value: Any, arrives_as: Any) -> None:
    assert same(JSON.loads(JSON.dumps(value)), arrives_as)


def test_a_payload_is_plain_json_that_other_languages_read() -> None:
    body = JSON.encode_call((1, date(2024, 2, 29)), {"k": "v"})
    assert json.loads(body) == [[1, {"__actorq__": "date", "value": "2024-02-29"}], {"k": "v"}]
    assert JSON.decode_call(body) == ([1, date(2024, 2, 29)], {"k": "v"})


@pytest.mark.parametrize("value", [{"__actorq__": 1}, [{"a": {"__actorq__": "date", "value": "2024-02-29"}}]])
def test_a_dict_that_would_be_taken_for_another_type_is_refused(value: Any) -> None:
    with pytest.raises(EncodeError, match="reserved"):
        JSON.dumps(value)


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)


class Dot(Point):
    """Of a class that derives from one that is registered."""


class Document:
    def __json__(self) -> object:
        return {"pages": [1, date(2024, 2, 29)]}


def a_json(kind: type = Point, marker: str = "point") -> Serializers:
    serializers = Serializers()
    serializers.register_type(kind, marker, lambda point: [point.x, point.y], lambda parts: Point(*parts))
    return serializers


def test_a_type_of_ones_own_comes_back_as_itself() -> None:
    serializers = a_json()
    body = serializers.encode_call("json", (Point(1, 2),), {"k": [Dot(3, 4)]})
    assert json.loads(body)[0] == [{"__actorq__": "point", "value": [1, 2]}]
    assert serializers.decode_call("json", body) == ([Point(1, 2)], {"k": [Point(3, 4)]})


def test_a_type_of_another_application_is_not_known() -> None:
    body = a_json().dumps("json", Point(1, 2))
    with pytest.raises(DecodeError, match="not a json payload"):
        Serializers().loads("json", body)
    with pytest.raises(EncodeError, match="Point"):
        Serializers().dumps("json", Point(1, 2))


@pytest.mark.parametrize(("kind", "marker", "why"), [(Point, "date", "built-in type"), (dict, "own", "never asks")])
def test_a_type_that_json_would_not_carry_is_refused(kind: type, marker: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=why):
        a_json(kind, marker)


def test_what_says_its_own_json_travels_as_that() -> None:
    assert JSON.loads(JSON.dumps([Document()])) == [{"pages": [1, date(2024, 2, 29)]}]


def test_a_lazy_string_of_django_travels_as_the_string_that_it_stands_for() -> None:
    promise = type("Promise", (), {"__module__": "django.utils.functional"})
    lazy = type("__proxy__", (promise,), {"__str__": lambda self: "grüße"})
    assert JSON.loads(JSON.dumps({"greeting": lazy()})) == {"greeting": "grüße"}
    with pytest.raises(EncodeError):
        JSON.dumps(type("Promise", (), {"__module__": "elsewhere"})())


def test_a_set_of_tuples_is_refused_because_they_would_arrive_as_lists() -> None:
    with pytest.raises(EncodeError, match="pass a list of them"):
        JSON.dumps({(1, 2)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"__actorq__": "os.system", "value": "true"}',
        b'{"__actorq__": ["date"], "value": 1}',
        b'{"__actorq__": "date"}',
        b'{"__actorq__": "date", "value": 5}',
        b'{"__actorq__": "set", "value": [[]]}',
        b'{"__actorq__": "bytes", "value": "a"}',
    ],
    ids=lambda data: repr(data[:32]),
)
def test_bytes_that_are_no_payload_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a json payload"):
        JSON.loads(data)
