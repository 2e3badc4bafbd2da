"""actorq: Celery without the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorq.config import VERSION as __version__  # noqa: N811 - the name that tools look for

if TYPE_CHECKING:
    from actorq.app import ActorQ
    from actorq.policies.queues import Broadcast, Exchange, Queue
    from actorq.policies.routing import worker_direct
    from actorq.shared import current_app, current_task, shared_task
    from actorq.tasks.logger import get_task_logger
    from actorq.tasks.result import AsyncResult
    from actorq.tasks.task import Task

__all__ = [
    "ActorQ",
    "AsyncResult",
    "Broadcast",
    "Exchange",
    "Queue",
    "Task",
    "__version__",
    "current_app",
    "current_task",
    "get_task_logger",
    "shared_task",
    "worker_direct",
]

_HOMES = {
    "ActorQ": "actorq.app",
    "AsyncResult": "actorq.tasks.result",
    "Broadcast": "actorq.policies.queues",
    "Exchange": "actorq.policies.queues",
    "Queue": "actorq.policies.queues",
    "Task": "actorq.tasks.task",
    "current_app": "actorq.shared",
    "current_task": "actorq.shared",
    "get_task_logger": "actorq.tasks.logger",
    "shared_task": "actorq.shared",
    "worker_direct": "actorq.policies.routing",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for, so that a node loads only what it runs on."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'actorq' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
