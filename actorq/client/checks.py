"""What users give is checked where they call: nothing that cannot be sent comes to the session's thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from actorq.client.core import Order
from actorq.config import MAX_BODY_BYTES
from actorq.errors import EncodeError, ImproperlyConfigured, MessageTooLarge, ProtocolError
from actorq.wire import frames
from actorq.wire.free_form import DEEPEST, is_too_deep
from actorq.wire.messages import Control
from actorq.wire.records import CallSpec

ID_LENGTH = 256
"""As `actorq.wire.records.Id` says."""
ENVELOPE_BYTES = 4096
"""What a message has beside a function's code at the most."""
_CONTROL = frames.kinds([Control])
_CANNOT_ENCODE = (TypeError, ValueError, OverflowError, RecursionError)


def check_id(task_id: str) -> str:
    """The id, if it can be one. Raises ImproperlyConfigured."""
    if not isinstance(task_id, str):
        raise ImproperlyConfigured(f"a task_id is a text, and not {task_id!r}")
    if len(task_id) > ID_LENGTH:
        raise ImproperlyConfigured(
            f"a task_id has at most {ID_LENGTH} characters, this one has {len(task_id):,}: {task_id[:40]!r}…"
        )
    if not task_id.isascii():
        try:
            task_id.encode()
        except UnicodeEncodeError as error:
            raise ImproperlyConfigured(f"task_id {task_id!r} cannot be written as UTF-8: {error.reason}") from None
    return task_id


def check_spec(spec: CallSpec) -> None:
    """Raise ImproperlyConfigured for names that are too long or no text."""
    try:
        msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=CallSpec)
    except _CANNOT_ENCODE as error:
        raise ImproperlyConfigured(
            f"calls of task {spec.task[:100]!r} cannot be sent with these options: {error}"
        ) from None


def check_code(name: str, blob: bytes) -> None:
    """Raise MessageTooLarge for a function that does not fit into a message."""
    limit_bytes = MAX_BODY_BYTES - ENVELOPE_BYTES
    if len(blob) > limit_bytes:
        raise MessageTooLarge(f"function {name}, with all that it refers to,", len(blob), limit_bytes)


def checked_order(
    token: int, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float
) -> Order:
    """The order as it will be sent. Raises EncodeError, MessageTooLarge, ImproperlyConfigured."""
    if not math.isfinite(timeout_s):
        raise ImproperlyConfigured(f"the timeout of a control command is a number of seconds, and not {timeout_s!r}")
    _check_depth(command, arguments)
    try:
        packed = frames.Packer().pack(Control(token, command, arguments, list(destination), timeout_s))
    except MessageTooLarge as error:
        what = f"control command {command[:100]!r} with its arguments"
        raise MessageTooLarge(what, error.size_bytes, error.limit_bytes) from None
    except _CANNOT_ENCODE as error:
        raise EncodeError(
            f"the arguments of control command {command[:100]!r} cannot be sent: {error}. Use numbers, text, bytes, "
            f"lists and dicts"
        ) from error
    try:
        sent = frames.unpack(packed, _CONTROL)
    except ProtocolError as error:
        raise ImproperlyConfigured(f"control command {command[:100]!r} cannot be sent: {error}") from None
    assert isinstance(sent, Control)
    return Order(sent.token, sent.command, sent.arguments, sent.destination, sent.timeout_s)


def _check_depth(command: str, arguments: Any) -> None:
    """Nodes decode what is nested as deep as their interpreter's stack allows: stay far from that."""
    if is_too_deep(arguments):
        raise EncodeError(
            f"the arguments of control command {command[:100]!r} are nested deeper than {DEEPEST} levels: send them flat"
        )


def check_timeout(timeout_s: float | None) -> float | None:
    """The timeout, if it is one. Raises ImproperlyConfigured; also for NaN, with which nothing would ever be over."""
    try:
        is_one = timeout_s is None or not math.isnan(timeout_s)
    except (TypeError, OverflowError):
        is_one = False
    if not is_one:
        raise ImproperlyConfigured(
            f"a timeout is a number of seconds, or None for a wait without end, and not {timeout_s!r}"
        )
    return timeout_s


def deadline(timeout_s: float | None, now_s: float) -> float | None:
    """The monotonic time when a wait is over that begins now. Raises ImproperlyConfigured."""
    return None if check_timeout(timeout_s) is None else now_s + (timeout_s or 0.0)
