"""The registered function: calling it runs it here, `delay` runs it on a worker."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, ParamSpec, TypeVar

from actorq import states
from actorq.errors import Ignore, ImproperlyConfigured, MaxRetriesExceededError, OperationalError, Retry
from actorq.tasks import notes
from actorq.tasks.arguments import accept_all, argument_check
from actorq.tasks.attributes import ATTRIBUTES, check_attributes, spec_options
from actorq.tasks.broadcast import BroadcastResult
from actorq.tasks.canvas.signature import Signature
from actorq.tasks.keys import Key, check_keys, keys_of
from actorq.tasks.options import SPEC_OPTIONS, check_options, make_spec, split_options
from actorq.tasks.prepared import Prepared
from actorq.tasks.replacing import Compiles, replaced_by
from actorq.tasks.request import Request, RunningRequest, enter, entered, is_entering, request_of
from actorq.tasks.result import AsyncResult
from actorq.tasks.retrying import check_retries_left, retry_of
from actorq.tasks.trace import HOOKS, Trace
from actorq.wire.einfo import ExceptionInfo
from actorq.wire.records import Call, CallSpec
from actorq.worker.inputs import with_inputs

if TYPE_CHECKING:
    from actorq.tasks.canvas.maps import chunks
    from actorq.tasks.eager import EagerResult
    from actorq.tasks.protocol import Mesh

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound="Task[Any, Any]")


class Task(Generic[P, R]):
    """A function with a name, and how it is called by default. Made by ``@app.task``; or a subclass with a `run` method,
    given to `app.register_task`.

    There is one instance for each task in a process, so what is kept on `self` stays from call to call. The attributes
    below, and every option of a call that all calls of the task are to have (`queue`, `priority`, `time_limit`, …), may
    be set in a subclass, or given to ``@app.task``, which goes before.
    """

    MaxRetriesExceededError: ClassVar = MaxRetriesExceededError
    OperationalError: ClassVar = OperationalError

    name: str = ""
    max_retries: int | None = 3
    """How often a call may be retried; None: without end."""
    default_retry_delay: float = 180
    """Seconds before a retry that says nothing else."""
    autoretry_for: tuple[type[BaseException], ...] = ()
    """Exceptions for which a call is retried by itself."""
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    """And those among them for which it is not."""
    retry_kwargs: Mapping[str, Any] = {}
    """What `retry` is given then."""
    retry_backoff: bool | float = False
    """Wait this many seconds (True: 1) before the first such retry, and twice as long before each next one."""
    retry_backoff_max: float = 600
    retry_jitter: bool = True
    """Wait a random part of that time, so that calls that failed together do not come together again."""
    throws: tuple[type[BaseException], ...] = ()
    """Exceptions that are to be expected: logged as information, without a traceback."""
    typing: bool = True
    """Whether arguments are compared with the function's signature at the call."""
    track_started: bool | None = None
    """Whether a call that runs for longer than a heartbeat tells its client that it has started, and where. None: as the
    setting `task_track_started` says."""
    trail: bool = True
    send_events: bool = True
    store_errors_even_if_ignored: bool = False
    reject_on_worker_lost: bool | None = None
    """False: a call whose worker dies has failed. Otherwise it is delivered again, `max_deliveries` times at most."""
    retry_on_worker_lost: bool = False
    """It is delivered again as often as it may be retried."""
    resultrepr_maxsize: int = 1024
    """Characters of a result in the log."""
    expires: float | datetime | None = None
    """Latest start of a call that says nothing else: seconds after it was made, or a time."""
    rate_limit: str | float | None = None
    """How many calls may start: a number per second, "10/s", "10/m" or "10/h"; on all workers together. A little less than
    that start, so that no second (minute, hour) has more. Where there are several coordinators each keeps to its share of
    it: of 10/s, each of two to 5/s, whatever the other one does; a limit below their number does not hold."""
    max_concurrency: int | None = None
    """How many may run at once, on all workers together. Several coordinators share it, but each may have one."""
    scope: str | None = None
    """"worker": both limits are for each worker node; that is, there may be as many times more as there are nodes."""
    key: Key = None
    """Calls with the same key share `rate_limit` and `max_concurrency`: a text such as ``"{args[0]}"``, or a function of
    the arguments; None: all of them do."""
    fair_key: Key = None
    """Within a queue and a priority, calls with different keys take turns."""
    unique: bool | Key = None
    """While there is a call, another one is not taken: True: of the task; "args": with the same arguments; or as `key`."""
    unique_until: str | float | None = None
    """"done" (None), "start", or seconds after which it is not waited for any more."""
    unique_conflict: str | None = None
    """"existing" (None): the other call's AsyncResult is returned; "raise": AlreadyQueued is raised."""
    pydantic: bool = False
    """Validate arguments by their annotations, and dump what is returned. Needs ``pip install actorq[pydantic]``."""
    pydantic_strict: bool | None = None
    pydantic_context: Mapping[str, Any] | None = None
    pydantic_dump_kwargs: Mapping[str, Any] | None = None

    app: Any = None
    """The application that it is registered in."""
    bind: bool = False
    """Whether the function gets the task as its first argument."""
    fn: Callable[..., Any]
    route: Any = None
    """Kept by the mesh: how calls with these options are sent."""
    options: dict[str, Any]
    """Those of its calls' specs."""
    _given: Mapping[str, Any] = {}
    """What its definition says."""
    _amended: frozenset[str] = frozenset()
    """Names of what was said of it since."""

    # -- definition ----------------------------------------------------------------------------------------------

    def register_in(
        self, mesh: Mesh, name: str, fn: Callable[..., Any] | None, bind: bool, options: Mapping[str, Any]
    ) -> None:
        """Make it a task of an application: one that runs `fn`, or its own method `run`. Raises ImproperlyConfigured."""
        own = [each for each in dir(type(self)) if not each.startswith("_")]
        check_options(options, {*SPEC_OPTIONS, *ATTRIBUTES, *own})
        check_attributes(name, options)
        check_keys({**keys_of(self), **options})
        self.name, self.bind, self.app = name, bind, mesh
        self._given = dict(options)
        for option, value in options.items():
            setattr(self, option, value)
        self.fn = self.run if fn is None else fn
        self.route = self._spec = None
        self.options = spec_options(self, options)
        make_spec(CallSpec(name), self.options)  # Wrong options fail at the definition.
        self.read_function()
        self.on_bound(mesh)

    def read_function(self) -> None:
        """Find out what arguments its function takes, and how it is called. Again, if it was not complete the first time:
        one that refers to its own task travels with that, and either is made before the other.
        """
        fn = self.fn
        self._check = argument_check(fn, skip_first=self.bind) if self.typing else accept_all
        if getattr(fn, "__self__", None) is not self:
            functools.update_wrapper(self, fn)
            vars(self)["run"] = functools.partial(fn, self) if self.bind else fn
        else:
            vars(self).pop("run", None)
        self._mesh = self._way_to(self.app)

    def amend(self, options: Mapping[str, Any]) -> None:
        """Have `options` go before those of the definition, and before what was amended until now."""
        if not options and not self._amended:
            return
        for name in self._amended:
            vars(self).pop(name, None)
        self._amended = frozenset(options)
        fn, given = self.fn if "run" in vars(self) else None, self._given
        self.register_in(self.app, self.name, fn, self.bind, {**given, **options})
        self._given = given

    def _way_to(self, mesh: Mesh) -> Mesh:
        """How its calls are sent: through something that prepares them, only if they need it."""
        arguments = None
        if self.pydantic:
            from actorq.tasks.models import with_models

            vars(self)["run"], arguments = with_models(self, self.run)
        names_calls = type(self).shadow_name is not Task.shadow_name
        if arguments is None and self.expires is None and not names_calls and not keys_of(self):
            return mesh
        return Prepared(self, mesh, arguments)

    @property
    def check(self) -> Callable[..., None]:
        """Called with arguments, it raises TypeError if they are not the task's."""
        return self._check

    @property
    def spec(self) -> CallSpec:
        """What all its calls have in common by default."""
        if self._spec is None:
            # Only now: a function that travels by value is looked at when it is complete.
            self._spec = make_spec(CallSpec(self.name, code=self._mesh.code_of(self)), self._mesh.options_of(self))
        return self._spec

    def forget_spec(self) -> None:
        """What it was made of has changed."""
        self._spec = self.route = None

    _spec: CallSpec | None = None

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What the task does."""
        raise NotImplementedError(f"task {self.name or type(self).__name__!r} has no method run(): define one")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run here, in the caller."""
        run: Callable[P, R] = self.run
        if is_entering(self):
            return run(*args, **kwargs)
        with entered(self, Request(args=args, kwargs=kwargs)):
            return run(*args, **kwargs)

    @property
    def entry(self) -> Callable[..., Any]:
        """What a worker calls: the function itself, unless a subclass has a `__call__` of its own."""
        if type(self).__call__ is Task.__call__:
            return self.run
        return functools.partial(enter, self)

    @property
    def trace(self) -> Callable[[Call, Any, Any], Trace] | None:
        """What goes on around each call; None for a task without hooks that is not retried by itself."""
        hooked = any(getattr(type(self), hook) is not getattr(Task, hook) or hook in vars(self) for hook in HOOKS)
        return functools.partial(Trace, self) if hooked or self.autoretry_for else None

    @property
    def is_more_than_its_function(self) -> bool:
        """Whether a worker that has only the function would not run it as it is meant."""
        return bool(self.bind or type(self) is not Task or self.trace is not None or self.pydantic or self.throws)

    @property
    def request(self) -> Request:
        """The call that runs now. If it was called directly, most of it is None."""
        return request_of(self)

    def decode_arguments(self, spec: CallSpec, call: Call) -> tuple[Any, Any]:
        """The arguments of a call, with what it takes from those before it. Raises DecodeError."""
        body = call.body if isinstance(call.body, bytes) else call.body.view
        args, kwargs = self.app.serializers.decode_call(spec.content, body)
        if call.inputs is not None:
            args = with_inputs(args, call.inputs, self.app.serializers, self.run)
        return args, kwargs

    # -- what it says of its call ----------------------------------------------------------------------------------

    def retry(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | float | str | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Run this call again: the same id, one retry more. Raises Retry, or with ``throw=False`` returns it: raise or
        return that.

        args, kwargs: instead of those that it has. exc: why; raised as it is if the call was made directly, or has been
        retried `max_retries` times (then, without it, MaxRetriesExceededError). countdown (seconds) or eta: when; by
        default after `default_retry_delay`. options: queue, priority, time_limit, headers and so on, as at a call.
        """
        request = self.request
        if request.called_directly:
            raise exc or Retry("Task can be retried")
        check_retries_left(self, request, self.max_retries if max_retries is None else max_retries, exc)
        if eta is None and countdown is None:
            countdown = self.default_retry_delay
        retry = Retry(exc=exc, when=countdown if eta is None else eta, is_eager=request.is_eager)  # type: ignore[arg-type]
        if isinstance(request, RunningRequest):
            retry_of(self, request, args, kwargs, retry, {"eta": eta, "countdown": countdown}, options)
        if throw:
            raise retry
        return retry

    def replace(self, sig: Compiles) -> NoReturn:
        """Go on as another signature, group or chain, under the id of this call. Raises Ignore.

        What was to follow this call follows that. Raises ImproperlyConfigured if there is nothing to go on as.
        """
        ignore = Ignore(f"task {self.name} is replaced by {sig}")
        request = self.request
        if isinstance(request, RunningRequest):
            ignore.replacement = replaced_by(sig, request.call, request.stamps)
        self.on_replace(sig)
        raise ignore

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None, **_: Any) -> None:
        """Tell who waits for this call, and the coordinator, how far it is: `state` is RESULT's `state`, and `meta` its
        `info`, until the next such word or the end. Called directly it does nothing.

        Raises ImproperlyConfigured for the id of another call, EncodeError for a `meta` that cannot be sent.
        """
        notes.tell(self.request, task_id, state, meta)

    def progress(self, done: float, total: float, message: str = "") -> None:
        """`update_state` with the state PROGRESS: so much of so much is done."""
        self.update_state(state=states.PROGRESS, meta={"done": done, "total": total, "message": message})

    def is_cancelled(self) -> bool:
        """Whether this call is to end: it was revoked, is over its hard time limit, or its worker ends.

        Revoked without `terminate` it runs on, unless it looks here and ends. Else an exception says so as well, but not
        to code that holds it off.
        """
        request = self.request
        return isinstance(request, RunningRequest) and request.running.is_cancelled()

    # -- hooks ---------------------------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called on the worker before the task runs. What it raises is a failure of the task."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called on the worker when the task has returned, and its value can be sent."""

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo) -> None:
        """Called on the worker when the task has failed, its hard time limit included."""

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo) -> None:
        """Called on the worker when the call is to run again."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo | None
    ) -> None:
        """Called on the worker after `on_success` or `on_failure`."""

    def on_replace(self, sig: Any) -> None:
        """Called when the task is replaced by `sig`."""

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Called when the task is registered."""

    def shadow_name(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> str | None:
        """The name under which a call is shown, in logs; None: the task's own."""
        return None

    # -- calling -------------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Run on a worker. Raises TypeError for wrong arguments, EncodeError, OperationalError."""
        self._check(*args, **kwargs)
        return self._mesh.send_plain(self, args, kwargs)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """Run on a worker, with options for this call.

        countdown (seconds) or eta (datetime, aware or in the application's time zone; ISO text; or Unix time): the
        earliest start. expires (seconds, or a time as for eta): the latest start. task_id: the id; a call submitted
        twice under one id is one call. retry (bool), retry_policy (Celery's four keys), publish_timeout (seconds): for
        how long to try to reach the mesh. headers, shadow, argsrepr, kwargsrepr: for `task.request`, and for logs.
        add_to_parent: False if a call made inside of a task does not belong to that. Also every option of the task's
        calls: queue, priority, serializer, compression, sensitive, time_limit, soft_time_limit, max_deliveries,
        acks_late, ignore_result, rate_limit, max_concurrency, scope, key, fair_key, unique, unique_until,
        unique_conflict (see these attributes; raises AlreadyQueued where that is "raise"). link, link_error: a
        signature, or a list of them, that runs with its value when it has
        succeeded, or has failed. Where it goes: queue, or exchange and routing_key (and, for a headers exchange,
        headers); what is not said here comes from the task, and then from `task_routes`.
        """
        if "link" in options or "link_error" in options or self._mesh.inline.runs_here:
            return self.signature(args, kwargs).apply_async(**options)
        args, kwargs = tuple(args or ()), kwargs or {}
        self._check(*args, **kwargs)
        return self.send(args, kwargs, options)

    def send(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        spec: CallSpec | None = None,
    ) -> AsyncResult[R]:
        """As `apply_async`, without a look at the arguments. spec: in place of the task's own."""
        options = self._mesh.routed(self.name, self.options, args, kwargs, options)
        changes, others = split_options(options)
        spec = spec or self.spec
        spec = make_spec(spec, changes) if changes else spec
        return self._mesh.send(spec, args, kwargs, others)

    def prepared(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
        """What is sent for a call with these arguments and options."""
        if isinstance(self._mesh, Prepared):
            return self._mesh.prepare(args, kwargs, options)
        return args, kwargs, options

    def broadcast(self, *args: P.args, **kwargs: P.kwargs) -> BroadcastResult[R]:
        """Run once on every worker that offers the task now. Returns a result for each, by the worker's name.

        A worker that has no room at present runs it when it has; if it has not started within an hour it is REVOKED.
        """
        self._check(*args, **kwargs)
        return self._mesh.broadcast(self, args, kwargs)

    def AsyncResult(self, task_id: str) -> AsyncResult[R]:  # noqa: N802 - Celery's name
        """A handle to a call of this task, by its id."""
        result: AsyncResult[R] = self.app.AsyncResult(task_id)
        return result

    def apply(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R]:
        """Run it here, now, as a worker would, with what is linked to it. See `Signature.apply`."""
        result: EagerResult[R] = self.signature(args, kwargs).apply(**options)
        return result

    # -- signatures ----------------------------------------------------------------------------------------------

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """A signature: the call as data, for `chain`, `group` and `chord`."""
        return Signature(self, args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """A signature that takes no more arguments."""
        return Signature(self, args, kwargs, immutable=True)

    def signature(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, *more: Any, **options: Any
    ) -> Signature[R]:
        """As `s`, with the arguments in a list and a dict, and options: see `Signature`."""
        return Signature(self, args, kwargs, *more, **options)

    subtask = signature

    def map(self, it: Iterable[Any]) -> Signature[list[R]]:
        """A signature of one call that runs it for each item."""
        from actorq.tasks.canvas.maps import xmap

        return xmap(self.s(), it)

    def starmap(self, it: Iterable[Any]) -> Signature[list[R]]:
        """As `map`, for lists of arguments."""
        from actorq.tasks.canvas.maps import xstarmap

        return xstarmap(self.s(), it)

    def chunks(self, it: Iterable[Any], n: int) -> chunks:
        """A group of starmaps of `n` lists of arguments each."""
        from actorq.tasks.canvas.maps import chunks

        return chunks(self.s(), it, n)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __reduce__(self) -> Any:
        fn = None if "run" not in vars(self) else self.fn
        return (_task_of, (self.app, type(self), self.name, fn, self.bind, self._given))


def make_task(
    base: type[T], mesh: Mesh, name: str, fn: Callable[..., Any] | None, bind: bool, options: Mapping[str, Any]
) -> T:
    """The task of an application that runs `fn`, or the method `run` of its class."""
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise ImproperlyConfigured(f"task {name!r}: base is a subclass of Task, and not {base!r}")
    task = base()
    task.register_in(mesh, name, fn, bind, options)
    return task


def _task_of(
    mesh: Any, base: type[Task[Any, Any]], name: str, fn: Callable[..., Any] | None, bind: bool, options: dict[str, Any]
) -> Task[Any, Any]:
    """A task that came by value: the one registered here under its name, or a new one."""
    return mesh.tasks.get(name) or make_task(base, mesh, name, fn, bind, options)
