"""How long to wait before a retry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorq.policies.backoff import backoff_s


def test_each_retry_waits_twice_as_long_as_the_one_before_up_to_the_maximum() -> None:
    assert [backoff_s(3, retries, 20, None) for retries in range(5)] == [3, 6, 12, 20, 20]


def test_with_jitter_it_is_anything_between_nothing_and_that() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high / 4

    assert backoff_s(1, 3, 600, uniform) == 2
    assert asked == [(0, 8)]


@given(st.floats(0, 1e6), st.integers(-5, 10**9), st.floats(0, 1e9))
def test_it_is_never_below_nothing_nor_above_the_maximum(factor_s: float, retries: int, maximum_s: float) -> None:
    assert 0 <= backoff_s(factor_s, retries, maximum_s, None) <= maximum_s
