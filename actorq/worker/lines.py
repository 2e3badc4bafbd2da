"""The log lines about tasks, in the words that users of Celery know and filter for.

Each record has a dict `data` with the parts. Lines below WARNING are off by default; who writes them checks the level
once for many calls.
"""

from __future__ import annotations

import logging
from typing import Any

from actorq.wire.messages import Call, CallSpec

logger = logging.getLogger("actorq.worker")

RECEIVED = "Task %(name)s[%(id)s] received"
SUCCEEDED = "Task %(name)s[%(id)s] succeeded in %(runtime)ss: %(return_value)s"
RAISED = "Task %(name)s[%(id)s] raised unexpected: %(exc)s\n%(traceback)s"
DISCARDED = "Discarding revoked task: %(name)s[%(id)s]"
SOFT_LIMIT = "Soft time limit (%(limit)ss) exceeded for %(name)s[%(id)s]"
ENDED = "Task %(name)s[%(id)s] was ended: %(exc)s\n%(traceback)s"

LONGEST_REPR = 1024
ONLY_FOR_ITS_CALLER = "(The task is sensitive: its message and traceback are shown to its caller only.)"
HIDDEN = "<hidden>"
"""Shown instead of the arguments and the result of a task that is sensitive."""


def is_verbose() -> bool:
    """Whether calls that go well are logged."""
    return logger.isEnabledFor(logging.INFO)


def received(spec: CallSpec, call: Call) -> None:
    """A call came to this worker."""
    _log(logging.INFO, RECEIVED, spec, call)


def succeeded(spec: CallSpec, call: Call, runtime_s: float, value: Any) -> None:
    """A call returned."""
    shown = HIDDEN if spec.sensitive else short_repr(value)
    _log(logging.INFO, SUCCEEDED, spec, call, runtime=round(runtime_s, 6), return_value=shown)


def raised(spec: CallSpec, call: Call, error: BaseException, traceback: str) -> None:
    """A call failed."""
    if spec.sensitive:
        _log(logging.ERROR, RAISED, spec, call, exc=f"{type(error).__name__}({HIDDEN})", traceback=ONLY_FOR_ITS_CALLER)
    else:
        _log(logging.ERROR, RAISED, spec, call, exc=short_repr(error), traceback=traceback)


def ended(spec: CallSpec, call: Call, error: BaseException, traceback: str) -> None:
    """A call was made to end: by its hard time limit, a revocation, or the end of the worker."""
    _log(logging.ERROR, ENDED, spec, call, exc=error, traceback=ONLY_FOR_ITS_CALLER if spec.sensitive else traceback)


def soft_limit(spec: CallSpec, call: Call) -> None:
    """A call is told that its soft time limit is over."""
    _log(logging.WARNING, SOFT_LIMIT, spec, call, limit=f"{spec.soft_time_limit_s:g}")


def discarded(spec: CallSpec, call: Call) -> None:
    """A call expired before it started."""
    _log(logging.INFO, DISCARDED, spec, call)


def short_repr(value: object) -> str:
    """``repr(value)``, at most `LONGEST_REPR` characters of it, also where that fails."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"
    return text if len(text) <= LONGEST_REPR else text[: LONGEST_REPR - 1] + "…"


def _log(level: int, form: str, spec: CallSpec, call: Call, **parts: Any) -> None:
    if logger.isEnabledFor(level):
        data = {"name": spec.task, "id": call.id, **parts}
        logger.log(level, form, data, extra={"data": data})
