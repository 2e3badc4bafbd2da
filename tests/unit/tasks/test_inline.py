"""`task_always_eager` and its companions: calls run at once, in the caller, and go through the serializer all the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from actorq import ActorQ, chain, chord, group
from actorq.errors import AlwaysEagerIgnored, EncodeError, ImproperlyConfigured, OperationalError
from actorq.tasks.eager import EagerResult


@pytest.fixture
def app() -> ActorQ:
    """An application whose calls run here. There is nobody at its address."""
    return ActorQ("tasks", url="tcp://127.0.0.1:1", changes={"task_always_eager": True, "task_publish_timeout": 0.01})


@pytest.fixture
def add(app: ActorQ) -> Any:
    @app.task(name="add")
    def add(x: Any, y: Any) -> Any:
        return x + y

    return add


@pytest.fixture
def fail(app: ActorQ) -> Any:
    @app.task(name="fail")
    def fail() -> None:
        raise ValueError("no such invoice")

    return fail


CALLS: list[Callable[[Any], Any]] = [
    lambda add: add.delay(2, 3),
    lambda add: add.apply_async((2, 3)),
    lambda add: add.apply_async((2, 3), countdown=3600, queue="other", priority=9),
    lambda add: add.s(2).delay(3),
    lambda add: chain(add.s(1, 1), add.s(3)).apply_async(),
]


@pytest.mark.parametrize("call", CALLS)
def test_calls_have_run_when_they_return(add: Any, call: Callable[[Any], Any]) -> None:
    result = call(add)
    assert isinstance(result, EagerResult)
    assert result.ready() and result.state == "SUCCESS" and result.get() == 5


def test_workflows_run_too(app: ActorQ, add: Any) -> None:
    @app.task(name="total")
    def total(values: list[int]) -> int:
        return sum(values)

    assert group(add.s(i, 1) for i in range(3)).apply_async().get() == [1, 2, 3]
    assert chord([add.s(i, 1) for i in range(3)], total.s())().get() == 6


def test_tasks_that_tasks_submit_run_here_too(app: ActorQ, add: Any) -> None:
    @app.task(name="twice")
    def twice(x: int) -> Any:
        return add.delay(x, x).get()

    assert twice.delay(4).get() == 8


def test_eager_mode_differs_from_reality_but_not_in_what_can_be_sent(app: ActorQ, add: Any) -> None:
    @app.task(name="kind")
    def kind(value: Any) -> Any:
        return [type(value).__name__, value]

    @app.task(name="unsendable")
    def unsendable() -> Any:
        return object()

    given: list[int] = []
    result = kind.delay((given,))
    given.append(7)
    assert result.get()[1] in ([[]], ([],))  # It was copied before it was changed.
    with pytest.raises(EncodeError):
        kind.delay(object())
    with pytest.raises(EncodeError):
        unsendable.delay().get()
    with pytest.raises(TypeError):
        add.delay(1)
    with pytest.raises(ImproperlyConfigured, match="did you mean 'countdown'"):
        add.apply_async((1, 2), countdwon=1)


def test_what_a_task_raises_is_in_its_result_unless_it_is_to_come_out(app: ActorQ, fail: Any) -> None:
    result = fail.delay()
    assert result.failed() and "in fail" in (result.traceback or "")
    with pytest.raises(ValueError, match="no such invoice"):
        result.get()
    app.conf.task_eager_propagates = True
    for call in (fail.delay, fail.apply_async, fail.apply):
        with pytest.raises(ValueError, match="no such invoice"):
            call()
    assert fail.apply(throw=False).failed()


def test_results_are_found_by_their_ids_if_they_are_to_be_kept(app: ActorQ, add: Any, fail: Any) -> None:
    app.conf.task_store_eager_result = True
    assert app.AsyncResult(add.delay(2, 3).id).get() == 5
    assert app.AsyncResult(fail.delay().id).state == "FAILURE"
    app.conf.task_store_eager_result = False
    with pytest.raises(OperationalError):
        app.AsyncResult(add.delay(2, 3).id).state  # noqa: B018 - it is asked for.


def test_a_call_by_name_goes_to_the_mesh_with_a_warning(app: ActorQ, add: Any) -> None:
    with pytest.warns(AlwaysEagerIgnored, match=r"send_task\('add'\)"), pytest.raises(OperationalError):
        app.send_task("add", (1, 2))


def test_the_setting_may_change_at_any_time(app: ActorQ, add: Any) -> None:
    app.conf.task_always_eager = False
    with pytest.raises(OperationalError):
        add.delay(2, 3)
    app.conf.task_always_eager = True
    assert add.delay(2, 3).get() == 5
    app.conf.task_always_eager = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OperationalError):
            app.send_task("add", (1, 2))
