"""How long to wait before a task is retried."""

from __future__ import annotations

from collections.abc import Callable

Uniform = Callable[[float, float], float]
"""A number between two others, at random."""
LARGEST_EXPONENT = 64
"""Beyond it a delay is at its maximum, whatever its factor: `2**retries` need not be worked out."""


def backoff_s(factor_s: float, retries: int, maximum_s: float, uniform: Uniform | None) -> float:
    """Seconds to wait before retry number `retries`, counted from 0: ``factor * 2**retries``, at most `maximum_s`.

    With `uniform` it is anything between 0 and that, so that calls that have failed together do not come together
    again (full jitter).
    """
    delay_s = min(factor_s * 2.0 ** min(max(retries, 0), LARGEST_EXPONENT), maximum_s)
    return max(uniform(0.0, delay_s) if uniform is not None else delay_s, 0.0)
