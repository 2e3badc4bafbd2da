"""What a call of a workflow takes from those before it, as its first arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from actorq.wire.frames import bytes_of
from actorq.wire.payload import DEFAULT_SERIALIZER, Serializers, decode_failure, remote_traceback
from actorq.wire.records import CAUSE, SUCCESS, VALUE, Inputs, Part


@dataclass(frozen=True, slots=True)
class FailedCall:
    """The call that an errback is called for, as its first argument (`request`)."""

    id: str


def with_inputs(args: Sequence[Any], inputs: Inputs, serializers: Serializers, fn: Callable[..., Any]) -> list[Any]:
    """The arguments of a call of `fn`, with what it takes before them. Raises DecodeError.

    An errback with one parameter gets the id of the call that has failed; one with more gets a request (which has its
    `id`), the exception and the traceback as text, before its own arguments.
    """
    if inputs.takes == CAUSE:
        return [*_cause(inputs.parts[0], fn), *args]
    values = [_value(part, serializers) for part in inputs.parts]
    return [*values, *args] if inputs.takes == VALUE else [values, *args]


def _value(part: Part, serializers: Serializers) -> Any:
    body = bytes_of(part.body)
    return serializers.loads(part.content or DEFAULT_SERIALIZER, body) if len(body) else None


def _cause(part: Part, fn: Callable[..., Any]) -> list[Any]:
    if _takes_only_an_id(fn):
        return [part.id]
    error = decode_failure(bytes_of(part.body)) if part.state != SUCCESS else None
    return [FailedCall(part.id), error, remote_traceback(error) if error is not None else None]


def _takes_only_an_id(fn: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        return False
    return sum(each.kind in positional for each in parameters) <= 1
