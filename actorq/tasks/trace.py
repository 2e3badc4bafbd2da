"""A call of a task that has hooks, or is retried by itself: what happens before it, and after.

A worker runs other tasks without any of this. In order: `before_start`, the task, and when its outcome is certain
`on_success`, `on_failure` or `on_retry`; then, but not before a retry, `after_return`. What a hook raises after the task
is logged, and changes nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actorq import states
from actorq.errors import Retry, TaskPredicate
from actorq.policies.backoff import Uniform
from actorq.tasks.request import request_of
from actorq.tasks.retrying import is_to_retry, retry_by_itself
from actorq.wire.einfo import ExceptionInfo
from actorq.wire.records import Call

if TYPE_CHECKING:
    from actorq.tasks.task import Task

HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")

logger = logging.getLogger("actorq.worker")


class Trace:
    """One call of a task, from its start to its outcome."""

    __slots__ = ("_id", "_task", "_uniform", "args", "kwargs")

    def __init__(
        self, task: Task[Any, Any], call: Call, args: Any, kwargs: Any, uniform: Uniform = random.uniform
    ) -> None:
        self._task, self._id = task, call.id
        self._uniform = uniform
        self.args, self.kwargs = args, kwargs

    def start(self) -> None:
        """Before the task runs. What this raises is taken for a failure of the task."""
        request = request_of(self._task)
        request.args, request.kwargs = self.args, self.kwargs
        self._task.before_start(self._id, self.args, self.kwargs)

    def succeeded(self, value: Any) -> None:
        """It has returned, and its value can be sent."""
        self._tell(self._task.on_success, value, self._id, self.args, self.kwargs)
        self._tell(self._task.after_return, states.SUCCESS, value, self._id, self.args, self.kwargs, None)

    def failed(self, error: BaseException) -> BaseException:
        """It has raised `error`. Returns what its call ends with."""
        if isinstance(error, Exception) and is_to_retry(self._task, error):
            error = retry_by_itself(self._task, error, self._uniform)
        if isinstance(error, Retry):
            cause = error.exc or error
            self._tell(self._task.on_retry, cause, self._id, self.args, self.kwargs, ExceptionInfo(cause))
        elif not isinstance(error, TaskPredicate):
            einfo = ExceptionInfo(error)
            self._tell(self._task.on_failure, error, self._id, self.args, self.kwargs, einfo)
            self._tell(self._task.after_return, states.FAILURE, error, self._id, self.args, self.kwargs, einfo)
        return error

    def _tell(self, hook: Callable[..., object], *parts: Any) -> None:
        try:
            hook(*parts)
        except Exception:
            name = getattr(hook, "__name__", "a hook")
            logger.exception("%s of task %s[%s] raised; the call's outcome stays", name, self._task.name, self._id)
