"""What is said of a task beside the options of its calls: which options those are, and whether they make sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from actorq.errors import ImproperlyConfigured
from actorq.tasks.options import SPEC_OPTIONS

ATTRIBUTES = frozenset(
    {
        "max_retries",
        "default_retry_delay",
        "autoretry_for",
        "dont_autoretry_for",
        "retry_kwargs",
        "retry_backoff",
        "retry_backoff_max",
        "retry_jitter",
        "throws",
        "typing",
        "track_started",
        "trail",
        "send_events",
        "store_errors_even_if_ignored",
        "reject_on_worker_lost",
        "retry_on_worker_lost",
        "resultrepr_maxsize",
        "expires",
        "pydantic",
        "pydantic_strict",
        "pydantic_context",
        "pydantic_dump_kwargs",
    }
)
DEFINITION_OPTIONS = frozenset({"lazy", "shared"})
"""Accepted, as Celery's users give them; here a task is made at once, and belongs to its application."""
_NUMBERS = ("max_retries", "default_retry_delay", "retry_backoff_max", "resultrepr_maxsize")
_MAY_BE_NONE = ("max_retries",)
_CLASSES = ("autoretry_for", "dont_autoretry_for", "throws")
MOST_DELIVERIES = 2**31 - 1


def check_attributes(task: str, attributes: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured for a value that cannot be."""
    for name, value in attributes.items():
        if name in _NUMBERS and not _is_number(value) and not (value is None and name in _MAY_BE_NONE):
            raise ImproperlyConfigured(f"task {task!r}: {name} is a number from 0 on, and not {value!r}")
        if name in _CLASSES and not _are_exceptions(value):
            raise ImproperlyConfigured(f"task {task!r}: {name} is a tuple of exception classes, and not {value!r}")
        if name == "retry_backoff" and not isinstance(value, bool) and not _is_number(value):
            raise ImproperlyConfigured(f"task {task!r}: retry_backoff is True, or a number of seconds, not {value!r}")
        if name == "retry_kwargs" and not isinstance(value, Mapping):
            raise ImproperlyConfigured(
                f"task {task!r}: retry_kwargs is a dict of what retry() takes, and not {value!r}"
            )


def spec_options(task: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `options`, and below them the attributes of the task's class, say of the specs of its calls.

    `reject_on_worker_lost` and `retry_on_worker_lost` say how often a call is delivered again after its worker has died,
    which is `max_deliveries` here: never; as often as is the default; or `max_retries` times.
    """
    found = {name: getattr(type(task), name, None) for name in SPEC_OPTIONS}
    found.update({name: value for name, value in options.items() if name in SPEC_OPTIONS})
    if found.get("max_deliveries") is None:
        if task.retry_on_worker_lost:
            found["max_deliveries"] = MOST_DELIVERIES if task.max_retries is None else int(task.max_retries) + 1
        elif task.reject_on_worker_lost is False:
            found["max_deliveries"] = 1
    return {name: value for name, value in found.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _are_exceptions(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        isinstance(each, type) and issubclass(each, BaseException) for each in value
    )
