"""Running a call again: when, with what, and as what that goes to the coordinator."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from actorq import ids, states
from actorq.config import NOTE_BYTES
from actorq.errors import MaxRetriesExceededError, Reject, Retry, TaskPredicate
from actorq.policies.backoff import Uniform, backoff_s
from actorq.tasks.options import expiry_time_s, make_spec, split_options, start_time_s
from actorq.tasks.request import Request, RunningRequest, extra_of
from actorq.wire.einfo import traceback_text
from actorq.wire.frames import body_of
from actorq.wire.payload import encode_failure, loads
from actorq.wire.records import Call, CallSpec, Extra, Note
from actorq.wire.replacements import rerun

if TYPE_CHECKING:
    from actorq.tasks.task import Task

RETRY_OPTIONS = frozenset({"expires", "headers", "shadow", "argsrepr", "kwargsrepr", "stamped_headers"})
"""Options of `retry()` beside those of a spec: the others belong to the call, which stays the same."""


def check_retries_left(
    task: Task[Any, Any], request: Request, max_retries: int | None, exc: BaseException | None
) -> None:
    """Raise `exc`, or MaxRetriesExceededError, if the call has been retried as often as it may."""
    if max_retries is None or request.retries < max_retries:
        return
    if exc is not None:
        raise exc
    args, kwargs = request.args, request.kwargs
    times = "once" if request.retries == 1 else f"{request.retries} times"
    text = f"can't retry {task.name}[{request.id}], which has been retried {times}: {args} {kwargs}"
    raise MaxRetriesExceededError(text, task_args=args, task_kwargs=kwargs)


def retry_of(
    task: Task[Any, Any],
    request: RunningRequest,
    args: Any,
    kwargs: Any,
    retry: Retry,
    start: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Retry:
    """`retry`, with what the call goes on as. Raises ImproperlyConfigured for wrong options, Reject if the new arguments
    cannot be sent.
    """
    changes, others = split_options(options, RETRY_OPTIONS)
    spec = make_spec(request.running.spec, changes) if changes else request.running.spec
    now_s, zone = task.app.wall_s(), task.app.conf.zone
    call = request.call
    again = Call(
        call.id,
        1,
        call.body,
        start_time_s(start["countdown"], start["eta"], now_s, zone),
        expiry_time_s(others["expires"], now_s, zone) if "expires" in others else call.expires,
        extra=_extra(call.extra or Extra(), others),
    )
    is_same = args is None and kwargs is None and spec.content == request.running.spec.content
    if not is_same or call.inputs is not None:  # What came from calls before it is among its own arguments from now on.
        again.body = _encoded(task, spec, request, args, kwargs)
    why = _failure(retry.exc or sys.exc_info()[1] or retry)
    retry.replacement = rerun(spec, again, ids.random_id(), why)
    request.running.tell(Note(call.id, call.attempt, states.RETRY, why))
    return retry


def _failure(error: BaseException) -> bytes:
    data = encode_failure(error, traceback_text(error))
    if len(data) <= NOTE_BYTES:
        return data
    return encode_failure(Exception(str(error)[: NOTE_BYTES // 8]), "")


def _extra(extra: Extra, options: Mapping[str, Any]) -> Extra:
    fields = loads(extra.request) if extra.request else {}
    named = {name: value for name, value in options.items() if name != "expires"}
    changed = extra_of({**fields, **fields.get("stamps", {}), **named}, extra) if named else extra
    assert changed is not None
    return msgspec.structs.replace(changed, retries=extra.retries + 1)


def _encoded(task: Task[Any, Any], spec: CallSpec, request: Request, args: Any, kwargs: Any) -> Any:
    args = request.args if args is None else args
    kwargs = request.kwargs if kwargs is None else kwargs
    try:
        return body_of(task.app.serializers.encode_call(spec.content, tuple(args), dict(kwargs)))
    except Exception as error:
        raise Reject(error, requeue=False) from error


# -- by itself -----------------------------------------------------------------------------------------------------


def is_to_retry(task: Task[Any, Any], error: BaseException) -> bool:
    """Whether the task's options say that a call which has raised this is to run again."""
    if isinstance(error, TaskPredicate) or not isinstance(error, tuple(task.autoretry_for)):
        return False
    return not isinstance(error, tuple(task.dont_autoretry_for))


def retry_by_itself(task: Task[Any, Any], error: Exception, uniform: Uniform) -> BaseException:
    """What a call ends with that has raised `error`, for which its task is retried: Retry, or that it was too often."""
    arguments = dict(task.retry_kwargs)
    if task.retry_backoff:
        factor_s = 1.0 if task.retry_backoff is True else float(task.retry_backoff)
        jitter = uniform if task.retry_jitter else None
        arguments["countdown"] = backoff_s(factor_s, task.request.retries, task.retry_backoff_max, jitter)
    try:
        return task.retry(exc=error, throw=False, **arguments)
    except Exception as raised:
        return raised
