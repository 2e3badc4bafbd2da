"""Tasks that go on as another plan, of which a new coordinator hears late, again, or out of order."""

from __future__ import annotations

import pytest

from actorq.wire import messages as m
from actorq.wire.records import FAILURE, NOTHING, REPLACED, SUCCESS, VALUE, Outcome, Part
from tests.unit.coordinator.support import Bench
from tests.unit.coordinator.workflows.support import (
    after_a_restart,
    chain,
    chord,
    go_on,
    inputs_of,
    is_clean,
    new_worker_after_a_restart,
    node,
    parties,
    replacement,
    worker_from_before,
)


def test_a_replacement_survives_a_restart(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *chain("a", "b"))
    go_on(worker, "a", *chain("x", "a"))
    worker = new_worker_after_a_restart(kept)
    assert worker.delivered() == ["x"]
    worker.report("x", body=b"of x")
    assert worker.delivered() == ["a"] and inputs_of(worker, "a") == [Part("x", SUCCESS, b"of x")]
    worker = new_worker_after_a_restart(kept, "other")
    assert worker.delivered() == ["a"] and inputs_of(worker, "a") == [Part("x", SUCCESS, b"of x")]
    worker.report("a", body=b"1")
    worker.report("b")
    assert is_clean(kept)


def test_a_report_of_a_replacement_that_comes_again_after_a_restart_changes_nothing(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit("a")
    go_on(worker, "a", node("a"))
    assert worker.delivered()[-1] == "a"
    worker = after_a_restart(kept, worker, "a")
    go_on(worker, "a", node("a"))
    kept.wait(3.0)
    assert worker.delivered() == ["a"]
    worker.report("a")
    assert kept.state_of("a") == "SUCCESS" and is_clean(kept)


@pytest.mark.parametrize("comes_again", [False, True])
def test_what_a_call_goes_on_with_has_its_value_although_it_is_reported_late_after_a_restart(
    kept: Bench, comes_again: bool
) -> None:
    client, worker = parties(kept, slots=1)
    client.submit("a")
    go_on(worker, "a", *chain("x", "a"))
    assert worker.delivered() == ["x"]
    late = after_a_restart(kept, worker, "a", slots=1)
    other = kept.worker("other")
    if comes_again:
        kept.client().submit("a", fresh=False, resent=True)
    kept.wait(3.0)
    assert other.delivered() == ["x"]
    other.report("x", body=b"1")
    go_on(late, "a", *chain("x", "a"))
    (worker,) = [each for each in (late, other) if each.delivered() == ["a"]]
    assert inputs_of(worker, "a") == [Part("x", SUCCESS, b"1")]
    worker.report("a")
    assert kept.state_of("a") == "SUCCESS" and is_clean(kept)


@pytest.mark.parametrize("takes", [NOTHING, VALUE])
def test_a_retry_that_is_reported_with_the_end_of_what_came_before_it_after_a_restart_goes_on_counting(
    kept: Bench, takes: int
) -> None:
    # Given a call that is to be retried, and a coordinator that was killed before it had written so
    client, worker = parties(kept)
    client.submit_plan("p", *chain("a", "b", takes=takes))
    kept.is_slow = True
    worker.report("a")
    assert worker.delivered() == ["b"]
    go_on(worker, "b", node("b"))
    kept.start()
    kept.is_slow = False
    # When both ends come in one message
    worker = worker.return_anew(held=[("a", 1), ("b", 1)], slots=10, coordinator="epoch-1")
    retry = Outcome("b", 1, REPLACED, replacement(node("b")))
    worker.say(m.Finished(1, [Outcome("a", 1, SUCCESS, b"1"), retry]))
    kept.wait(3.0)
    # Then it is attempt 2 that starts
    assert worker.delivered() == ["b"] and worker.attempt("b") == 2
    worker.report("b")
    assert kept.state_of("b") == "SUCCESS" and is_clean(kept)


@pytest.mark.parametrize("task_id", ["a", "b"])
def test_a_workflow_that_comes_when_one_of_its_calls_goes_on_as_another_one_waits_for_that(
    bench: Bench, task_id: str
) -> None:
    # Given a new coordinator that has only heard of a call that it goes on
    worker = worker_from_before(bench, task_id)
    go_on(worker, task_id, *chain("x", task_id))
    assert worker.delivered() == ["x"]
    # When the workflow comes of which that call is
    bench.client().submit_plan("p", *chain("a", "b"), resent=True)
    bench.wait(3.0)
    if task_id == "b":
        assert worker.delivered() == ["a"]
        worker.report("a")
    assert worker.delivered() == []
    # Then the call starts when it has what it goes on with
    worker.report("x", body=b"of x")
    assert worker.delivered() == [task_id] and inputs_of(worker, task_id) == [Part("x", SUCCESS, b"of x")]
    worker.report(task_id)
    if task_id == "a":
        worker.report("b")
    assert bench.state_of("b") == "SUCCESS" and is_clean(bench)


@pytest.mark.parametrize("state", [SUCCESS, FAILURE])
def test_a_call_that_went_on_and_has_settled_does_not_start_when_what_comes_before_it_ends_again(
    bench: Bench, state: int
) -> None:
    # Given a worker that has the second call of a workflow from a coordinator of which nothing is left
    worker = worker_from_before(bench, "b")
    bench.client().submit_plan("p", *chain("a", "b"), resent=True)
    # When that goes on, and ends
    go_on(worker, "b", node("b"))
    assert worker.delivered() == ["b"] and worker.attempt("b") == 2
    worker.report("b")
    assert bench.state_of("b") == "SUCCESS"
    # And the first call, of whose end nobody knows, runs again
    bench.wait(3.0)
    assert worker.delivered() == ["a"]
    worker.report("a", state=state)
    # Then it does not start once more, and nothing is left of it
    assert worker.delivered() == [] and bench.core.state.ledger.waiting_count == 0 and is_clean(bench)


def test_a_call_that_goes_on_does_not_end_with_one_before_it_that_fails_when_it_runs_again(bench: Bench) -> None:
    worker = worker_from_before(bench, "b")
    bench.client().submit_plan("p", *chain("a", "b", "c"), resent=True)
    go_on(worker, "b", *chain("x", "b"))
    assert worker.delivered() == ["x"]
    bench.wait(3.0)
    assert worker.delivered() == ["a"]
    worker.report("a", state=FAILURE)
    worker.report("x")
    assert worker.delivered() == ["b"]
    worker.report("b")
    assert worker.delivered() == ["c"]


def test_a_body_that_a_call_went_on_as_has_its_values_though_the_report_comes_again_after_a_restart(
    kept: Bench,
) -> None:
    client, worker = parties(kept)
    client.submit("a")
    assert worker.delivered() == ["a"]
    body = replacement(*chord("a", "x", "y"))
    worker.report("a", state=REPLACED, body=body)
    for task_id in worker.delivered():
        worker.report(task_id, body=task_id.encode())
    # When the coordinator is killed before the worker has heard that its first report was taken
    worker = after_a_restart(kept, worker, "a")
    worker.report("a", state=REPLACED, body=body)
    kept.wait(3.0)
    assert worker.delivered() == ["a"]
    assert inputs_of(worker, "a") == [Part("x", SUCCESS, b"x"), Part("y", SUCCESS, b"y")]


@pytest.mark.parametrize("before", [[], ["a"]])
def test_a_workflow_that_came_late_takes_nothing_from_what_a_call_has_gone_on_as_after_a_restart(
    kept: Bench, before: list[str]
) -> None:
    # Given a call that has gone on and was released, and then comes the workflow whose last call it is
    worker = worker_from_before(kept, "b")
    go_on(worker, "b", *chain("x", "b"))
    worker.report("x", body=b"of x")
    kept.client().submit_plan("p", *chain(*before, "b"), resent=True)
    kept.wait(3.0)
    worker.delivered()
    for task_id in before:
        worker.report(task_id, body=b"of a")
    # When the coordinator starts anew
    worker = new_worker_after_a_restart(kept, "another")
    # Then the call starts as what it has gone on as
    assert worker.delivered() == ["b"] and inputs_of(worker, "b") == [Part("x", SUCCESS, b"of x")]


def test_who_brings_a_workflow_late_is_told_of_its_call_that_goes_on(bench: Bench) -> None:
    worker = worker_from_before(bench, "b")
    go_on(worker, "b", *chain("x", "b"))
    client = bench.client()
    client.submit_plan("p", node("a", then=[(1, 0)]), node("b", VALUE, 1, replies=True), resent=True)
    bench.wait(3.0)
    for task_id in ("x", "a", "b"):
        assert task_id in worker.delivered() or task_id in worker.calls
        worker.report(task_id)
    assert client.outcomes()["b"] == "SUCCESS"
