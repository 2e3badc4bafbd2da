"""actorq: Celery without the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorq.config import VERSION as __version__  # noqa: N811 - the name that tools look for

if TYPE_CHECKING:
    from actorq.app import ActorQ
    from actorq.shared import current_app, current_task, shared_task
    from actorq.tasks.logger import get_task_logger
    from actorq.tasks.result import AsyncResult
    from actorq.tasks.task import Task

__all__ = [
    "ActorQ",
    "AsyncResult",
    "Task",
    "__version__",
    "current_app",
    "current_task",
    "get_task_logger",
    "shared_task",
]

_HOMES = {
    "ActorQ": "actorq.app",
    "AsyncResult": "actorq.tasks.result",
    "Task": "actorq.tasks.task",
    "current_app": "actorq.shared",
    "current_task": "actorq.shared",
    "get_task_logger": "actorq.tasks.logger",
    "shared_task": "actorq.shared",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for, so that a node loads only what it runs on."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'actorq' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
