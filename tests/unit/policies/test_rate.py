"""Rates, and the bucket that keeps to them."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.errors import ImproperlyConfigured
from actorq.policies import rate as rates
from actorq.policies.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("10/s", Rate(10, 1)),
        ("10/m", Rate(10, 60)),
        ("10/h", Rate(10, 3600)),
        ("10", Rate(10, 1)),
        (10, Rate(10, 1)),
        (0.5, Rate(0.5, 1)),
        (None, None),
        (0, None),
    ],
)
def test_a_rate_is_written_as_for_celery(written: object, rate: Rate | None) -> None:
    assert parse_rate(written) == rate


@pytest.mark.parametrize("written", ["fast", "10/d", "-1/s", "nan", "inf", True, "10/s/s"])
def test_what_is_no_rate_is_named(written: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="Invalid rate limit string"):
        parse_rate(written)


RATES = st.builds(Rate, st.sampled_from([0.5, 1.0, 3.0, 10.0, 100.0, 2500.0]), st.sampled_from([1.0, 60.0]))


@given(RATES, st.integers(1, 3), st.floats(0, 3), st.lists(st.floats(0, 0.02), min_size=1, max_size=30))
def test_no_period_has_more_starts_than_the_rate_allows_whatever_the_way_to_the_worker_takes(
    rate: Rate, parts: int, turn: float, pauses_s: list[float]
) -> None:
    """All is taken that the bucket gives, whenever it is asked. What is taken before some time takes JITTER_S to its
    worker, and the rest no time at all: so the starts come as close together as they can.
    """
    step_s, full_s, now_s = rates.step_s(rate, parts), 0.0, 0.0
    turn_s = turn * rate.period_s
    starts: list[float] = []
    for pause_s in itertools.cycle([*pauses_s, 0.001]):
        count = rates.room(full_s, now_s, step_s)
        full_s = rates.take(full_s, now_s, step_s, count)
        starts += [now_s + (rates.JITTER_S if now_s < turn_s else 0.0)] * count
        now_s = max(now_s + pause_s, full_s - rates.BURST_S)
        if now_s > 3 * rate.period_s or len(starts) > 1000:
            break
    starts.sort()
    allowed = math.ceil(rate.starts / parts)
    assert all(later - first >= rate.period_s - 1e-6 for first, later in zip(starts, starts[allowed:], strict=False))


@given(RATES)
def test_next_to_nothing_of_a_rate_is_lost_to_whoever_looks_when_told(rate: Rate) -> None:
    step_s, full_s, now_s = rates.step_s(rate), 0.0, 5.0
    started = 0
    while now_s < 5.0 + 20 * rate.period_s / min(rate.starts, 20):
        count = rates.room(full_s, now_s, step_s)
        full_s = rates.take(full_s, now_s, step_s, count)
        started += count
        now_s = max(rates.next_s(full_s), now_s + 1e-4)
    assert started >= (now_s - 5.0) / step_s - 1
