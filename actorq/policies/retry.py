"""For how long a publisher keeps trying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actorq.errors import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Celery's `retry_policy`: the four keys, in seconds where they are times.

    Our session reconnects by itself, so what is left of a policy is the time it grants.
    """

    max_retries: int | None = 3
    interval_start: float = 0.0
    interval_step: float = 0.2
    interval_max: float = 1.0

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> RetryPolicy:
        """From a mapping. Raises ImproperlyConfigured for a key that is none of the four."""
        unknown = set(policy) - set(cls.__slots__)
        if unknown:
            raise ImproperlyConfigured(
                f"retry_policy does not know {', '.join(sorted(unknown))}: its keys are {', '.join(cls.__slots__)}"
            )
        return cls(**policy)

    def budget_s(self) -> float | None:
        """All intervals together; None: for ever."""
        if self.max_retries is None:
            return None
        steps = range(self.max_retries)
        return sum(min(self.interval_start + self.interval_step * step, self.interval_max) for step in steps)
