"""Jobs: from the body of a call to its outcome."""

from __future__ import annotations

import asyncio
import functools
import sys
from _thread import allocate_lock
from contextlib import nullcontext
from typing import Any

import pytest

from actorq.config import BLOB_BYTES
from actorq.errors import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    MessageTooLarge,
    NotRegistered,
    Reject,
    RemoteError,
    SoftTimeLimitExceeded,
)
from actorq.wire.builtin import BUILTIN_NAMES
from actorq.wire.frames import bytes_of
from actorq.wire.payload import Serializers, code_blob, decode_failure, dumps, loads
from actorq.wire.records import BY_VALUE, DEAD_LETTER, SUCCESS, Blob, Call, CallSpec, Extra
from actorq.worker.endings import Ending, hard_limit
from actorq.worker.jobs import Job, Jobs, failure, is_coroutine_function
from tests.unit.worker.support import (
    PlainApplication,
    PlainTask,
    call_of,
    job_by_value,
    job_of,
    jobs_of,
    value_of,
)


def add(x: int, y: int = 1) -> int:
    return x + y


async def add_later(x: int, y: int) -> int:
    return x + y


class Opaque:
    """Nothing that msgpack can carry."""


def result_of(job: Job, *args: Any, **kwargs: Any) -> Any:
    return value_of(job.run(call_of(*args, **kwargs)))


def results_of(job: Job, *items: Any) -> list[Any]:
    """The results of a chunk."""
    elapsed_s, results = result_of(job, [[item] for item in items])
    assert elapsed_s >= 0
    return list(results)


# -- by name -----------------------------------------------------------------------------------------------------


def test_a_call_runs_the_function_that_is_registered_under_its_name() -> None:
    outcome = job_of(add).run(call := call_of(2, y=3))
    assert (outcome.id, outcome.attempt, outcome.state) == (call.id, call.attempt, SUCCESS)
    assert outcome.content == "" and loads(bytes_of(outcome.body)) == 5


def test_the_first_argument_of_a_bound_task_is_the_task() -> None:
    task = PlainTask(lambda self, x: [self is task, x], bind=True)
    job = jobs_of(bound=task).make(CallSpec("bound"), None)
    job.resolve()
    assert result_of(job, 7) == [True, 7]


def test_nothing_is_looked_up_before_the_first_call() -> None:
    job = jobs_of(add).make(CallSpec("ad"), None)
    job.resolve()
    with pytest.raises(NotRegistered, match="did you mean 'add'"):
        job.run(call_of(1))


def test_a_spec_has_one_job_however_often_it_is_defined() -> None:
    jobs = jobs_of(add)
    assert jobs.make(CallSpec("add"), None) is jobs.make(CallSpec("add"), None)
    assert jobs.make(CallSpec("add"), None) is not jobs.make(CallSpec("add", queue="other"), None)


def test_a_job_that_could_not_be_loaded_is_made_anew_when_it_is_defined_again() -> None:
    tasks: dict[str, PlainTask] = {}
    jobs = Jobs(PlainApplication(tasks))
    broken = jobs.make(CallSpec("late"), None)
    broken.resolve()
    assert broken.is_broken
    tasks["late"] = PlainTask(add)
    job = jobs.make(CallSpec("late"), None)
    job.resolve()
    assert result_of(job, 1) == 2


def test_at_most_once_makes_a_job_guarded() -> None:
    assert job_of(add, acks_late=False).guarded
    assert job_of(add, max_deliveries=1).guarded
    assert not job_of(add).guarded


def test_a_node_offers_its_tasks_and_functions_by_value_only_if_it_may() -> None:
    application = PlainApplication({"b": PlainTask(add), "a": PlainTask(add)})
    assert Jobs(application).offers() == ["a", "b", *BUILTIN_NAMES, BY_VALUE]
    assert Jobs(application, by_value=False).offers() == ["a", "b", *BUILTIN_NAMES]


# -- content and size ----------------------------------------------------------------------------------------------


def test_arguments_and_result_go_by_the_serializer_of_the_spec() -> None:
    job = job_of(add, serializer="json")
    call = call_of(0)
    call.body = b'[[2],{"y":3}]'
    outcome = job.run(call)
    assert (outcome.content, outcome.body) == ("json", b"5")


def test_a_serializer_that_is_not_accepted_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(ContentDisallowed):
        job_of(add, serializer="cloudpickle").run(call_of(1))


def test_a_body_that_is_no_call_is_an_error_of_the_call() -> None:
    call = call_of()
    call.body = b"\xc1"
    with pytest.raises(DecodeError):
        job_of(add).run(call)


def test_a_result_that_cannot_be_carried_is_an_error_that_names_it() -> None:
    with pytest.raises(EncodeError, match="Opaque"):
        job_of(lambda: Opaque()).run(call_of())


def test_an_ignored_result_may_be_anything_and_is_empty() -> None:
    outcome = job_of(lambda: Opaque(), ignore_result=True).run(call_of())
    assert (outcome.state, outcome.body) == (SUCCESS, b"")


def test_large_bodies_are_views_that_are_not_copied() -> None:
    job = job_of(lambda data: data)
    call = call_of(bytes(BLOB_BYTES))
    assert isinstance(call.body, Blob)
    outcome = job.run(call)
    assert isinstance(outcome.body, Blob) and value_of(outcome) == bytes(BLOB_BYTES)


def test_a_body_over_the_limit_of_the_mesh_is_refused_in_both_directions() -> None:
    jobs = jobs_of(lambda size: bytes(size))
    jobs.max_body_bytes = 2 * BLOB_BYTES
    job = jobs.make(CallSpec("<lambda>"), None)
    job.resolve()
    assert job.run(call_of(BLOB_BYTES)).state == SUCCESS
    with pytest.raises(MessageTooLarge, match="result of <lambda>"):
        job.run(call_of(3 * BLOB_BYTES))
    with pytest.raises(MessageTooLarge, match="arguments of <lambda>"):
        job.run(call_of(bytes(3 * BLOB_BYTES)))


# -- by value --------------------------------------------------------------------------------------------------------


def test_a_function_by_value_is_loaded_once() -> None:
    loads_of_it: list[int] = sys.modules.setdefault("loads_of_it", [])  # type: ignore[arg-type,assignment]

    class Counting:
        def __reduce__(self) -> Any:
            return (exec, ("import sys; sys.modules['loads_of_it'].append(1)",))

    def fn(x: int, counting: Any = Counting()) -> int:  # noqa: B008
        return x * 2

    try:
        job = job_by_value(fn)
        assert [result_of(job, x) for x in range(3)] == [0, 2, 4]
        assert loads_of_it == [1]
    finally:
        del sys.modules["loads_of_it"]


def test_what_msgpack_cannot_carry_comes_back_by_cloudpickle_if_the_function_came_so() -> None:
    job = job_by_value(lambda: 1 + 2j if False else object, accept=("msgpack", "cloudpickle"))
    outcome = job.run(call_of())
    assert outcome.content == "cloudpickle"
    assert Serializers.default(["cloudpickle"]).loads(outcome.content, bytes_of(outcome.body)) is object


def test_a_function_that_is_not_what_its_digest_says_is_not_loaded() -> None:
    digest, blob = code_blob(lambda: 1)
    for damaged in (blob + b"!", None):
        job = jobs_of().make(CallSpec("f", code=digest), damaged)
        job.resolve()
        with pytest.raises(DecodeError, match="did not come here whole"):
            job.run(call_of())


def test_a_node_that_runs_no_functions_by_value_refuses_them_whoever_sends_them() -> None:
    digest, blob = code_blob(lambda: 1)
    job = Jobs(PlainApplication({}), by_value=False).make(CallSpec("f", code=digest), blob)
    job.resolve()
    with pytest.raises(DecodeError, match="runs no functions by value"):
        job.run(call_of())


def test_each_call_of_a_function_that_cannot_be_loaded_fails_with_the_reason() -> None:
    job = jobs_of().make(CallSpec("nowhere"), None)
    job.resolve()
    lengths = set()
    for _ in range(3):
        with pytest.raises(NotRegistered) as caught:
            job.run(call_of())
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1  # The traceback does not grow with each call.


# -- dead letters ----------------------------------------------------------------------------------------------------


def raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("job", "call"),
    [
        (jobs_of().make(CallSpec("nowhere"), None), call_of()),
        (jobs_of().make(CallSpec("f", code="digest"), b"another"), call_of()),
        (job_of(add), Call("1", 1, b"\xc1")),
        (job_of(add_later), Call("1", 1, b"\xc1")),
        (job_of(add, serializer="yaml"), call_of()),
        (jobs_of(add).make(CallSpec("actorq.map"), None), call_of({"task": "nowhere"}, [1])),
    ],
    ids=["not registered", "damaged", "not decodable", "coroutine", "not accepted", "not registered, mapped"],
)
def test_a_call_that_cannot_run_here_is_kept_as_a_dead_letter(job: Job, call: Call) -> None:
    job.resolve()
    run = (lambda call: job.run_coroutine(call).send(None)) if job.is_coroutine else job.run
    with pytest.raises((DecodeError, NotRegistered)) as caught:
        run(call)
    assert failure(call, caught.value).content == DEAD_LETTER


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (NotRegistered("other"), ""),
        (DecodeError("not what I have expected"), ""),
        (Reject("I will not have it"), DEAD_LETTER),
    ],
    ids=repr,
)
def test_of_what_tasks_raise_themselves_only_a_rejection_makes_a_dead_letter(error: Exception, content: str) -> None:
    with pytest.raises(type(error)) as caught:
        job_of(lambda: raises(error)).run(call_of())
    assert failure(call_of(), caught.value).content == content


# -- chunks ------------------------------------------------------------------------------------------------------------


def test_a_chunk_runs_the_function_for_each_item_and_says_how_long_it_took() -> None:
    assert results_of(job_of(add, chunked=True), 1, 2) == [[True, 2], [True, 3]]


def test_an_item_that_fails_does_not_spoil_its_chunk() -> None:
    def reciprocal(x: int) -> float:
        if x == 3:
            sys.exit("no threes")
        return 1 / x

    first, second, third, fourth = results_of(job_of(reciprocal, chunked=True), 2, 0, 3, 4)
    assert first == [True, 0.5] and fourth == [True, 0.25]
    assert not second[0] and isinstance(decode_failure(second[1]), ZeroDivisionError)
    assert not third[0] and isinstance(decode_failure(third[1]), RemoteError)


def test_an_item_whose_result_cannot_be_carried_does_not_spoil_its_chunk() -> None:
    def lock_for_two(x: int) -> Any:
        return allocate_lock() if x == 2 else x

    for job in (
        job_of(lock_for_two, chunked=True),
        job_by_value(lock_for_two, accept=("msgpack", "cloudpickle"), chunked=True),
    ):
        first, second, third = results_of(job, 1, 2, 3)
        assert (first, third) == ([True, 1], [True, 3])
        assert not second[0] and isinstance(decode_failure(second[1]), EncodeError)


@pytest.mark.parametrize("error", [SoftTimeLimitExceeded("soft"), hard_limit(CallSpec("f", time_limit_s=1))])
def test_what_is_thrown_into_a_chunk_ends_the_chunk_and_not_the_item(error: BaseException) -> None:
    def fn(x: int) -> None:
        raise error

    with pytest.raises(type(error)):
        job_of(fn, chunked=True).run(call_of([[1], [2]]))


# -- coroutines, failures ----------------------------------------------------------------------------------------------


def test_coroutine_functions_are_known_in_every_form() -> None:
    class WithCall:
        async def __call__(self) -> None: ...

    assert is_coroutine_function(add_later)
    assert is_coroutine_function(functools.partial(functools.partial(add_later, 1), 2))
    assert is_coroutine_function(WithCall())
    assert not is_coroutine_function(add)
    assert not is_coroutine_function(functools.partial(add, 1))
    assert not is_coroutine_function(len)
    job = job_of(add_later)
    assert job.is_coroutine and not job.is_plain


def test_an_ending_is_no_exception_that_a_task_would_catch() -> None:
    assert not issubclass(Ending, Exception)


def test_totals_count_starts_by_task_over_all_specs() -> None:
    jobs = jobs_of(add)
    for queue, runs in (("one", 2), ("two", 3)):
        jobs.make(CallSpec("add", queue=queue), None).runs = runs
    assert jobs.totals() == {"add": 5}


def test_arguments_and_result_travel_in_the_compression_of_the_spec() -> None:
    form = Serializers().get("json", "gzip")
    job = job_of(lambda text: text * 2, serializer="json", compression="gzip")
    outcome = job.run(Call("id-1", 1, form.encode_call(("x" * 5000,), {})))
    assert outcome.content == "json+gzip" and len(outcome.body) < 200
    assert value_of(outcome) == "x" * 10_000


def test_a_worker_may_compress_the_results_of_calls_that_have_no_compression() -> None:
    jobs = jobs_of(add)
    jobs.application.serializers.result_compression = "zlib"
    job = jobs.make(CallSpec("add"), None)
    job.resolve()
    outcome = job.run(call_of("x" * 5000, "y"))
    assert outcome.content == "msgpack+zlib" and value_of(outcome) == "x" * 5000 + "y"


def test_what_comes_back_by_cloudpickle_is_compressed_as_well() -> None:
    outcome = job_by_value(lambda: [Opaque()] * 1000, compression="gzip").run(
        Call("id-1", 1, Serializers().get("msgpack", "gzip").encode_call((), {}))
    )
    assert outcome.content == "cloudpickle+gzip" and len(value_of(outcome)) == 1000


def test_arguments_over_the_limit_of_the_mesh_are_refused_however_small_they_are_compressed() -> None:
    jobs = jobs_of(add)
    job = jobs.make(CallSpec("add", compression="gzip"), None)
    job.resolve()
    body = Serializers().get("msgpack", "gzip").encode_call((bytes(5000),), {})
    jobs.limit_bodies(4000)
    with pytest.raises(DecodeError, match="more than 4,000 bytes when it is opened"):
        job.run(Call("id-1", 1, body))


# -- what is shown of arguments --------------------------------------------------------------------------------------


def test_arguments_are_shown() -> None:
    jobs = jobs_of(add)
    assert jobs.arguments(CallSpec("add"), call_of(1, y=2)) == ([1], {"y": 2})
    packed = Serializers().get("msgpack", "gzip").encode_call((1,), {"y": 2})
    assert jobs.arguments(CallSpec("add", compression="gzip"), Call("id-1", 1, packed)) == ([1], {"y": 2})
    call = call_of(1)
    call.body = b"no msgpack"
    assert "not a msgpack payload" in jobs.arguments(CallSpec("add"), call)[0]


@pytest.mark.parametrize("serializer", ["cloudpickle", "pickle", "yaml", "own"])
def test_arguments_are_not_opened_to_be_shown_if_that_may_run_code(serializer: str) -> None:
    jobs = jobs_of(add, accept=("cloudpickle", "pickle", "yaml", "own"))
    jobs.application.serializers.register("own", repr, eval)
    assert jobs.arguments(CallSpec("add", serializer=serializer), Call("id-1", 1, b"1/0")) == (
        f"<{serializer} of 3 bytes>",
        {},
    )


def test_arguments_of_a_sensitive_task_are_not_shown() -> None:
    assert jobs_of(add).arguments(CallSpec("add", sensitive=True), call_of("secret")) == ("<hidden>", "<hidden>")


def test_whoever_submits_a_call_may_say_what_is_shown_of_its_arguments() -> None:
    jobs, call = jobs_of(add), call_of("secret", y="4111 1111")
    call.extra = Extra(request=dumps({"argsrepr": "('…',)"}))
    assert jobs.arguments(CallSpec("add"), call) == ("('…',)", {"y": "4111 1111"})
    call.extra = Extra(request=dumps({"argsrepr": "('…',)", "kwargsrepr": "{…}", "shadow": "x"}))
    assert jobs.arguments(CallSpec("add"), call) == ("('…',)", "{…}")
    assert jobs.arguments(CallSpec("add", sensitive=True), call) == ("('…',)", "{…}")


@pytest.mark.parametrize("request_map", [b"\xc1", dumps(5), dumps([]), dumps({"argsrepr": None})])
def test_what_says_nothing_of_arguments_changes_nothing(request_map: bytes) -> None:
    call = call_of(1)
    call.extra = Extra(request=request_map)
    assert jobs_of(add).arguments(CallSpec("add"), call) == ([1], {})


class Hears:
    """An application that is told to wait until the mesh has heard of its calls."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def hear_of_calls(self) -> None:
        self.log.append("heard")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_call_whose_children_are_to_be_known_ends_when_the_mesh_has_heard_of_them(
    is_coroutine: bool, fails: bool
) -> None:
    app = Hears()

    def work() -> str:
        app.log.append("ran")
        return "done" if not fails else str(1 / 0)

    async def wait() -> str:
        return work()

    fn = wait if is_coroutine else work
    jobs = jobs_of(work=PlainTask(fn, app=app))
    for spec, log in ((CallSpec("work"), ["ran"]), (CallSpec("work", extended=True), ["ran", "heard"])):
        app.log.clear()
        job = jobs.make(spec, None)
        job.resolve()
        with pytest.raises(ZeroDivisionError) if fails else nullcontext():
            asyncio.run(job.run_coroutine(call_of())) if is_coroutine else job.run(call_of())
        assert app.log == log
