"""Whatever is encoded comes back the same; whatever is not a payload is a DecodeError."""

from __future__ import annotations

import string
from datetime import timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorq.errors import DecodeError, RemoteError
from actorq.wire.payload import Serializers, decode_call, decode_failure, dumps, encode_call, encode_failure, loads
from actorq.wire.payload.json_codec import TAG
from tests.unit.wire.payload.sameness import same

offsets = st.integers(-86_399, 86_399).map(lambda offset_s: timezone(timedelta(seconds=offset_s)))
zones = (
    st.none()
    | offsets
    | st.just(timezone.utc)
    | st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kolkata"]).map(ZoneInfo)
)
folds = st.integers(0, 1)
times = st.builds(lambda value, fold, zone: value.replace(fold=fold, tzinfo=zone), st.times(), folds, zones)
datetimes = st.builds(lambda value, fold, zone: value.replace(fold=fold, tzinfo=zone), st.datetimes(), folds, zones)
texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.dates() | times | datetimes | st.timedeltas()

plain = st.none() | st.booleans() | st.integers() | st.floats() | texts
decimals = st.decimals().filter(lambda value: not value.is_snan())  # These have no hash.
hashables: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        plain
        | st.integers(-(2**200), 2**200)
        | st.complex_numbers()
        | st.binary()
        | moments
        | decimals
        | st.uuids()
        | st.builds(range, st.integers(), st.integers(), st.integers(1, 2**70))
        | st.lists(hashables, max_size=3).map(tuple)
        | st.frozensets(hashables, max_size=3)
    )
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.sets(hashables, max_size=4)
    ),
    max_leaves=20,
)
json_hashables: st.SearchStrategy[Any] = st.deferred(
    lambda: plain | st.binary() | moments | decimals | st.uuids() | st.frozensets(json_hashables, max_size=3)
)
json_values = st.recursive(
    json_hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts.filter(lambda key: key != TAG), inner, max_size=4)
        | st.sets(json_hashables, max_size=4)
    ),
    max_leaves=20,
)
names = st.text(string.ascii_lowercase, min_size=1, max_size=5)

serializers = Serializers.default()
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(values)
def test_msgpack_brings_every_value_back_as_it_was(value: Any) -> None:
    assert same(loads(dumps(value)), value)


@unhurried
@given(json_values)
def test_json_brings_every_value_back_as_it_was(value: Any) -> None:
    assert same(serializers.loads("json", serializers.dumps("json", value)), value)


@unhurried
@given(st.lists(values, max_size=3), st.dictionaries(names, values, max_size=3))
def test_a_call_comes_back_with_its_arguments(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert same(decode_call(encode_call(tuple(args), kwargs)), (args, kwargs))


@unhurried
@given(st.binary(max_size=200))
def test_random_bytes_are_a_value_or_a_decode_error(data: bytes) -> None:
    for open_payload in (loads, decode_call, decode_failure, lambda body: serializers.loads("json", body)):
        try:
            open_payload(data)
        except DecodeError:
            continue


@unhurried
@given(values, st.data())
def test_a_payload_with_a_changed_byte_is_a_value_or_a_decode_error(value: Any, data: st.DataObject) -> None:
    payload = bytearray(dumps(value))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        loads(bytes(payload))
    except DecodeError:
        pass


@unhurried
@given(values, st.data())
def test_a_payload_that_was_cut_off_is_a_decode_error(value: Any, data: st.DataObject) -> None:
    payload = dumps(value)
    with pytest.raises(DecodeError):
        loads(payload[: data.draw(st.integers(0, len(payload) - 1))])


@unhurried
@given(st.sampled_from([ValueError, KeyError, RemoteError]), st.lists(values, min_size=2, max_size=3), st.text())
def test_an_exception_comes_back_with_its_arguments(cls: type[Exception], args: list[Any], text: str) -> None:
    exc = cls(*args) if cls is not RemoteError else cls(text, text, args)
    back = decode_failure(encode_failure(exc, text))
    assert type(back) is cls
    if cls is not RemoteError:
        assert same(back.args, tuple(args))


@unhurried
@given(st.lists(st.binary(max_size=20) | values, max_size=8))
def test_a_record_of_anything_is_a_failure_or_a_decode_error(record: list[Any]) -> None:
    try:
        assert isinstance(decode_failure(dumps(record)), Exception)
    except DecodeError:
        pass
