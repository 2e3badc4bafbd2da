"""actorq: Celery without the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorq.config import VERSION as __version__  # noqa: N811 - the name that tools look for

if TYPE_CHECKING:
    from actorq.app import ActorQ
    from actorq.app import ActorQ as Celery
    from actorq.policies.queues import Broadcast, Exchange, Queue
    from actorq.policies.routing import worker_direct
    from actorq.shared import current_app, current_task, shared_task
    from actorq.tasks.canvas.chains import chain
    from actorq.tasks.canvas.chords import chord
    from actorq.tasks.canvas.groups import group
    from actorq.tasks.canvas.maps import chunks, xmap, xstarmap
    from actorq.tasks.canvas.signature import Signature, maybe_signature, signature, subtask
    from actorq.tasks.logger import get_task_logger
    from actorq.tasks.result import AsyncResult
    from actorq.tasks.result_set import GroupResult, ResultSet
    from actorq.tasks.task import Task
    from actorq.utils import uuid

__all__ = [
    "ActorQ",
    "AsyncResult",
    "Broadcast",
    "Celery",
    "Exchange",
    "GroupResult",
    "Queue",
    "ResultSet",
    "Signature",
    "Task",
    "__version__",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "get_task_logger",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "worker_direct",
    "xmap",
    "xstarmap",
]

_ALIASES = {"Celery": "ActorQ"}
"""Names that programs written for Celery import, and what we call it."""
_HOMES = {
    "ActorQ": "actorq.app",
    "AsyncResult": "actorq.tasks.result",
    "Celery": "actorq.app",
    "GroupResult": "actorq.tasks.result_set",
    "ResultSet": "actorq.tasks.result_set",
    "Signature": "actorq.tasks.canvas.signature",
    "Broadcast": "actorq.policies.queues",
    "Exchange": "actorq.policies.queues",
    "Queue": "actorq.policies.queues",
    "Task": "actorq.tasks.task",
    "chain": "actorq.tasks.canvas.chains",
    "chord": "actorq.tasks.canvas.chords",
    "chunks": "actorq.tasks.canvas.maps",
    "current_app": "actorq.shared",
    "current_task": "actorq.shared",
    "get_task_logger": "actorq.tasks.logger",
    "group": "actorq.tasks.canvas.groups",
    "maybe_signature": "actorq.tasks.canvas.signature",
    "shared_task": "actorq.shared",
    "signature": "actorq.tasks.canvas.signature",
    "subtask": "actorq.tasks.canvas.signature",
    "uuid": "actorq.utils",
    "xmap": "actorq.tasks.canvas.maps",
    "xstarmap": "actorq.tasks.canvas.maps",
    "worker_direct": "actorq.policies.routing",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for, so that a node loads only what it runs on."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'actorq' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), _ALIASES.get(name, name))
