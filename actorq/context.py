"""What runs here now: the call that a worker's greenlet, thread or coroutine is busy with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from actorq.wire.records import Call, CallSpec, Note


class Running(Protocol):
    """A running call, as its worker shows it to the task and to whoever waits on its behalf."""

    call: Call
    spec: CallSpec
    node: str
    """Name of the worker node."""

    def is_cancelled(self) -> bool:
        """Whether the call was revoked, is over its hard time limit, or its worker ends. An exception that ends it may
        be on its way; code that keeps it from coming can look here. From any thread.
        """

    def pause(self) -> None:
        """The task is about to wait for other calls: its slot is free for them meanwhile."""

    def resume(self) -> None:
        """The wait is over. Returns when there is a slot again."""

    def tell(self, note: Note) -> None:
        """Pass on what the task says of itself. From any thread."""


importing: ContextVar[str] = ContextVar("actorq_importing", default="")
"""The module that a worker imports now, for the tasks in it."""
current: ContextVar[Running | None] = ContextVar("actorq_running", default=None)
"""None outside of tasks. Set for the life of a pool's greenlet or thread, whose `call` changes, or of a coroutine."""


@contextmanager
def while_importing(module: str) -> Iterator[None]:
    """A module is imported by a worker: what it would call at its top level, each worker would call."""
    token = importing.set(module)
    try:
        yield
    finally:
        importing.reset(token)
