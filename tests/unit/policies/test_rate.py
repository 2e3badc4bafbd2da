"""Rates, and the bucket that keeps to them."""

from __future__ import annotations

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


@given(RATES, st.integers(1, 3), st.lists(st.floats(0, 0.7), min_size=1, max_size=60), st.data())
def test_no_period_has_more_starts_than_the_rate_allows_whatever_the_way_to_the_worker_takes(
    rate: Rate, parts: int, pauses_s: list[float], data: st.DataObject
) -> None:
    """Of each bucket all is taken that it gives, whenever it is asked; the starts come up to JITTER_S later."""
    step_s, full_s, now_s = rates.step_s(rate, parts), 0.0, 5.0
    starts: list[float] = []
    for pause_s in pauses_s:
        now_s += pause_s
        count = rates.room(full_s, now_s, step_s)
        full_s = rates.take(full_s, now_s, step_s, count)
        late_s = data.draw(st.sampled_from([0.0, rates.JITTER_S]))
        starts += [now_s + late_s] * count
    starts.sort()
    most = max(sum(start <= other < start + rate.period_s for other in starts) for start in starts) if starts else 0
    assert most <= math.ceil(rate.starts / parts)


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
