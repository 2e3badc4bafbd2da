"""What the settings say of tasks that say nothing themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from actorq.policies.retry import RetryPolicy
from actorq.settings.table import Settings

PREFERRED_SERIALIZER = "msgpack"


def serializer_of(settings: Settings) -> str:
    """How arguments are sent. A mesh that accepts json only, say, is not sent anything else unless told to."""
    if settings.task_serializer is not None:
        return settings.task_serializer
    accepted = settings.accept_content
    return PREFERRED_SERIALIZER if PREFERRED_SERIALIZER in accepted or not accepted else accepted[0]


def payloads_of(settings: Settings) -> tuple[tuple[str, ...], str | None, str | None]:
    """What is opened, and how arguments and results are compressed (see `Serializers.follow`)."""
    return settings.accept_content, settings.task_compression, settings.result_compression


def default_options(settings: Settings) -> dict[str, Any]:
    """The options of a task, by the names that ``@app.task`` has for them."""
    return {
        "queue": settings.task_default_queue,
        "priority": settings.task_default_priority,
        "serializer": serializer_of(settings),
        "time_limit": settings.task_time_limit,
        "soft_time_limit": settings.task_soft_time_limit,
        "max_deliveries": settings.task_max_deliveries,
        "acks_late": settings.task_acks_late,
        "ignore_result": settings.task_ignore_result,
        "result_extended": settings.result_extended,
        "rate_limit": settings.task_default_rate_limit,
    }


def options_over_defaults(settings: Settings, own: Mapping[str, Any]) -> dict[str, Any]:
    """A task's own options, and the defaults for those that it leaves open.

    Where a task has a time limit of its own, a soft limit by default that would come after it means nothing.
    """
    options = {**default_options(settings), **own}
    hard, soft = options["time_limit"], options["soft_time_limit"]
    if "soft_time_limit" not in own and hard and soft and soft > hard:
        options["soft_time_limit"] = None
    if settings.worker_disable_rate_limits:
        options["rate_limit"] = None
    return options


def publish_timeout_s(settings: Settings, default_s: float) -> float:
    """For how long a call that says nothing else may try to reach the mesh."""
    if settings.task_publish_timeout is not None:
        return settings.task_publish_timeout
    if not settings.task_publish_retry:
        return 0.0
    if settings.task_publish_retry_policy is None:
        return default_s
    budget_s = RetryPolicy.of(settings.task_publish_retry_policy).budget_s()
    return math.inf if budget_s is None else budget_s
