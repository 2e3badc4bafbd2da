"""Retries: what goes to the coordinator, when the last one is over, and what is retried by itself."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from actorq.errors import ImproperlyConfigured, MaxRetriesExceededError, Reject, Retry
from actorq.tasks.retrying import retry_by_itself
from actorq.tasks.task import Task
from actorq.wire.payload import decode_failure, dumps
from actorq.wire.records import SUCCESS, VALUES, Call, Extra, Inputs, Part
from actorq.wire.replacements import decode_replacement
from tests.unit.tasks.support import Run, arguments_in, make_app, run_again, run_call

app = make_app()


class Unlucky(Exception):
    """What tasks raise here."""


@app.task(bind=True, default_retry_delay=30)
def fetch(self: Any, url: str, retry: dict[str, Any] | None = None) -> str:
    if retry is None:
        return url
    raise self.retry(exc=Unlucky(url), **retry)


def again_of(**retry: Any) -> Any:
    return run_call(fetch, "u", retry=retry).again[1]


def test_a_retry_is_the_same_call_with_one_retry_more() -> None:
    extra = Extra(root="root", parent="parent", group="g", group_index=3, retries=1)
    ended = run_call(fetch, "u", retry={}, extra=extra)
    spec, call = ended.again
    assert spec == fetch.spec
    assert (call.id, call.body) == (ended.run.call.id, ended.run.call.body)
    assert call.extra == Extra(root="root", parent="parent", group="g", group_index=3, retries=2)


def test_a_plan_has_an_id_of_its_own_each_time() -> None:
    first, second = (decode_replacement(run_call(fetch, "u", retry={}).outcome.body).plan.id for _ in range(2))
    assert first != second


def test_it_starts_after_the_delay_of_the_task_or_of_the_retry() -> None:
    now_s = time.time()
    assert again_of().not_before == pytest.approx(now_s + 30, abs=10)
    assert again_of(countdown=300).not_before == pytest.approx(now_s + 300, abs=10)
    assert again_of(countdown=0).not_before == 0
    eta = datetime.now(timezone.utc) + timedelta(hours=1)
    assert again_of(eta=eta.isoformat()).not_before == eta.timestamp()


def test_new_arguments_and_options_take_the_place_of_the_old_ones() -> None:
    spec, call = run_call(fetch, "u", retry={"args": ["v"], "kwargs": {}, "queue": "slow", "headers": {"h": 1}}).again
    assert spec.queue == "slow" and spec.task == fetch.name
    assert arguments_in(call) == [["v"], {}]
    assert run_call(fetch, "u", retry={"kwargs": {}}).again[1].body == fetch_body("u")
    with pytest.raises(ImproperlyConfigured, match="priority"):
        raise run_call(fetch, "u", retry={"priorty": 3}).error


def fetch_body(*args: Any) -> bytes:
    return app.serializers.encode_call("msgpack", args, {})


@pytest.mark.parametrize("error", [Retry, Reject])
def test_what_came_from_calls_before_it_goes_along(error: type[Exception]) -> None:
    @make_app().task(bind=True, name="combine")
    def combine(self: Any, values: list[int], factor: int) -> None:
        assert self.request.args == [[1, 2], 3]
        if error is Reject:
            raise Reject("busy", requeue=True)
        self.retry(countdown=0)

    parts = [Part(f"part-{number}", SUCCESS, dumps(number)) for number in (1, 2)]
    call = Call("call-1", 1, fetch_body(3), attempt=1, inputs=Inputs(VALUES, parts))
    again = run_call(combine, run=Run(call, combine.spec)).again[1]
    assert arguments_in(again) == [[[1, 2], 3], {}] and again.inputs is None


def test_the_serializer_of_the_arguments_may_change() -> None:
    spec, call = run_call(fetch, "u", retry={"serializer": "json"}).again
    assert app.serializers.decode_call(spec.serializer, call.body)[0] == ["u"]  # type: ignore[arg-type]


def test_compressed_arguments_go_along_and_may_change() -> None:
    @app.task(bind=True, compression="gzip", serializer="json", name="compressed")
    def compressed(self: Any, text: str) -> list[Any]:
        if not self.request.retries:
            raise self.retry(args=(text * 2,), countdown=0)
        return [len(text), len(self.request.args[0])]

    outcome = run_again(compressed, run_call(compressed, "x" * 10_000)).outcome
    assert app.open_outcome(outcome) == [20_000, 20_000]
    assert compressed.apply(("x" * 10_000,)).get() == [20_000, 20_000]


def test_who_waits_is_told_why() -> None:
    ended = run_call(fetch, "u", retry={})
    (note,) = ended.run.notes
    assert (note.id, note.attempt, note.state) == (ended.run.call.id, 1, "RETRY")
    error = decode_failure(note.meta)
    assert isinstance(error, Unlucky) and error.args == ("u",)
    assert decode_replacement(ended.outcome.body).note == note.meta


def test_after_the_last_retry_the_call_fails_with_its_own_error() -> None:
    ended = run_call(fetch, "u", retry={"max_retries": 2})
    for _ in range(1):
        ended = run_again(fetch, ended)
    assert ended.state == "REPLACED"
    ended = run_again(fetch, ended)
    assert ended.state == "FAILURE" and isinstance(ended.error, Unlucky)


def test_without_an_error_of_its_own_it_says_that_it_was_retried_too_often() -> None:
    @app.task(bind=True, name="give_up", max_retries=0)
    def give_up(self: Any, x: int) -> None:
        self.retry()

    with pytest.raises(MaxRetriesExceededError, match=r"give_up\[call-1\]") as raised:
        raise run_call(give_up, 7).error
    assert raised.value.task_args == [7] and raised.value.task_kwargs == {}


def test_no_limit_is_no_limit() -> None:
    @app.task(bind=True, name="stubborn", max_retries=None)
    def stubborn(self: Any) -> None:
        self.retry(countdown=0)

    assert run_call(stubborn, extra=Extra(retries=100_000)).again[1].extra == Extra(retries=100_001)


def test_called_directly_it_raises_what_has_gone_wrong() -> None:
    with pytest.raises(Unlucky):
        fetch("u", {})


def test_a_task_that_another_one_calls_directly_does_not_retry_that() -> None:
    @app.task(name="outer")
    def outer() -> str:
        return fetch("u", {})

    ended = run_call(outer)
    assert ended.state == "FAILURE" and isinstance(ended.error, Unlucky)


def test_a_retry_may_also_be_returned() -> None:
    @app.task(bind=True, name="polite")
    def polite(self: Any) -> Any:
        return self.retry(throw=False, countdown=0)

    assert run_call(polite).state == "REPLACED"


def test_a_retry_says_when_and_why() -> None:
    assert str(Retry(exc=ValueError("x"), when=3)) == "Retry in 3s: ValueError('x')"
    assert str(Retry()) == "Retry now"
    assert str(Retry("because")) == "because"


def test_arguments_that_cannot_be_sent_again_fail_the_call() -> None:
    ended = run_call(lossy)
    assert ended.state == "FAILURE" and isinstance(ended.error, Reject)


@app.task(bind=True)
def lossy(self: Any) -> None:
    self.retry(args=[object()])


# -- by itself ---------------------------------------------------------------------------------------------------


@app.task(
    autoretry_for=(OSError, Unlucky),
    dont_autoretry_for=(PermissionError,),
    retry_kwargs={"max_retries": 5},
    retry_backoff=2,
    retry_backoff_max=10,
    retry_jitter=False,
)
def flaky(error: str) -> None:
    raise {"os": OSError, "permission": PermissionError, "value": ValueError, "unlucky": Unlucky}[error]


def test_listed_exceptions_are_retried_later_and_later_and_others_are_not() -> None:
    waits = []
    ended = run_call(flaky, "os")
    for _ in range(5):
        waits.append(round(ended.again[1].not_before - time.time()))
        ended = run_again(flaky, ended)
    assert waits == [2, 4, 8, 10, 10]
    assert ended.state == "FAILURE" and isinstance(ended.error, OSError)
    assert run_call(flaky, "unlucky").state == "REPLACED"
    assert run_call(flaky, "value").state == "FAILURE"
    assert run_call(flaky, "permission").state == "FAILURE"


def test_with_jitter_the_wait_is_a_random_part() -> None:
    @app.task(name="jittery", autoretry_for=(OSError,), retry_backoff=True, max_retries=None)
    def jittery() -> None:
        retry = retry_by_itself(jittery, OSError("x"), lambda low, high: high / 2)
        assert isinstance(retry, Retry)
        raise retry

    assert run_call(jittery, extra=Extra(retries=4)).again[1].not_before == pytest.approx(time.time() + 8, abs=5)


def test_a_call_that_says_itself_how_it_goes_on_is_not_retried_for_that() -> None:
    @app.task(name="rejects", autoretry_for=(Exception,))
    def rejects() -> None:
        raise Reject("no")

    ended = run_call(rejects)
    assert ended.state == "FAILURE" and isinstance(ended.error, Reject)


def test_a_task_is_a_plain_one_unless_something_goes_on_around_its_calls() -> None:
    """Or it would cost those who do not use it."""
    assert fetch.trace is None and flaky.trace is not None
    assert isinstance(fetch, Task)
