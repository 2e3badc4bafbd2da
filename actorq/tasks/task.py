"""The registered function: calling it runs it here, `delay` runs it on a worker."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import msgspec

from actorq import context
from actorq.errors import ImproperlyConfigured, nearest
from actorq.tasks.arguments import argument_check
from actorq.tasks.result import AsyncResult
from actorq.wire.messages import CallSpec

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh

P = ParamSpec("P")
R = TypeVar("R")

SPEC_OPTIONS = {
    "queue": "queue",
    "priority": "priority",
    "serializer": "serializer",
    "time_limit": "time_limit_s",
    "soft_time_limit": "soft_time_limit_s",
    "max_deliveries": "max_deliveries",
    "acks_late": "acks_late",
    "ignore_result": "ignore_result",
}
"""Options of a task, or of one call, and the fields of CallSpec that they set."""
CALL_OPTIONS = frozenset({"countdown", "eta", "expires", "task_id", "retry", "retry_policy", "publish_timeout"})

_LAST_S = 253_402_300_799.0
"""The end of the last year that a datetime knows."""
_LONG_AGO_S = 1.0
"""In the past, and not 0, which means none."""


def make_spec(spec: CallSpec, options: Mapping[str, Any]) -> CallSpec:
    """`spec` with the options changed. Raises ImproperlyConfigured for values that cannot be."""
    changes = {SPEC_OPTIONS[name]: _seconds(value) if "limit" in name else value for name, value in options.items()}
    changed = msgspec.structs.replace(spec, **changes)
    try:
        changed = msgspec.convert(msgspec.to_builtins(changed), CallSpec)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"task {spec.task!r}: {error}. Options given: {dict(options)}") from None
    if changed.soft_time_limit_s > changed.time_limit_s > 0:
        raise ImproperlyConfigured(
            f"task {spec.task!r}: soft_time_limit ({changed.soft_time_limit_s} s) is above time_limit "
            f"({changed.time_limit_s} s)"
        )
    return changed


def _seconds(value: Any) -> float:
    limit_s = 0.0 if value is None else _finite("a time limit", value)
    if limit_s < 0:
        raise ImproperlyConfigured(f"a time limit is a number of seconds above 0, or None, and not {value!r}")
    return limit_s


def _finite(what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ImproperlyConfigured(f"{what} is a number of seconds, and not {value!r}")
    return number


def check_options(options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ImproperlyConfigured, with the nearest known name, if an option is not known."""
    for name in options:
        if name not in known:
            hint = nearest(name, known) or f"known are {', '.join(sorted(known))}"
            raise ImproperlyConfigured(f"there is no option {name!r}: {hint}")


class Request:
    """The call that a task is running now, as `task.request`. Outside of a call all is empty."""

    def __init__(self, running: context.Running | None) -> None:
        call = running.call if running is not None else None
        self.id: str | None = call.id if call is not None else None
        self.called_directly = call is None
        self.attempt = call.attempt if call is not None else 0
        """Which delivery of the call this is, from 1."""
        self.redelivered = self.attempt > 1
        self.hostname: str | None = running.node if running is not None else None
        """Name of the worker node."""
        self.queue: str | None = running.spec.queue if running is not None else None
        self.expires: float | None = (call.expires or None) if call is not None else None


class Task(Generic[P, R]):
    """A function with a name, and how it is called by default. Made by ``@app.task``."""

    def __init__(self, mesh: Mesh, fn: Callable[..., Any], name: str, bind: bool, options: Mapping[str, Any]) -> None:
        check_options(options, tuple(SPEC_OPTIONS))
        self.fn = fn
        self.name = name
        self.bind = bind
        self.options = dict(options)
        self._mesh = mesh
        self.route: Any = None
        """Kept by the mesh: how calls with these options are sent."""
        self._spec: CallSpec | None = None
        self._check = argument_check(fn, skip_first=bind)
        functools.update_wrapper(self, fn)
        make_spec(CallSpec(name), self.options)  # Wrong options fail at the definition.

    @property
    def spec(self) -> CallSpec:
        """What all its calls have in common by default."""
        if self._spec is None:
            # Only now: a function that travels by value is looked at when it is complete.
            self._spec = make_spec(CallSpec(self.name, code=self._mesh.code_of(self)), self.options)
        return self._spec

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run here, in the caller."""
        result: R = self.fn(self, *args, **kwargs) if self.bind else self.fn(*args, **kwargs)
        return result

    @property
    def request(self) -> Request:
        """The call that runs now."""
        return Request(context.current.get())

    def is_cancelled(self) -> bool:
        """Whether the call that runs now is to end: it was revoked with ``terminate``, is over its hard time limit, or
        its worker ends. An exception says so as well, but not to code that holds it off. False outside of a call.
        """
        running = context.current.get()
        return running is not None and running.is_cancelled()

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Run on a worker. Raises TypeError for wrong arguments, EncodeError, OperationalError."""
        self._check(*args, **kwargs)
        return self._mesh.send_plain(self, args, kwargs)

    def apply_async(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """Run on a worker, with options for this call.

        countdown (seconds) or eta (datetime, aware or in local time; or Unix time): the earliest start. expires
        (seconds or datetime): the latest start. task_id: the id; a call submitted twice under one id is one call.
        retry (bool), retry_policy (Celery's four keys), publish_timeout (seconds): for how long to try to reach the
        mesh. Also every option of the task but bind and name: queue, priority, serializer, time_limit,
        soft_time_limit, max_deliveries, acks_late, ignore_result.
        """
        args, kwargs = tuple(args), kwargs or {}
        self._check(*args, **kwargs)
        check_options(options, (*SPEC_OPTIONS, *CALL_OPTIONS))
        changes = {name: value for name, value in options.items() if name in SPEC_OPTIONS}
        spec = make_spec(self.spec, changes) if changes else self.spec
        return self._mesh.send(spec, args, kwargs, {k: v for k, v in options.items() if k in CALL_OPTIONS})

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __reduce__(self) -> Any:
        return (_task_of, (self._mesh, self.fn, self.name, self.bind, self.options))


def _task_of(mesh: Any, fn: Callable[..., Any], name: str, bind: bool, options: Mapping[str, Any]) -> Task[Any, Any]:
    """A task that came by value: the one registered here under its name, or a new one."""
    return mesh.tasks.get(name) or Task(mesh, fn, name, bind, options)


def start_time_s(countdown: float | None, eta: datetime | float | None, now_s: float) -> float:
    """Unix time of the earliest start; 0: at once. Raises ImproperlyConfigured."""
    if countdown is not None and eta is not None:
        raise ImproperlyConfigured("give countdown or eta, not both")
    if countdown is not None:
        seconds = _finite("countdown", countdown)
        return _in_calendar("countdown", now_s + seconds) if seconds > 0 else 0.0
    return 0.0 if eta is None else _in_calendar("eta", max(_unix_s("eta", eta), 0.0))


def expiry_time_s(expires: datetime | float | None, now_s: float) -> float:
    """Unix time of the latest start; 0: none. A number is in seconds from now. Raises ImproperlyConfigured."""
    if expires is None:
        return 0.0
    if isinstance(expires, datetime):
        return max(_unix_s("expires", expires), _LONG_AGO_S)
    return _in_calendar("expires", now_s + max(_finite("expires", expires), 0.0))


def _unix_s(what: str, moment: datetime | float) -> float:
    if not isinstance(moment, datetime):
        return _finite(what, moment)
    try:
        return moment.timestamp()
    except (OverflowError, OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{what} {moment!r} is no time that can be used: {error}") from None


def _in_calendar(what: str, unix_s: float) -> float:
    if unix_s > _LAST_S:
        raise ImproperlyConfigured(f"{what} is after the year 9999: leave it out for a call that has no such time")
    return unix_s
