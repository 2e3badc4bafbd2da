"""How many calls may start within a time: rates as users write them, and the bucket that keeps to one.

The bucket (Celery has a token bucket, this is its mirror image, known as GCRA) knows one time only: when it would be
full again if nothing more were taken. It is a little slower than the rate, so that neither its burst nor the different
times that calls take to their workers bring more starts into any second, minute or hour than the rate allows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from actorq.errors import ImproperlyConfigured

PERIODS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
BURST_S = 0.02
"""As many calls may start at once as the rate has in this time, or one: a coordinator does not wake up for each."""
JITTER_S = 0.1
"""One call may take so much longer to its worker than another one, and they still start at the rate."""
LEAD = 0.01
"""Where workers have at most so much of a rate's starts at hand, these may be limited calls, too: nobody exceeds a rate
for which the bucket is slower by all of them."""
MANY = 2**31


class Rate(NamedTuple):
    """`starts` within any `period_s`."""

    starts: float
    period_s: float


def parse_rate(given: Any) -> Rate | None:
    """A rate as users write it: a number (per second), or ``"10/s"``, ``"10/m"``, ``"10/h"``. None and 0: no limit.

    Raises ImproperlyConfigured.
    """
    text = "0" if given is None else str(given)
    count, _, unit = text.partition("/")
    try:
        number = float(count)
        period_s = PERIODS_S[unit.strip() or "s"]
    except (ValueError, KeyError):
        number, period_s = -1.0, 1.0
    if not 0 <= number < float("inf") or isinstance(given, bool):
        raise ImproperlyConfigured(
            f"Invalid rate limit string: {given!r}. Write a number of calls per second, or '10/s', '10/m', '10/h'"
        )
    return Rate(number, period_s) if number else None


def leads(rate: Rate, parts: int, at_hand: int) -> bool:
    """Whether so many starts are next to nothing of one part of the rate."""
    return at_hand <= rate.starts / parts * LEAD


def step_s(rate: Rate, parts: int = 1, at_hand: int = 0) -> float:
    """How much a start takes out of the bucket, where `parts` buckets share the rate, and so many starts may be late."""
    count = rate.starts / parts - at_hand
    whole = float(int(count)) if count >= 1 else count  # Each keeps to it by itself, and so all together do.
    return (rate.period_s + JITTER_S + BURST_S) / whole


def room(full_s: float, now_s: float, step: float) -> int:
    """How many may start now, out of a bucket that is full again at `full_s`."""
    spare_s = now_s + BURST_S - max(full_s, now_s)
    return int(spare_s / step) + 1 if spare_s >= 0 else 0


def take(full_s: float, now_s: float, step: float, count: int) -> float:
    """When the bucket is full again, after `count` starts now."""
    return max(full_s, now_s) + step * count


def next_s(full_s: float) -> float:
    """When to look again at a bucket that has no room: in good time not to lose any of the rate, and not for each call."""
    return full_s - BURST_S / 2
