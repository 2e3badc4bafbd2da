"""What is called around a call, in which order, and with what; and what a class of the user's adds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorq.errors import Ignore, ImproperlyConfigured, Reject, TaskRevokedError
from actorq.tasks.task import Task
from actorq.wire.payload import loads
from actorq.wire.records import CallSpec, Extra
from actorq.worker.endings import hard_limit, terminated
from actorq.worker.jobs import Jobs
from tests.unit.tasks.support import make_app, run_again, run_call
from tests.unit.worker.support import call_of

app = make_app()


class Told(Task[Any, Any]):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.told.append(("before_start", task_id, args, kwargs))

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.told.append(("on_success", retval, task_id, args, kwargs))

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.told.append(("on_failure", exc, einfo))

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.told.append(("on_retry", exc, einfo))

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.told.append(("after_return", status, retval, einfo))


@app.task(base=Told, bind=True)
def work(self: Any, what: Any = None) -> Any:
    self.told.append(("run", self.request.args))
    if isinstance(what, str):
        self.retry(exc=KeyError(what), countdown=0) if what == "retry" else None
        raise {"value": ValueError("v"), "ignore": Ignore("i"), "reject": Reject("r")}[what]
    return object() if what == [] else what


def told_of(*args: Any, task: Any = work) -> list[Any]:
    task.told.clear()
    run_call(task, *args)
    return list(task.told)


def test_a_call_that_returns_is_told_of_in_order() -> None:
    assert told_of(7) == [
        ("before_start", "call-1", [7], {}),
        ("run", [7]),
        ("on_success", 7, "call-1", [7], {}),
        ("after_return", "SUCCESS", 7, None),
    ]


def test_a_call_that_fails_is_told_of_with_its_traceback_which_begins_in_the_users_code() -> None:
    _, _, (name, error, einfo), (after, status, retval, same) = told_of("value")
    assert (name, after, status) == ("on_failure", "after_return", "FAILURE")
    assert einfo.exception is error is retval and same is einfo and einfo.type is ValueError
    assert "raise {" in einfo.traceback and "actorq/worker" not in einfo.traceback


def test_a_retry_is_told_of_with_its_cause_and_is_no_end() -> None:
    *_, (name, error, einfo) = told_of("retry")
    assert name == "on_retry" and isinstance(error, KeyError) and einfo.exception is error


@pytest.mark.parametrize("what", ["ignore", "reject"])
def test_what_a_task_gives_up_is_no_failure_of_its(what: str) -> None:
    assert [name for name, *_ in told_of(what)] == ["before_start", "run"]


def test_a_value_that_cannot_be_sent_is_a_failure() -> None:
    assert [name for name, *_ in told_of([])] == ["before_start", "run", "on_failure", "after_return"]


def test_what_before_start_raises_is_a_failure() -> None:
    class Closed(Told):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            raise PermissionError("closed")

    task: Any = app.task(name="closed", base=Closed)(lambda: 1)
    ended = run_call(task)
    assert ended.state == "FAILURE" and isinstance(ended.error, PermissionError)
    assert [name for name, *_ in task.told] == ["on_failure", "after_return"]


def test_an_error_in_a_hook_does_not_turn_a_success_into_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Told):
        def on_success(self, *_: Any) -> None:
            raise ValueError("clumsy")

    task: Any = app.task(name="clumsy", base=Clumsy)(lambda: 1)
    assert run_call(task).value == 1
    assert [name for name, *_ in task.told] == ["before_start", "after_return"]
    assert "on_success of task clumsy[call-1]" in caplog.text


def test_hooks_are_told_of_the_hard_time_limit_but_not_of_a_revocation() -> None:
    def end(how: Any) -> list[str]:
        def endless() -> None:
            raise how(CallSpec("endless")) if how is hard_limit else how()

        task: Any = make_app().task(name="endless", base=Told)(endless)
        job = Jobs(task.app).make(task.spec, None)
        job.resolve()
        with pytest.raises(BaseException, match=r"limit|revoked"):
            job.run(call_of())
        return [name for name, *_ in task.told]

    assert end(hard_limit) == ["before_start", "on_failure", "after_return"]
    assert end(terminated) == ["before_start"]


def test_hooks_of_a_coroutine_function_are_called_as_well() -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return 1 // x

    task: Any = app.task(name="later", base=Told)(later)
    job = Jobs(app).make(task.spec, None)
    job.resolve()
    assert loads(asyncio.run(job.run_coroutine(call_of(1))).body) == 1  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        asyncio.run(job.run_coroutine(call_of(0)))
    names = [name for name, *_ in task.told]
    assert names == ["before_start", "on_success", "after_return", "before_start", "on_failure", "after_return"]


# -- ignore and reject ---------------------------------------------------------------------------------------------


def test_an_ignored_call_ends_as_revoked_so_that_nothing_follows_it_and_nobody_waits_for_ever() -> None:
    ended = run_call(work, "ignore")
    assert ended.state == "REVOKED" and isinstance(ended.error, TaskRevokedError)


def test_a_rejected_call_fails_or_goes_back() -> None:
    """Reject leaves a call STARTED for ever in Celery up to 5.6."""
    ended = run_call(work, "reject")
    assert ended.state == "FAILURE" and isinstance(ended.error, Reject) and ended.error.reason == "r"

    @app.task(name="not_here")
    def not_here(x: int) -> None:
        raise Reject("not here", requeue=True)

    ended = run_call(not_here, 3, extra=Extra(retries=2))
    spec, call = ended.again
    assert spec == not_here.spec and call.body == ended.run.call.body and call.extra == Extra(retries=2)
    assert call.not_before == 0
    assert run_again(not_here, ended).state == "REPLACED"


# -- classes -------------------------------------------------------------------------------------------------------


class Counting(Task[Any, Any]):
    """Keeps something from call to call, and surrounds each."""

    abstract = True
    queue = "counted"
    limit = 3

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return [self.calls, super().__call__(*args, **kwargs)]


def test_a_call_override_surrounds_every_call_and_the_instance_stays() -> None:
    """As in Flask's pattern, where each call runs in a context of the application."""
    task = app.task(name="counted", base=Counting, bind=True, limit=5)(
        lambda self, x: [x, self.limit, self.request.called_directly, self.request.id]
    )
    assert task.spec.queue == "counted"
    assert run_call(task, "a").value == [1, ["a", 5, False, "call-1"]]
    assert run_call(task, "b").value == [2, ["b", 5, False, "call-1"]]
    assert task("c") == [3, ["c", 5, True, None]]


def test_the_application_may_have_a_class_for_all_its_tasks() -> None:
    own = make_app(task_cls=Counting)
    assert run_call(own.task(name="any")(lambda: "x")).value == [1, "x"]
    assert own.Task is Counting


def test_a_class_with_a_run_method_is_a_task() -> None:
    class Adder(Task[Any, Any]):
        name = "adder"
        max_retries = 1

        def run(self, x: int, y: int = 1) -> int:
            return x + y

    task = app.register_task(Adder())
    assert app.tasks["adder"] is task and app.register_task(Adder()) is task
    assert task(2) == 3 and run_call(task, 2, y=5).value == 7
    with pytest.raises(TypeError, match="run"):
        task.delay()


def test_a_class_without_a_name_has_its_own_and_its_modules() -> None:
    class Nameless(Task[Any, Any]):
        def run(self) -> None: ...

    assert app.register_task(Nameless).name.endswith("Nameless")
    with pytest.raises(TypeError, match="subclass of Task"):
        app.register_task(len)


def test_options_that_a_class_does_not_have_are_refused_with_the_nearest() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'limit'"):
        app.task(name="t", base=Counting, limt=5)(lambda: None)
    with pytest.raises(ImproperlyConfigured, match="subclass of Task"):
        app.task(name="t", base=dict)(lambda: None)
