"""What workers announce of the calls that they run, as signals, where somebody is connected to them.

A call of which somebody wants to hear takes the way of tasks with hooks (see `actorq.worker.jobs`); others pay nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from actorq import signals, states
from actorq.errors import Ignore, NotRegistered, Reject, Retry
from actorq.wire.einfo import ExceptionInfo
from actorq.wire.records import OUTCOME_STATES, REVOKED, Call, CallSpec
from actorq.worker.endings import Ending

if TYPE_CHECKING:
    from actorq.worker.jobs import TraceLike

MakeTrace = Callable[[Call, Any, Any], "TraceLike"]


class ByValue:
    """Stands for the task where a function came by value and is none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<function {self.name} by value>"


class CallRequest:
    """What is known of a call that does not run (yet)."""

    def __init__(self, call: Call, spec: CallSpec, node: str = "") -> None:
        self.id = self.task_id = call.id
        self.name = self.task = self.task_name = spec.task
        self.hostname = node
        self.delivery_info = {
            "exchange": "",
            "routing_key": spec.queue,
            "priority": spec.priority,
            "redelivered": call.attempt > 1,
        }

    def __repr__(self) -> str:
        return f"<{self.name}[{self.id}]>"


class Announced:
    """One call, from its start to its outcome, around what its task wants to do then itself."""

    __slots__ = ("_call", "_inner", "_spec", "_started_s", "_task", "args", "kwargs")

    def __init__(self, task: Any, spec: CallSpec, inner: MakeTrace | None, call: Call, args: Any, kwargs: Any) -> None:
        self._task, self._spec, self._call = task, spec, call
        self._inner = None if inner is None else inner(call, args, kwargs)
        self._started_s = 0.0
        self.args, self.kwargs = args, kwargs

    def start(self) -> None:
        """Before the task runs."""
        self._started_s = perf_counter()
        signals.task_prerun.send(self._task, task_id=self._call.id, task=self._task, args=self.args, kwargs=self.kwargs)
        if self._inner is not None:
            self._inner.start()

    def succeeded(self, value: Any) -> None:
        """It has returned, and its value can be sent."""
        runtime_s = perf_counter() - self._started_s
        if self._inner is not None:
            self._inner.succeeded(value)
        signals.task_success.send(self._task, result=value, runtime=runtime_s)
        self._postrun(value, states.SUCCESS)

    def failed(self, error: BaseException) -> BaseException:
        """It has raised `error`. Returns what its call ends with."""
        if self._inner is not None:
            error = self._inner.failed(error)
        self._postrun(error, self._tell(error))
        return error

    def ended(self, ending: Ending) -> None:
        """It was made to end, and has not failed."""
        if ending.state == REVOKED:
            signals.task_revoked.send(self._task, request=self._request, terminated=True, signum=None, expired=False)
        self._postrun(ending.error, None if ending.state is None else OUTCOME_STATES[ending.state])

    def _tell(self, error: BaseException) -> str:
        """Returns the state of the call."""
        if isinstance(error, Retry):
            einfo = ExceptionInfo(error.exc or error)
            signals.task_retry.send(self._task, request=self._request, reason=error, einfo=einfo)
            return states.RETRY
        if isinstance(error, Ignore):
            return states.IGNORED
        if isinstance(error, Reject):
            signals.task_rejected.send(self._task, message=self._request, exc=error)
            return states.REJECTED
        signals.task_failure.send(
            self._task,
            task_id=self._call.id,
            exception=error,
            args=self.args,
            kwargs=self.kwargs,
            traceback=error.__traceback__,
            einfo=ExceptionInfo(error),
        )
        return states.FAILURE

    @property
    def _request(self) -> Any:
        return getattr(self._task, "request", None) or CallRequest(self._call, self._spec)

    def _postrun(self, retval: Any, state: str | None) -> None:
        signals.task_postrun.send(
            self._task,
            task_id=self._call.id,
            task=self._task,
            args=self.args,
            kwargs=self.kwargs,
            retval=retval,
            state=state,
        )


def announced(task: Any, spec: CallSpec, inner: MakeTrace | None) -> MakeTrace | None:
    """What goes on around the calls of a task: `inner`, and the signals, if anybody is connected to them."""
    if not signals.running.heard:
        return inner
    return functools.partial(Announced, task or ByValue(spec.task), spec, inner)


def not_begun(task: Any, spec: CallSpec, call: Call, error: Exception) -> None:
    """A call could not be begun: its task is not here, or its arguments cannot be read."""
    request = CallRequest(call, spec)
    if isinstance(error, NotRegistered):
        signals.task_unknown.send(spec.task, message=request, exc=error, name=spec.task, id=call.id)
        return
    signals.task_internal_error.send(
        task or ByValue(spec.task),
        task_id=call.id,
        args=None,
        kwargs=None,
        request=request,
        exception=error,
        traceback=error.__traceback__,
        einfo=ExceptionInfo(error),
    )


def expired(spec: CallSpec, call: Call) -> None:
    """A call came too late to be started."""
    if signals.running.heard:
        request = CallRequest(call, spec)
        signals.task_revoked.send(spec.task, request=request, terminated=False, signum=None, expired=True)
