"""What a task says of each call by its arguments."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actorq import ActorQ
from actorq.errors import ImproperlyConfigured
from actorq.tasks.keys import KEY_LENGTH, check_keys, check_keys_of_task, with_keys
from actorq.tasks.task import Task, make_task
from actorq.wire.records import UNTIL_START, Extra

NOW_S = 1000.0


def encode(args: Any, kwargs: Any) -> bytes:
    return msgspec.msgpack.encode([list(args), kwargs])


def made_of(*args: Any, options: dict[str, Any], extra: Extra | None = None, **kwargs: Any) -> Extra:
    made = with_keys(extra, "add", options, args, kwargs, encode, NOW_S)
    assert made is not None
    return made


def test_keys_are_texts_with_arguments_or_functions_of_them() -> None:
    options = {"key": "{args[0]}/{kwargs[user]}", "fair_key": lambda x, user: f"{user}!"}
    made = made_of(7, options=options, user="ann")
    assert (made.limit_key, made.fair_key) == ("7/ann", "ann!")


def test_what_a_call_has_besides_stays() -> None:
    assert made_of(1, options={"key": "k"}, extra=Extra(root="r")) == Extra(root="r", limit_key="k")


def test_a_call_without_keys_has_nothing() -> None:
    assert with_keys(None, "add", {"countdown": 1, "unique": False}, (), {}, encode, NOW_S) is None


@pytest.mark.parametrize(
    ("unique", "first", "second", "are_one"),
    [
        (True, ((1,), {}), ((2,), {}), True),
        ("args", ((1,), {}), ((2,), {}), False),
        ("args", ((1,), {"a": 1, "b": 2}), ((1,), {"b": 2, "a": 1}), True),
        ("{args[0]}", ((1, 2), {}), ((1, 3), {}), True),
        (lambda x: x % 2, ((1,), {}), ((3,), {}), True),
    ],
)
def test_what_makes_calls_one(unique: Any, first: Any, second: Any, are_one: bool) -> None:
    keys = [made_of(*args, options={"unique": unique}, **kwargs).unique for args, kwargs in (first, second)]
    assert keys[0] and (keys[0] == keys[1]) == are_one


def test_until_when_a_key_is_held() -> None:
    for until, as_sent in (("done", 0.0), ("start", UNTIL_START), (5, NOW_S + 5)):
        assert made_of(options={"unique": True, "unique_until": until}).unique_until_s == as_sent


def test_long_keys_travel_as_digests() -> None:
    made = made_of("x" * 10_000, options={"key": "{args[0]}", "unique": "{args[0]}"})
    assert 0 < len(made.limit_key) <= KEY_LENGTH and 0 < len(made.unique) <= KEY_LENGTH


def test_a_key_that_does_not_fit_the_arguments_is_an_error_of_the_call() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"args\[1\].*IndexError"):
        made_of(1, options={"key": "{args[1]}"})


@pytest.mark.parametrize(
    "options",
    [
        {"key": 3},
        {"fair_key": 3},
        {"unique": 3},
        {"unique_until": "later"},
        {"unique_until": -1},
        {"unique_conflict": "ignore"},
        {"scope": "host"},
        {"rate_limit": "often"},
        {"max_concurrency": -1},
        {"uniqe": True},
    ],
)
def test_wrong_options_fail_at_the_definition(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        make_task(Task, ActorQ("main"), "limited", print, False, options)


@pytest.mark.parametrize("slip", ["arg", "Args", "arguments"])
def test_a_slip_that_would_make_all_calls_one_is_refused(slip: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="unique='args'"):
        check_keys({"unique": slip})
    check_keys({"unique": "args"})
    check_keys({"unique": "cargo-7"})  # A key that this one call has.


def test_limits_are_part_of_the_spec_of_a_task() -> None:
    task = ActorQ("main").task(name="limited", rate_limit="10/m", max_concurrency=3, scope="worker")(len)
    assert (task.spec.rate, task.spec.rate_period_s, task.spec.max_concurrency) == (10, 60, 3)
    assert task.spec.limits_worker and task.spec.is_limited


@pytest.mark.parametrize("options", [{"key": "args[0]"}, {"fair_key": "tenant"}, {"unique": "kwargs"}])
def test_a_text_that_is_the_same_for_all_calls_of_a_task_is_refused(options: dict[str, str]) -> None:
    """Without its braces a field is a constant: all calls but one would be taken for the same."""
    with pytest.raises(ImproperlyConfigured, match="in braces"):
        check_keys_of_task(options)
    check_keys_of_task({"key": "{args[0]}", "fair_key": "{kwargs[tenant]}", "unique": "args"})
    check_keys(options)  # Of one call it may be what the caller has worked out.
