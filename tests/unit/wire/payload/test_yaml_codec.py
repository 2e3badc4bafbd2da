"""YAML carries its own types, and opens nothing else."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from actorq.errors import DecodeError, EncodeError
from actorq.wire.payload import Serializers

YAML = Serializers(["yaml"]).get("yaml")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**100,
        1.5,
        "grüße: - [",
        "2024-02-29",
        b"\x00\xff",
        [1, [2]],
        {"a": {"b": []}},
        {1, 2},
        date(2024, 2, 29),
        datetime(2024, 2, 29, 1, 2, 3, 4),
        datetime(2024, 2, 29, tzinfo=timezone.utc),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_itself(value: Any) -> None:
    back = YAML.loads(memoryview(YAML.dumps({"value": value})))
    assert back == {"value": value} and type(back["value"]) is type(value)


def test_a_call_comes_back_with_its_arguments() -> None:
    assert YAML.decode_call(YAML.encode_call((1, (2,)), {"k": "v"})) == ([1, [2]], {"k": "v"})


def test_what_yaml_does_not_have_is_refused() -> None:
    with pytest.raises(EncodeError, match=r"cannot serialize args\[0\]\['price'\] as yaml"):
        YAML.encode_call(({"price": Decimal(1)},), {})


@pytest.mark.parametrize(
    "data",
    [
        b"!!python/object/apply:os.getcwd []",
        b"!!python/name:os.getcwd",
        b"!unknown 1",
        b"[",
        b"\xff\xfe\xff",
        b"[" * 100_000,
        b"2024-99-99",
    ],
    ids=lambda data: repr(data[:32]),
)
def test_bytes_that_are_no_payload_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a yaml payload"):
        YAML.loads(data)
