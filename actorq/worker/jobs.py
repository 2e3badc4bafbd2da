"""Jobs: what a worker runs for the calls of one spec, from the body of a call to its outcome."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import perf_counter
from typing import Any, NoReturn, Protocol

import msgspec

from actorq import signals
from actorq.config import BLOB_BYTES, MAX_BODY_BYTES
from actorq.errors import (
    ActorqError,
    DecodeError,
    EncodeError,
    MessageTooLarge,
    NotRegistered,
    Reject,
    SoftTimeLimitExceeded,
    TaskPredicate,
)
from actorq.settings import Conf
from actorq.wire.frames import body_of
from actorq.wire.payload import (
    DEFAULT_SERIALIZER,
    PLAIN_FORMATS,
    Serializer,
    Serializers,
    code_hash,
    encode_failure,
    format_name,
    format_remote_traceback,
    load_code,
    loads,
)
from actorq.wire.records import (
    BY_VALUE,
    DEAD_LETTER,
    FAILURE,
    SUCCESS,
    Blob,
    Body,
    Call,
    CallSpec,
    Inputs,
    Outcome,
)
from actorq.worker.announcing import Announced, announced, not_begun
from actorq.worker.builtin import builtin_tasks
from actorq.worker.endings import Ending
from actorq.worker.heard import with_calls_heard
from actorq.worker.inputs import with_inputs
from actorq.worker.lines import HIDDEN

OWN_MODULES = ("actorq.worker", "actorq.tasks", "actorq.testing.pool")
"""Their frames are left out at the top of tracebacks: these begin in the user's code."""
JOBS_KEPT = 10_000
"""Jobs that are not made anew when a coordinator defines their specs again."""
FALLBACK_SERIALIZER = "cloudpickle"
"""Carries the results of functions by value that the chosen serializer cannot carry."""

NOT_TAKEN = (DecodeError, NotRegistered)
"""Calls that end with these before their function runs could not be run here: they are kept among the dead letters."""

Note = Callable[[Any], None]
_COROUTINE_FUNCTION = 0x80  # inspect.CO_COROUTINE


class TraceLike(Protocol):
    """One call of a task that has something done around it."""

    args: Any
    kwargs: Any

    def start(self) -> None:
        """Before it runs. What this raises is a failure of the task."""

    def succeeded(self, value: Any) -> None:
        """It has returned."""

    def failed(self, error: BaseException) -> BaseException:
        """It has raised. Returns what its call ends with."""


class MakesCalls(Protocol):
    """What sends the calls that tasks make."""

    def hear_of_calls(self) -> None:
        """Wait until the mesh has heard of the calls that were made here. Never raises."""


class TaskLike(Protocol):
    """A registered task, as far as a worker needs to know it."""

    @property
    def app(self) -> MakesCalls:
        """The application that it is registered in."""

    @property
    def fn(self) -> Callable[..., Any]: ...

    @property
    def run(self) -> Callable[..., Any]:
        """The function, without its first parameter where that is the task."""

    @property
    def entry(self) -> Callable[..., Any]:
        """What is called for each call: `run`, or what surrounds it."""

    @property
    def trace(self) -> Callable[[Call, Any, Any], TraceLike] | None:
        """What goes on around each call; None if that is nothing."""

    @property
    def throws(self) -> Sequence[type[BaseException]]:
        """Exceptions that are to be expected."""

    @property
    def track_started(self) -> bool | None:
        """Whether calls that run for long say that they have started; None: as the settings say."""

    @property
    def resultrepr_maxsize(self) -> int:
        """Characters of a result in the log."""


class Application(Protocol):
    """The user's application, as far as a worker needs to know it."""

    @property
    def tasks(self) -> Mapping[str, TaskLike]: ...

    @property
    def serializers(self) -> Serializers: ...

    @property
    def conf(self) -> Conf: ...


class Jobs:
    """Makes the jobs of one node."""

    def __init__(self, application: Application, by_value: bool = True) -> None:
        self.application = application
        self.by_value = by_value
        """Whether functions that come by value are run here: whoever can send them can run any code on this node."""
        self.max_body_bytes = MAX_BODY_BYTES
        self.builtin = builtin_tasks(application)
        self._made: dict[CallSpec, Job] = {}
        self._past: dict[str, int] = {}
        """Calls of jobs that were forgotten, by task."""
        signals.running.watch(self._announce)

    def _announce(self) -> None:
        """Somebody wants to hear of the calls that run, or nobody does any more."""
        for job in list(self._made.values()):
            job.choose_way()

    def limit_bodies(self, limit_bytes: int) -> None:
        """No body is to have more than that, whether compressed or when it is opened."""
        self.max_body_bytes = self.application.serializers.max_body_bytes = limit_bytes

    def offers(self) -> list[str]:
        """What this node can run."""
        return [*sorted(self.application.tasks), *self.builtin, *([BY_VALUE] if self.by_value else [])]

    def make(self, spec: CallSpec, blob: bytes | None) -> Job:
        """The job for `spec`; `blob` is its function where that travels by value. Loads nothing yet.

        Coordinators define a spec anew in each session; the job stays the same.
        """
        spec = self._with_limits(spec)
        job = self._made.get(spec)
        if job is None or job.is_broken:
            if len(self._made) >= JOBS_KEPT:
                self._forget_oldest()
            job = self._made[spec] = Job(self, spec, blob)
        return job

    def _with_limits(self, spec: CallSpec) -> CallSpec:
        """With this node's time limits, where the caller says none."""
        settings = self.application.conf.settings
        hard_s = spec.time_limit_s or settings.task_time_limit or 0.0
        soft_s = spec.soft_time_limit_s or settings.task_soft_time_limit or 0.0
        if (hard_s, soft_s) == (spec.time_limit_s, spec.soft_time_limit_s):
            return spec
        return msgspec.structs.replace(
            spec, time_limit_s=hard_s, soft_time_limit_s=0.0 if soft_s > hard_s > 0 else soft_s
        )

    def tracks_start(self, spec: CallSpec) -> bool:
        """Whether calls of `spec` that run for long say that they have started."""
        job = self._made.get(spec)
        if job is None:
            return False
        said = None if job.task is None else job.task.track_started
        return self.application.conf.settings.task_track_started if said is None else said

    def totals(self) -> dict[str, int]:
        """How many calls of each task were started. From any thread."""
        totals = dict(self._past)
        for job in list(self._made.values()):
            totals[job.spec.task] = totals.get(job.spec.task, 0) + job.runs
        return totals

    def _forget_oldest(self) -> None:
        for spec in list(self._made)[: JOBS_KEPT // 4]:
            job = self._made.pop(spec)
            task = spec.task if spec.task in self._past or len(self._past) < JOBS_KEPT else "others"
            self._past[task] = self._past.get(task, 0) + job.runs

    def arguments(self, spec: CallSpec, call: Call) -> tuple[Any, Any]:
        """A call's arguments, to be shown; from any thread. What would run code when it is opened is left out."""
        args, kwargs = self._arguments(spec, call)
        shown = shown_instead(call)
        return shown.get("argsrepr", args), shown.get("kwargsrepr", kwargs)

    def _arguments(self, spec: CallSpec, call: Call) -> tuple[Any, Any]:
        if spec.sensitive:
            return HIDDEN, HIDDEN
        body = call.body.view if isinstance(call.body, Blob) else call.body
        if spec.serializer not in PLAIN_FORMATS:
            return f"<{spec.serializer} of {len(body):,} bytes>", {}
        try:
            return self.application.serializers.decode_call(spec.content, body)
        except ActorqError as error:
            return f"<{error}>", {}


class Job:
    """Runs the calls of one spec.

    The function is looked up, or unpickled, at the first run; if that fails, each call fails with the reason.
    """

    __slots__ = (
        "_blob",
        "_content",
        "_decode",
        "_encode",
        "_fn",
        "_jobs",
        "_run_fn",
        "_trace",
        "guarded",
        "is_broken",
        "is_coroutine",
        "is_plain",
        "run",
        "run_coroutine",
        "runs",
        "spec",
        "task",
    )

    def __init__(self, jobs: Jobs, spec: CallSpec, blob: bytes | None) -> None:
        self.spec = spec
        self.guarded = spec.at_most_once
        """Starts are reported, and acknowledged, before they happen."""
        self.is_plain = False
        """Resolved, and a function that `run` runs. False for coroutine functions."""
        self.is_coroutine = False
        self.is_broken = False
        """Its function could not be found or loaded."""
        self.runs = 0
        """Calls that were started."""
        self.task: TaskLike | None = None
        """The task, once it is resolved; None for a function by value that is none."""
        self.run: Callable[..., Outcome] = self._run_plain
        """Run a call of a plain function. Raises what the function raises, EncodeError and DecodeError.

        The second argument, if there is one, is called with the value that was returned, for the log: what was encoded
        is never decoded for that.
        """
        self.run_coroutine: Callable[..., Coroutine[Any, Any, Outcome]] = self._run_coroutine
        """As `run`, of a coroutine function."""
        self._jobs = jobs
        self._blob = blob
        self._content = ""
        """Serializer of its results; empty: msgpack."""
        self._fn: Callable[..., Any] = _unresolved
        self._trace: Callable[[Call, Any, Any], TraceLike] | None = None
        self._run_fn: Callable[..., Any] = _unresolved
        self._decode: Callable[[bytes | memoryview], tuple[list[Any], dict[str, Any]]] = _unresolved
        self._encode: Callable[[Any], bytes] = _unresolved

    @property
    def expected(self) -> tuple[type[BaseException], ...]:
        """Exceptions that are no news."""
        return () if self.task is None else tuple(self.task.throws)

    @property
    def longest_repr(self) -> int | None:
        """Characters of a result in the log; None: as usual."""
        return None if self.task is None else self.task.resultrepr_maxsize

    def resolve(self) -> None:
        """Find the function and the serializer. Does nothing the second time."""
        if self.is_plain or self.is_coroutine:
            return
        try:
            self._resolve()
        except BaseException as error:  # A function by value runs code of the user's when it is loaded.
            self._decode = functools.partial(_fail, error.with_traceback(None))
            self.is_plain = self.is_broken = True
            self.choose_way()

    def choose_way(self) -> None:
        """Run calls with something around them, if there is something."""
        task = self.task
        trace = announced(task, self.spec, None if task is None or self.spec.chunked else task.trace)
        self._trace = trace
        self.run = self._run_plain if trace is None else self._run_traced
        self.run_coroutine = self._run_coroutine if trace is None else self._run_coroutine_traced

    def wrap(self, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Have ``wrapper(function)`` run in the place of the function: for tests. After `resolve`."""
        self._run_fn = wrapper(self._run_fn)

    def _run_plain(self, call: Call, note: Note | None = None) -> Outcome:
        body = call.body
        try:
            args, kwargs = self._decode(body if body.__class__ is bytes else self._checked(body))
            if call.inputs is not None:
                args = self._with_inputs(args, call.inputs)
        except NOT_TAKEN as error:
            error.has_begun = False
            raise
        value = self._run_fn(*args, **kwargs)
        if note is not None:
            note(value)
        try:
            data = self._encode(value)
            if len(data) < BLOB_BYTES:
                return Outcome(call.id, call.attempt, SUCCESS, data, self._content)
        except EncodeError as error:
            return self._outcome(call, *self._encode_otherwise(value, error))
        return self._outcome(call, data, self._content)

    async def _run_coroutine(self, call: Call, note: Note | None = None) -> Outcome:
        args, kwargs = self._arguments(call)
        value = await self._run_fn(*args, **kwargs)
        if note is not None:
            note(value)
        return self._succeeded(call, value)

    # -- with something around it ----------------------------------------------------------------------------------

    def _run_traced(self, call: Call, note: Note | None = None) -> Outcome:
        trace = self._begin(call)
        try:
            trace.start()
            value = self._run_fn(*trace.args, **trace.kwargs)
            outcome = self._succeeded(call, value)
        except BaseException as error:
            _end(trace, error)
        if note is not None:
            note(value)
        trace.succeeded(value)
        return outcome

    async def _run_coroutine_traced(self, call: Call, note: Note | None = None) -> Outcome:
        trace = self._begin(call)
        try:
            trace.start()
            value = await self._run_fn(*trace.args, **trace.kwargs)
            outcome = self._succeeded(call, value)
        except BaseException as error:
            _end(trace, error)
        if note is not None:
            note(value)
        trace.succeeded(value)
        return outcome

    def _begin(self, call: Call) -> TraceLike:
        assert self._trace is not None
        try:
            args, kwargs = self._arguments(call)
        except Exception as error:
            not_begun(self.task, self.spec, call, error)
            raise
        return self._trace(call, args, kwargs)

    def whole_body(self, call: Call) -> Body:
        """The body of a call that takes nothing from others and has the same arguments. Raises EncodeError, DecodeError."""
        if call.inputs is None:
            return call.body
        return body_of(self._jobs.application.serializers.encode_call(self.spec.content, *self._arguments(call)))

    def _arguments(self, call: Call) -> tuple[list[Any], dict[str, Any]]:
        try:
            args, kwargs = self._decode(self._checked(call.body))
            if call.inputs is not None:
                args = self._with_inputs(args, call.inputs)
        except NOT_TAKEN as error:
            error.has_begun = False
            raise
        return args, kwargs

    def _with_inputs(self, args: list[Any], inputs: Inputs) -> list[Any]:
        """The arguments, with what came from calls before this one in front of them."""
        takes = self._fn if self.task is None else self.task.run
        return with_inputs(args, inputs, self._jobs.application.serializers, takes)

    # -- the outcome ---------------------------------------------------------------------------------------------

    def _succeeded(self, call: Call, value: Any) -> Outcome:
        try:
            data, content = self._encode(value), self._content
        except EncodeError as error:
            data, content = self._encode_otherwise(value, error)
        return self._outcome(call, data, content)

    def _outcome(self, call: Call, data: bytes, content: str) -> Outcome:
        limit = self._jobs.max_body_bytes
        if len(data) > limit:
            raise MessageTooLarge(f"the result of {self.spec.task}", len(data), limit)
        return Outcome(call.id, call.attempt, SUCCESS, body_of(data), content)

    def _encode_otherwise(self, value: Any, error: EncodeError) -> tuple[bytes, str]:
        """The result of a function by value, which may be anything; or of a chunk, where some items are at fault."""
        if isinstance(value, TaskPredicate):
            raise value  # From ``return self.retry(throw=False)``.
        content, dumps = self._content, self._encode
        if self.spec.code and self.spec.serializer != FALLBACK_SERIALIZER:
            content = format_name(FALLBACK_SERIALIZER, self.spec.compression)
            dumps = self._jobs.application.serializers.get(content).dumps
            try:
                return dumps(value), content
            except EncodeError as fallback_error:
                error = fallback_error
        if not self.spec.chunked:
            raise error
        elapsed_s, results = value
        return dumps([elapsed_s, [_portable(result, dumps) for result in results]]), content

    # -- resolving -----------------------------------------------------------------------------------------------

    def _checked(self, body: Body) -> bytes | memoryview:
        data = body.view if isinstance(body, Blob) else body
        limit = self._jobs.max_body_bytes
        if len(data) > limit:
            raise MessageTooLarge(f"the arguments of {self.spec.task}", len(data), limit)
        return data

    def _resolve(self) -> None:
        spec, serializers = self.spec, self._jobs.application.serializers
        target = self._load() if spec.code else self._look_up()
        self.task = task = target if hasattr(target, "entry") else None
        self._fn = fn = target if task is None else task.entry
        form = serializers.opener(spec.content)
        is_coroutine = is_coroutine_function(fn if task is None else task.fn)
        self._decode = form.decode_call
        results = self._form_of_results(form)
        self._content = "" if results.name == DEFAULT_SERIALIZER else results.name
        self._encode = _nothing if spec.ignore_result else results.dumps
        self._run_fn = fn
        if spec.chunked:
            self._run_fn = self._await_chunk if is_coroutine else self._run_chunk
        if spec.extended and task is not None:
            self._run_fn = with_calls_heard(self._run_fn, task.app.hear_of_calls, is_coroutine)
        self.choose_way()
        self.is_coroutine, self.is_plain = is_coroutine, not is_coroutine

    def _form_of_results(self, of_arguments: Serializer) -> Serializer:
        """How results are written: as the settings say; else as the arguments, and of functions by value always so."""
        application, spec = self._jobs.application, self.spec
        serializers = application.serializers
        name = None if spec.code else application.conf.settings.result_serializer
        compression = spec.compression or serializers.result_compression
        if name is None and compression == spec.compression:
            return of_arguments
        return serializers.get(name or spec.serializer, compression)

    def _look_up(self) -> Any:
        tasks = self._jobs.application.tasks
        if self.spec.task in self._jobs.builtin:
            return self._jobs.builtin[self.spec.task].fn  # No task with hooks and so on: a function.
        if self.spec.task not in tasks:
            raise NotRegistered(self.spec.task, tasks)
        return tasks[self.spec.task]

    def _load(self) -> Any:
        if not self._jobs.by_value:
            raise DecodeError("this worker runs no functions by value: register it as a task that the worker imports")
        blob = self._blob
        if blob is None or code_hash(blob) != self.spec.code:
            raise DecodeError(f"the function {self.spec.task} did not come here whole: call it again")
        target = load_code(blob)  # This may wait, and another call of the job load it as well.
        self._blob = None
        find_task = getattr(target, "find_task", None)  # Of a program: all of its tasks came as one function.
        return target if find_task is None else find_task(self.spec.task, self.spec.code, blob)

    # -- chunks --------------------------------------------------------------------------------------------------

    def _run_chunk(self, items: list[Any]) -> list[Any]:
        """Run each item. Returns the seconds it took and, for each item, [True, value] or [False, failure]."""
        started_s, fn = perf_counter(), self._fn
        results: list[list[Any]] = []
        for item in items:
            try:
                results.append([True, fn(*item)])
            except BaseException as error:
                results.append(_failed_item(error))
        return [perf_counter() - started_s, results]

    async def _await_chunk(self, items: list[Any]) -> list[Any]:
        started_s, fn = perf_counter(), self._fn
        results: list[list[Any]] = []
        for item in items:
            try:
                results.append([True, await fn(*item)])
            except BaseException as error:
                results.append(_failed_item(error))
        return [perf_counter() - started_s, results]


def shown_instead(call: Call) -> dict[str, str]:
    """What whoever has submitted a call wants to be shown instead of its arguments: `argsrepr`, `kwargsrepr`."""
    if call.extra is None or not call.extra.request:
        return {}
    try:
        request = loads(call.extra.request)
        return {name: str(request[name]) for name in ("argsrepr", "kwargsrepr") if request.get(name) is not None}
    except (ActorqError, AttributeError):
        return {}


def traceback_text(error: BaseException) -> str:
    """The traceback, beginning in the user's code."""
    return format_remote_traceback(error, OWN_MODULES)


def failure(call: Call, error: BaseException, text: str = "", state: int = FAILURE) -> Outcome:
    """The outcome of a call that ended with `error`, of which `text` is the traceback."""
    is_to_be_kept = isinstance(error, Reject) or (isinstance(error, NOT_TAKEN) and not error.has_begun)
    content = DEAD_LETTER if is_to_be_kept else ""
    return Outcome(call.id, call.attempt, state, body_of(encode_failure(error, text)), content)


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine: an ``async def``, or a partial or an object that calls one."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(getattr(type(fn), "__call__", None), "__code__", None)  # noqa: B004
    return bool(code is not None and code.co_flags & _COROUTINE_FUNCTION)


def _end(trace: TraceLike, error: BaseException) -> NoReturn:
    """Raise what a call ends with that has raised `error`. One that is made to end has failed only by its time limit."""
    if isinstance(error, Ending):
        if error.state == FAILURE:
            trace.failed(error.error.with_traceback(error.__traceback__))
        elif isinstance(trace, Announced):
            trace.ended(error)
        raise error
    ends_with = trace.failed(error)
    if ends_with is error:
        raise error
    raise ends_with from error


def _encoded(error: BaseException) -> bytes:
    return encode_failure(error, traceback_text(error))


def _failed_item(error: BaseException) -> list[Any]:
    if isinstance(error, (Ending, SoftTimeLimitExceeded)):
        raise error  # It is meant for the whole call.
    return [False, _encoded(error)]


def _portable(result: list[Any], dumps: Callable[[Any], bytes]) -> list[Any]:
    try:
        dumps(result)
    except EncodeError as error:
        return [False, _encoded(error)]
    return result


def _fail(error: BaseException, *_: Any) -> Any:
    raise error.with_traceback(None)


def _nothing(value: Any) -> bytes:
    return b""


def _unresolved(*_: Any, **__: Any) -> Any:
    raise AssertionError("a job is resolved before it runs")
