"""Jobs: what a worker runs for the calls of one spec, from the body of a call to its outcome."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Protocol

from actorq.config import BLOB_BYTES, MAX_BODY_BYTES
from actorq.errors import (
    ActorqError,
    ContentDisallowed,
    DecodeError,
    EncodeError,
    MessageTooLarge,
    NotRegistered,
    SoftTimeLimitExceeded,
)
from actorq.wire.frames import body_of
from actorq.wire.messages import BY_VALUE, FAILURE, SUCCESS, Blob, Body, Call, CallSpec, Outcome
from actorq.wire.payload import (
    DEFAULT_SERIALIZER,
    Serializers,
    code_hash,
    encode_failure,
    format_remote_traceback,
    load_code,
)
from actorq.worker.endings import Ending
from actorq.worker.inputs import with_inputs

OWN_MODULES = ("actorq.worker", "actorq.testing.pool")
"""Their frames are left out at the top of tracebacks: these begin in the user's code."""
JOBS_KEPT = 10_000
"""Jobs that are not made anew when a coordinator defines their specs again."""
FALLBACK_SERIALIZER = "cloudpickle"
"""Carries the results of functions by value that the chosen serializer cannot carry."""

Note = Callable[[Any], None]
_COROUTINE_FUNCTION = 0x80  # inspect.CO_COROUTINE


class TaskLike(Protocol):
    """A registered task, as far as a worker needs to know it."""

    @property
    def fn(self) -> Callable[..., Any]: ...

    @property
    def bind(self) -> bool:
        """Whether the first argument of `fn` is the task itself."""


class Application(Protocol):
    """The user's application, as far as a worker needs to know it."""

    @property
    def tasks(self) -> Mapping[str, TaskLike]: ...

    @property
    def serializers(self) -> Serializers: ...


class Jobs:
    """Makes the jobs of one node."""

    def __init__(self, application: Application, by_value: bool = True) -> None:
        self.application = application
        self.by_value = by_value
        """Whether functions that come by value are run here: whoever can send them can run any code on this node."""
        self.max_body_bytes = MAX_BODY_BYTES
        self._made: dict[CallSpec, Job] = {}
        self._past: dict[str, int] = {}
        """Calls of jobs that were forgotten, by task."""

    def offers(self) -> list[str]:
        """What this node can run."""
        return [*sorted(self.application.tasks), *([BY_VALUE] if self.by_value else [])]

    def make(self, spec: CallSpec, blob: bytes | None) -> Job:
        """The job for `spec`; `blob` is its function where that travels by value. Loads nothing yet.

        Coordinators define a spec anew in each session; the job stays the same.
        """
        job = self._made.get(spec)
        if job is None or job.is_broken:
            if len(self._made) >= JOBS_KEPT:
                self._forget_oldest()
            job = self._made[spec] = Job(self, spec, blob)
        return job

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
        """A call's arguments, to be shown; from any thread. Unpickling would run code, so it is left out."""
        body = call.body.view if isinstance(call.body, Blob) else call.body
        if spec.serializer == "cloudpickle":
            return f"<pickle of {len(body):,} bytes>", {}
        try:
            return self.application.serializers.decode_call(spec.serializer, body)
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
        "guarded",
        "is_broken",
        "is_coroutine",
        "is_plain",
        "runs",
        "spec",
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
        self._jobs = jobs
        self._blob = blob
        self._content = "" if spec.serializer == DEFAULT_SERIALIZER else spec.serializer
        self._fn: Callable[..., Any] = _unresolved
        self._run_fn: Callable[..., Any] = _unresolved
        self._decode: Callable[[bytes | memoryview], tuple[list[Any], dict[str, Any]]] = _unresolved
        self._encode: Callable[[Any], bytes] = _unresolved

    def resolve(self) -> None:
        """Find the function and the serializer. Does nothing the second time."""
        if self.is_plain or self.is_coroutine:
            return
        try:
            self._resolve()
        except BaseException as error:  # A function by value runs code of the user's when it is loaded.
            self._decode = functools.partial(_fail, error.with_traceback(None))
            self.is_plain = self.is_broken = True

    def wrap(self, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Have ``wrapper(function)`` run in the place of the function: for tests. After `resolve`."""
        self._run_fn = wrapper(self._run_fn)

    def run(self, call: Call, note: Note | None = None) -> Outcome:
        """Run a call of a plain function. Raises what the function raises, EncodeError and DecodeError.

        `note` gets the value that it returned, for the log: what was encoded is never decoded for that.
        """
        body = call.body
        args, kwargs = self._decode(body if body.__class__ is bytes else self._checked(body))
        if call.inputs is not None:
            args = with_inputs(args, call.inputs, self._jobs.application.serializers, self._fn)
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

    async def run_coroutine(self, call: Call, note: Note | None = None) -> Outcome:
        """Run a call of a coroutine function. Raises, and notes, as `run` does."""
        args, kwargs = self._decode(self._checked(call.body))
        if call.inputs is not None:
            args = with_inputs(args, call.inputs, self._jobs.application.serializers, self._fn)
        value = await self._run_fn(*args, **kwargs)
        if note is not None:
            note(value)
        try:
            data, content = self._encode(value), self._content
        except EncodeError as error:
            data, content = self._encode_otherwise(value, error)
        return self._outcome(call, data, content)

    # -- the outcome ---------------------------------------------------------------------------------------------

    def _outcome(self, call: Call, data: bytes, content: str) -> Outcome:
        limit = self._jobs.max_body_bytes
        if len(data) > limit:
            raise MessageTooLarge(f"the result of {self.spec.task}", len(data), limit)
        return Outcome(call.id, call.attempt, SUCCESS, body_of(data), content)

    def _encode_otherwise(self, value: Any, error: EncodeError) -> tuple[bytes, str]:
        """The result of a function by value, which may be anything; or of a chunk, where some items are at fault."""
        content, dumps = self._content, self._encode
        if self.spec.code and content != FALLBACK_SERIALIZER:
            content = FALLBACK_SERIALIZER
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
        self._fn = fn = self._load() if spec.code else self._look_up()
        serializer = serializers.get(spec.serializer)
        if spec.serializer not in serializers.accept_content:
            raise ContentDisallowed(spec.serializer, serializers.accept_content)
        is_coroutine = is_coroutine_function(fn)
        self._decode = serializer.decode_call
        self._encode = _nothing if spec.ignore_result else serializer.dumps
        if not spec.chunked:
            self._run_fn = fn
        else:
            self._run_fn = self._await_chunk if is_coroutine else self._run_chunk
        self.is_coroutine, self.is_plain = is_coroutine, not is_coroutine

    def _look_up(self) -> Callable[..., Any]:
        tasks = self._jobs.application.tasks
        if self.spec.task not in tasks:
            raise NotRegistered(self.spec.task, tasks)
        return function_of(tasks[self.spec.task])

    def _load(self) -> Callable[..., Any]:
        if not self._jobs.by_value:
            raise DecodeError("this worker runs no functions by value: register it as a task that the worker imports")
        blob = self._blob
        if blob is None or code_hash(blob) != self.spec.code:
            raise DecodeError(f"the function {self.spec.task} did not come here whole: call it again")
        fn = function_of(load_code(blob))  # This may wait, and another call of the job load it as well.
        self._blob = None
        return fn

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


def traceback_text(error: BaseException) -> str:
    """The traceback, beginning in the user's code."""
    return format_remote_traceback(error, OWN_MODULES)


def failure(call: Call, error: BaseException, text: str = "", state: int = FAILURE) -> Outcome:
    """The outcome of a call that ended with `error`, of which `text` is the traceback."""
    return Outcome(call.id, call.attempt, state, body_of(encode_failure(error, text)))


def function_of(target: Any) -> Callable[..., Any]:
    """The plain function of a task, or of what came by value, which may be a task too."""
    fn: Callable[..., Any] | None = getattr(target, "fn", None)
    if fn is None:
        return target  # type: ignore[no-any-return]
    return functools.partial(fn, target) if target.bind else fn


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine: an ``async def``, or a partial or an object that calls one."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(getattr(type(fn), "__call__", None), "__code__", None)  # noqa: B004
    return bool(code is not None and code.co_flags & _COROUTINE_FUNCTION)


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
