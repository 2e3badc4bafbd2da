"""JSON keeps Python's types too, except those that JSON itself cannot tell apart."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from actorq.errors import DecodeError, EncodeError
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
