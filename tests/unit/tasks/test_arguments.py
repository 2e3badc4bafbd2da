"""The check of arguments says what calling the function would say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.tasks.arguments import argument_check


def plain(x: int, y: int) -> None: ...
def defaults(x: int, y: int = 2, *rest: int, key: int, other: int = 1, **more: int) -> None: ...
def positional_only(x: int, /, y: int, *, key: int = 0) -> None: ...
def nothing() -> None: ...
def anything(*args: int, **kwargs: int) -> None: ...
def only_keywords(*, key: int, other: int = 2) -> None: ...
def positional_default(x: int = 1, /, *rest: int) -> None: ...


FUNCTIONS = [plain, defaults, positional_only, nothing, anything, only_keywords, positional_default]
keywords = st.dictionaries(st.sampled_from(["x", "y", "key", "other", "unknown"]), st.integers(), max_size=4)


@given(st.sampled_from(FUNCTIONS), st.lists(st.integers(), max_size=4), keywords)
def test_it_accepts_what_the_signature_accepts(fn: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    check = argument_check(fn)
    try:
        inspect.signature(fn).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError, match=fn.__name__):
            check(*args, **kwargs)
    else:
        check(*args, **kwargs)


def test_the_task_itself_is_not_the_callers_to_give() -> None:
    def bound(self: Any, x: int) -> None: ...

    check = argument_check(bound, skip_first=True)
    check(1)
    with pytest.raises(TypeError):
        check(object(), 1)


def test_what_has_no_signature_is_not_checked() -> None:
    argument_check(type("NoSignature", (), {"__signature__": "broken", "__call__": lambda self: None})())(1, 2, 3)
