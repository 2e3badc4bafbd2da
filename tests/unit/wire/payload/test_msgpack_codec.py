"""The default serializer brings values back as they were, and refuses what it could not."""

from __future__ import annotations

import enum
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest

from actorq.errors import DecodeError, EncodeError
from actorq.wire.payload import decode_call, dumps, encode_call, loads, msgpack_codec
from actorq.wire.payload.extension_types import LEAVES, TAGS
from tests.unit.wire.payload.sameness import same

BERLIN = ZoneInfo("Europe/Berlin")

VALUES = [
    None,
    True,
    False,
    0,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    -(2**63) - 1,
    3**2000,
    -(3**2000),
    1.5,
    float("inf"),
    float("nan"),
    -0.0,
    complex(1.5, -0.0),
    "",
    "grüße\0",
    b"",
    b"\xff" * 300,
    [],
    (),
    ((), (1, (2,))),
    [(1, 2), [3]],
    {(1, (2, "a")): {"x": ()}},
    {1: "int", 1.5: "float", "1": "str", b"1": "bytes", None: "none", frozenset({1}): "frozenset"},
    set(),
    {1, "a", (2,)},
    frozenset({frozenset({(1,)})}),
    range(0),
    range(3, 2**70, 7),
    date.min,
    date.max,
    time(23, 59, 59, 999999),
    time(2, 30, fold=1),
    time(2, 30, tzinfo=timezone(timedelta(hours=-3, seconds=1))),
    time(2, 30, tzinfo=BERLIN),
    timedelta.min,
    timedelta.max,
    timedelta(days=-1, microseconds=1),
    datetime.min,
    datetime.max,
    datetime(2024, 10, 27, 2, 30, 1, 5, fold=1),
    datetime(2024, 2, 29, tzinfo=timezone.utc),
    datetime.min.replace(tzinfo=timezone.utc),
    datetime.max.replace(tzinfo=timezone.utc),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
    datetime(2024, 2, 29, fold=1, tzinfo=timezone.utc),
    datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2024, 3, 31, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2024, 2, 29, tzinfo=ZoneInfo("UTC")),
    Decimal("-0.00"),
    Decimal("1E+1000"),
    Decimal("sNaN123"),
    Decimal("-Infinity"),
    UUID(int=2**128 - 1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_comes_back_as_itself(value: Any) -> None:
    assert same(loads(dumps(value)), value)


def test_all_of_them_come_back_from_one_payload_too() -> None:
    assert same(loads(memoryview(dumps(VALUES))), VALUES)


Point = namedtuple("Point", "x y")


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Huge(int):
    pass


class FrozenClock(datetime):
    pass


@pytest.mark.parametrize(
    ("value", "arrives_as"),
    [
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (Point(1, [2]), (1, [2])),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aa"), {"a": 2}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Text("a"), "a"),
        (Huge(2**80), 2**80),
        (type("Bytes", (bytes,), {})(b"a"), b"a"),
        (type("Float", (float,), {})(1.5), 1.5),
        (type("List", (list,), {})([(1,)]), [(1,)]),
        (type("Set", (set,), {})([1]), {1}),
        (FrozenClock(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 1, 1, tzinfo=timezone.utc)),
        (FrozenClock(2024, 1, 1, tzinfo=BERLIN), datetime(2024, 1, 1, tzinfo=BERLIN)),
    ],
)
def test_a_subclass_or_buffer_arrives_as_the_type_that_it_derives_from(value: Any, arrives_as: Any) -> None:
    assert same(loads(dumps(value)), arrives_as)
    assert same(loads(dumps([{"a": value}])), [{"a": arrives_as}])


def test_the_zone_of_another_library_arrives_as_that_of_the_standard_library() -> None:
    class Pytz(tzinfo):
        zone = "Europe/Berlin"

        def utcoffset(self, when: datetime | None) -> timedelta:
            return timedelta(hours=1)

        dst = tzname = utcoffset  # type: ignore[assignment]

    sent = datetime(2024, 1, 1, tzinfo=Pytz())
    assert same(loads(dumps(sent)), datetime(2024, 1, 1, tzinfo=BERLIN))


def test_a_timestamp_of_the_msgpack_standard_is_an_aware_datetime() -> None:
    when = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
    assert dumps(when) == msgpack.packb(when, datetime=True)
    assert same(loads(msgpack.packb(when, datetime=True)), when)


def test_a_call_is_its_args_and_kwargs_and_needs_no_extension() -> None:
    body = encode_call((1, "a"), {"k": [2]})
    assert msgpack.unpackb(body) == [[1, "a"], {"k": [2]}]
    assert decode_call(body) == ([1, "a"], {"k": [2]})
    assert decode_call(memoryview(body)) == ([1, "a"], {"k": [2]})


def test_an_argument_that_is_a_tuple_stays_one() -> None:
    assert same(decode_call(encode_call(((1, 2),), {"k": (3,)})), ([(1, 2)], {"k": (3,)}))


@pytest.mark.parametrize("value", [None, [], [[], {}, 1], [{}, []], {"args": [], "kwargs": {}}, [(), {}]])
def test_a_body_of_another_form_is_no_call(value: Any) -> None:
    with pytest.raises(DecodeError, match="arguments of a call"):
        decode_call(dumps(value))


# -- hostile and broken bytes -----------------------------------------------------------------------------------


def ext(code: int, data: bytes) -> bytes:
    return b"\xc8" + len(data).to_bytes(2, "big") + code.to_bytes(1, "big", signed=True) + data


TUPLE_TAG = ext(16, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xffabc",
        b"\x01\x02",
        b"\xa1\xff",
        b"\x91" * 100_000,
        b"\x81\x01" * 100_000,
        (b"\x92" + TUPLE_TAG) * 100_000,
        b"\x81\x80\x01",
        ext(99, b"abc"),
        ext(-1, b"abc"),
        ext(-1, b"\xff" * 12),
        TUPLE_TAG,
        b"\x92\x01" + TUPLE_TAG,
        b"\x93" + TUPLE_TAG + TUPLE_TAG + b"\x01",
        b"\x81\x01" + TUPLE_TAG,
        b"\x81" + TUPLE_TAG + b"\x01",
        b"\x92" + ext(17, b"") + b"\x90",
        b"\x92" + ext(19, b"") + b"\x01",
        b"\x94" + ext(19, b"") + b"\x01\x02\x00",
        ext(2, b"2024-01-01[No/Such]"),
        ext(2, b"2024-01-01[../../../etc/passwd]"),
        ext(2, b"2024-01-01[Europe/Berlin"),
        ext(2, b"2024-01-01[]"),
        ext(2, b"\xff"),
        ext(3, b"2024-13-01"),
        ext(5, b"\x7f" + b"\xff" * 11),
        ext(6, b"1e99999999999999999999999"),
        ext(7, b"short"),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_bytes_that_are_no_payload_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a msgpack payload"):
        loads(data)


def test_a_key_that_another_program_wrote_as_an_array_is_a_tuple() -> None:
    assert loads(b"\x81\x92\x01\x02\x03") == {(1, 2): 3}


@pytest.mark.parametrize("code", [*LEAVES, *TAGS])
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 16, b"9" * 1000])
def test_an_extension_with_any_data_is_a_value_or_a_decode_error(code: int, data: bytes) -> None:
    for payload in (ext(code, data), b"\x92" + ext(code, b"") + msgpack.packb(data)):
        try:
            loads(payload)
        except DecodeError:
            continue


def nested(levels: int, wrap: Any) -> Any:
    value = wrap(1)
    for _ in range(levels - 1):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda item: [item], lambda item: (item,), lambda item: {1: item}])
def test_a_value_may_be_nested_a_thousand_levels_and_not_ten_thousand(wrap: Any) -> None:
    data = dumps(nested(500, wrap))
    assert dumps(loads(data)) == data
    with pytest.raises(EncodeError, match="cannot serialize"):
        dumps(nested(10_000, wrap))


# -- the packers --------------------------------------------------------------------------------------------------


def test_a_value_that_encodes_another_while_it_is_encoded_does_not_disturb_it() -> None:
    class Nosy(dict[str, Any]):
        def keys(self) -> Any:
            assert loads(dumps(("inner", 1))) == ("inner", 1)
            return super().keys()

        def __iter__(self) -> Any:
            assert loads(dumps(("inner", 1))) == ("inner", 1)
            return super().__iter__()

    assert loads(dumps(["before", Nosy(a=1), "after"])) == ["before", {"a": 1}, "after"]


def test_an_encoding_that_failed_leaves_nothing_behind_in_the_next() -> None:
    for _ in range(3):
        with pytest.raises(EncodeError):
            dumps(["some text before", object()])
        assert loads(dumps(["next"])) == ["next"]


def test_threads_that_encode_at_once_do_not_mix_their_values() -> None:
    wrong: list[object] = []
    switch_interval_s = sys.getswitchinterval()
    start = threading.Barrier(4)

    def encode_many(number: int) -> None:
        value = (number, [(number,)] * 20)
        start.wait(10)
        wrong.extend(1 for _ in range(300) if loads(dumps(value)) != value)

    threads = [threading.Thread(target=encode_many, args=(number,)) for number in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(switch_interval_s)
    assert not wrong


def test_a_packer_that_wrote_a_very_large_value_does_not_keep_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[Any] = []
    monkeypatch.setattr(msgpack_codec, "_free_packers", free)
    dumps([bytes(msgpack_codec.KEEP_BYTES + 1)])
    assert not free
    dumps(["small"])
    assert len(free) == 1


def test_a_megabyte_comes_back_whole_and_is_followed_by_small_values() -> None:
    for size in (1_000_000, 5_000_000, 10):
        value = bytes(range(256)) * (size // 256)
        assert decode_call(encode_call((value,), {})) == ([value], {})
