"""What cannot be sent is refused where it is given, with what is wrong about it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from actorq.client.checks import check_code, check_id, check_spec, check_timeout, checked_order, deadline
from actorq.client.core import Order
from actorq.errors import ActorqError, EncodeError, ImproperlyConfigured, MessageTooLarge
from actorq.wire.records import CallSpec

MB = 1024 * 1024


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("task_id", ["x", "x" * 256, "ü" * 256, "日本"])
def test_an_id_is_a_text_of_up_to_256_characters(task_id: str) -> None:
    assert check_id(task_id) == task_id


@pytest.mark.parametrize("task_id", ["x" * 257, "ü" * 300, "\ud800", None, 7])
def test_what_can_be_no_id_is_refused(task_id: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="task_id"):
        check_id(task_id)


def test_names_that_cannot_be_sent_are_refused() -> None:
    check_spec(CallSpec("task", queue="q" * 512))
    for spec in (CallSpec("t" * 513), CallSpec("task", queue="q" * 513), CallSpec("\ud800"), CallSpec("t", "\ud800")):
        with pytest.raises(ImproperlyConfigured, match="cannot be sent"):
            check_spec(spec)


def test_a_function_that_fits_into_no_message_is_refused() -> None:
    check_code("fn", bytes(63 * MB))
    with pytest.raises(MessageTooLarge, match="function fn"):
        check_code("fn", bytes(64 * MB))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"a": object()}, EncodeError, id="an object"),
        pytest.param({"a": 2**70}, EncodeError, id="a number of more than 64 bits"),
        pytest.param({"a": "\ud800"}, EncodeError, id="half a character"),
        pytest.param({"a": nested(10_000)}, ActorqError, id="lists in lists in lists"),
        pytest.param({1: "a"}, ImproperlyConfigured, id="a name that is a number"),
        pytest.param({"a": bytes(65 * MB)}, MessageTooLarge, id="too much"),
    ],
)
def test_a_command_whose_arguments_cannot_be_sent_is_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="control command 'x'"):
        checked_order(1, "x", arguments, (), 1.0)


@pytest.mark.parametrize("timeout_s", [math.nan, math.inf])
def test_a_commands_timeout_is_a_number_of_seconds(timeout_s: float) -> None:
    with pytest.raises(ImproperlyConfigured, match="timeout"):
        checked_order(1, "x", {}, (), timeout_s)


def test_an_order_keeps_what_was_given_whatever_becomes_of_it_in_the_caller() -> None:
    ids = ["one"]
    order = checked_order(1, "revoke", {"ids": ids}, ("node",), 1.0)
    ids.append("two")
    assert order == Order(1, "revoke", {"ids": ["one"]}, ["node"], 1.0)


@pytest.mark.parametrize("timeout_s", [math.nan, "3", [3]])
def test_no_wait_lasts_for_not_a_number_of_seconds(timeout_s: Any) -> None:
    assert check_timeout(None) is None and check_timeout(2.0) == 2.0
    assert deadline(None, 1.0) is None and deadline(math.inf, 1.0) == math.inf
    with pytest.raises(ImproperlyConfigured, match="timeout"):
        deadline(timeout_s, 1.0)
