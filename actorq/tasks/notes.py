"""What a running task says of how far it is."""

from __future__ import annotations

from typing import Any

from actorq import states
from actorq.config import NOTE_BYTES
from actorq.errors import ImproperlyConfigured, MessageTooLarge
from actorq.tasks.request import Request, RunningRequest
from actorq.wire.einfo import traceback_text
from actorq.wire.payload import dumps, encode_failure
from actorq.wire.records import Note

NAME_LENGTH = 512
"""As `actorq.wire.declarations.Name` says."""


def tell(request: Request, task_id: str | None, state: str | None, meta: Any) -> None:
    """Send a note of the call in `request`. Raises ImproperlyConfigured, EncodeError."""
    if not isinstance(request, RunningRequest):
        return
    if task_id is not None and task_id != request.id:
        raise ImproperlyConfigured(f"a task tells of its own call, {request.id}, and not of {task_id}")
    if not isinstance(state, str) or not 0 < len(state) <= NAME_LENGTH:
        raise ImproperlyConfigured(f"a state is a name such as {states.PROGRESS!r}, and not {state!r}")
    data = _encoded(state, meta)
    if len(data) > NOTE_BYTES:
        raise MessageTooLarge(f"the meta of state {state} of task {request.task}", len(data), NOTE_BYTES)
    request.running.tell(Note(request.call.id, request.attempt, state, data))


def _encoded(state: str, meta: Any) -> bytes:
    if isinstance(meta, BaseException):
        return encode_failure(meta, traceback_text(meta))
    return dumps(meta)
