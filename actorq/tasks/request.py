"""What a running task knows of its own call, as `task.request`; and how that travels.

Where a call belongs to stands in its Extra. What only the task itself looks at is a msgpack map inside of that
(`Extra.request`), which is opened when the task asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from actorq import context
from actorq.errors import ImproperlyConfigured
from actorq.tasks.options import PLACE_OPTIONS, REQUEST_OPTIONS
from actorq.wire.payload import dumps, loads
from actorq.wire.records import Call, Extra

if TYPE_CHECKING:
    from actorq.tasks.task import Task

_NO_EXTRA = Extra()


class Request:
    """The call that a task is running. What is not known of it is None.

    This one is of a function that was called directly: here, by its caller.
    """

    task: str | None = None
    call: Call | None = None
    bound_to: Task[Any, Any] | None = None
    """The task that it is the request of."""
    is_entering: bool = False
    """A worker is about to come in through a `__call__` of the task's own class."""
    called_directly: bool = True
    is_eager: bool = False
    retries: int = 0
    """How often the task has asked to be retried before."""
    attempt: int = 0
    """Which delivery of the call this is, from 1."""
    redelivered: bool = False
    id: str | None = None
    args: Any = None
    kwargs: Any = None
    hostname: str | None = None
    """Name of the worker node."""
    queue: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    eta: str | None = None
    """In ISO 8601, as `expires`."""
    expires: str | None = None
    timelimit: tuple[float | None, float | None] = (None, None)
    """Hard and soft, in seconds."""
    delivery_info: Mapping[str, Any] | None = None
    headers: Mapping[str, Any] | None = None
    shadow: str | None = None
    stamps: Mapping[str, list[Any]] | None = None
    """What the call was stamped with: values by name."""
    stamped_headers: list[str] | None = None
    utc: bool = True

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        headers = vars(self).get("headers")
        return headers.get(name) if headers else None

    def get(self, name: str, default: Any = None) -> Any:
        """The field of that name, or `default` if it is not known."""
        value = getattr(self, name)
        return default if value is None else value

    def __repr__(self) -> str:
        return f"<Request {self.id or 'of a direct call'}>"


class RunningRequest(Request):
    """A call that a worker runs. The arguments are decoded when the task asks for them."""

    called_directly = False
    call: Call
    bound_to: Task[Any, Any]

    def __init__(self, running: context.Running, task: Task[Any, Any]) -> None:
        call, spec, extra = running.call, running.spec, running.call.extra or _NO_EXTRA
        fields: dict[str, Any] = loads(extra.request) if extra.request else {}
        super().__init__(**fields)
        self.running, self.call, self.bound_to = running, call, task
        self.id = call.id
        self.is_eager = getattr(running, "is_eager", False)
        self.task = task.name
        self.retries = extra.retries
        self.attempt = call.attempt
        self.redelivered = call.attempt > 1
        self.hostname = running.node
        self.queue = spec.queue
        self.root_id = extra.root or call.id
        self.parent_id = extra.parent or None
        self.group = extra.group or None
        self.group_index = extra.group_index if extra.group else None
        self.eta, self.expires = _moment(call.not_before), _moment(call.expires)
        self.timelimit = (spec.time_limit_s or None, spec.soft_time_limit_s or None)
        self.ignore_result = spec.ignore_result
        self.delivery_info = {
            "exchange": "",
            "routing_key": spec.queue,
            "priority": spec.priority,
            "redelivered": self.redelivered,
        }

    @cached_property
    def _arguments(self) -> tuple[Any, Any]:
        return self.bound_to.decode_arguments(self.running.spec, self.call)

    @cached_property
    def args(self) -> Any:
        return self._arguments[0]

    @cached_property
    def kwargs(self) -> Any:
        return self._arguments[1]


_top: ContextVar[Request | None] = ContextVar("actorq_request", default=None)
"""The request of the innermost task that runs in this context, as far as it was asked for. Each call of a pool has a
context of its own, so nothing needs to take it away again."""


def request_of(task: Task[Any, Any]) -> Request:
    """The call that `task` runs now; if it runs none, the request of a direct call."""
    top = _top.get()
    running = context.current.get()
    if (
        top is not None
        and top.bound_to is task
        and (top.called_directly or top.is_eager or top.call is _call_of(running))
    ):
        return top
    if running is None or not running.call.id or running.spec.task != task.name:
        return Request()  # Another task has called it directly.
    request = RunningRequest(running, task)
    _top.set(request)
    return request


class entered:  # noqa: N801 - used as a function.
    """For the body of a ``with``, `request` is what its task finds."""

    def __init__(self, task: Task[Any, Any], request: Request) -> None:
        request.bound_to = task
        self._request = request

    def __enter__(self) -> Request:
        self._token = _top.set(self._request)
        return self._request

    def __exit__(self, *_: object) -> None:
        _top.reset(self._token)


def enter(task: Task[Any, Any], *args: Any, **kwargs: Any) -> Any:
    """Run a task whose class has a `__call__` of its own, for a worker: not as a direct call."""
    request = request_of(task)
    request.is_entering = True
    return task(*args, **kwargs)


def is_entering(task: Task[Any, Any]) -> bool:
    """Whether a call of `task` comes from `enter`. True once."""
    top = _top.get()
    if top is None or top.bound_to is not task or not top.is_entering:
        return False
    top.is_entering = False
    return True


def _call_of(running: context.Running | None) -> Call | None:
    return None if running is None else running.call


def _moment(unix_s: float) -> str | None:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat() if unix_s else None


# -- on the way --------------------------------------------------------------------------------------------------


def child_of(running: context.Running | None) -> Extra | None:
    """Where a call belongs to that is made now: to the task that runs here, if one does."""
    call = _call_of(running)
    if call is None or not call.id:
        return None
    return Extra((call.extra or _NO_EXTRA).root or call.id, call.id)


def extra_of(options: Mapping[str, Any], inherited: Extra | None) -> Extra | None:
    """What a call with these options has beside its arguments.

    Raises EncodeError for headers, and ImproperlyConfigured for ids, that cannot be sent.
    """
    extra = inherited if options.get("add_to_parent", True) else None
    places = {PLACE_OPTIONS[name]: value for name, value in options.items() if name in PLACE_OPTIONS}
    fields = {name: value for name, value in options.items() if name in REQUEST_OPTIONS}
    stamps = {name: listed(options[name]) for name in options.get("stamped_headers") or () if name in options}
    if stamps:
        fields["stamps"] = stamps
    if fields:
        places["request"] = dumps(fields)
    if not places:
        return extra
    try:
        return _DECODER.decode(msgspec.msgpack.encode(msgspec.structs.replace(extra or _NO_EXTRA, **places)))
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"options {', '.join(sorted(options))} cannot be sent: {error}") from None


def listed(stamp: Any) -> list[Any]:
    """The values of a stamp."""
    return list(stamp) if isinstance(stamp, (list, tuple, set, frozenset)) else [stamp]


_DECODER = msgspec.msgpack.Decoder(Extra)
