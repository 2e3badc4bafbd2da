"""The log lines about tasks, in the words that users of Celery know and filter for.

Each record has a dict `data` with the parts. Lines below WARNING are off by default; who writes them checks the level
once for many calls.
"""

from __future__ import annotations

import logging
from typing import Any

from actorq.errors import Ignore, Retry, TaskPredicate
from actorq.wire.payload import loads
from actorq.wire.records import Call, CallSpec

logger = logging.getLogger("actorq.worker")

RECEIVED = "Task %(name)s[%(id)s] received"
SUCCEEDED = "Task %(name)s[%(id)s] succeeded in %(runtime)ss: %(return_value)s"
RAISED = "Task %(name)s[%(id)s] raised unexpected: %(exc)s\n%(traceback)s"
EXPECTED = "Task %(name)s[%(id)s] raised expected: %(exc)s"
RETRIED = "Task %(name)s[%(id)s] retry: %(exc)s"
IGNORED = "Task %(name)s[%(id)s] ignored: %(exc)s"
REJECTED = "Task %(name)s[%(id)s] %(exc)s"
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


def succeeded(spec: CallSpec, call: Call, runtime_s: float, value: Any, longest: int | None = None) -> None:
    """A call returned. At most `longest` characters of the value are shown."""
    text = HIDDEN if spec.sensitive else short_repr(value, LONGEST_REPR if longest is None else longest)
    _log(logging.INFO, SUCCEEDED, spec, call, runtime=round(runtime_s, 6), return_value=text)


def raised(spec: CallSpec, call: Call, error: BaseException, traceback: str) -> None:
    """A call failed."""
    if spec.sensitive:
        _log(logging.ERROR, RAISED, spec, call, exc=f"{type(error).__name__}({HIDDEN})", traceback=ONLY_FOR_ITS_CALLER)
    else:
        _log(logging.ERROR, RAISED, spec, call, exc=short_repr(error), traceback=traceback)


def expected(spec: CallSpec, call: Call, error: BaseException) -> None:
    """A call failed as its task says that it may."""
    _log(logging.INFO, EXPECTED, spec, call, exc=short_repr(error))


def said(spec: CallSpec, call: Call, predicate: TaskPredicate, traceback: str) -> None:
    """A task has said how its call goes on."""
    form = RETRIED if isinstance(predicate, Retry) else IGNORED if isinstance(predicate, Ignore) else REJECTED
    level = logging.WARNING if form is REJECTED else logging.INFO
    _log(level, form, spec, call, exc=predicate, traceback=traceback)


def ended(spec: CallSpec, call: Call, error: BaseException, traceback: str) -> None:
    """A call was made to end: by its hard time limit, a revocation, or the end of the worker."""
    _log(logging.ERROR, ENDED, spec, call, exc=error, traceback=ONLY_FOR_ITS_CALLER if spec.sensitive else traceback)


def soft_limit(spec: CallSpec, call: Call) -> None:
    """A call is told that its soft time limit is over."""
    _log(logging.WARNING, SOFT_LIMIT, spec, call, limit=f"{spec.soft_time_limit_s:g}")


def discarded(spec: CallSpec, call: Call) -> None:
    """A call expired before it started."""
    _log(logging.INFO, DISCARDED, spec, call)


def short_repr(value: object, longest: int = LONGEST_REPR) -> str:
    """``repr(value)``, at most `longest` characters of it, also where that fails."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"
    return text if len(text) <= longest else text[: max(longest - 1, 0)] + "…"


def _log(level: int, form: str, spec: CallSpec, call: Call, **parts: Any) -> None:
    if logger.isEnabledFor(level):
        data = {"name": _name_of(spec, call), "id": call.id, **parts}
        logger.log(level, form, data, extra={"data": data})


def _name_of(spec: CallSpec, call: Call) -> str:
    """The name that a call is shown under: its task's, unless it brings one."""
    if call.extra is None or not call.extra.request:
        return spec.task
    try:
        return str(loads(call.extra.request).get("shadow") or spec.task)
    except Exception:  # A client may send anything here.
        return spec.task
