"""Workflows whose coordinator is killed."""

from __future__ import annotations

from actorq.wire.records import CAUSE, FAILURE, CallSpec
from tests.unit.coordinator.support import Bench, WorkerParty
from tests.unit.coordinator.workflows.support import (
    after_a_restart,
    chain,
    chord,
    failure,
    inputs_of,
    is_clean,
    new_worker_after_a_restart,
    node,
    parties,
    with_errback,
)


def worker_with_a_body(bench: Bench) -> WorkerParty:
    """It runs the body of a chord whose only member has ended."""
    client, worker = parties(bench)
    client.submit_plan("p", *chord("body", "a"))
    worker.report("a", body=b"1")
    assert worker.delivered() == ["body"]
    return worker


def test_a_plan_sent_again_to_a_new_coordinator_goes_on_where_a_worker_runs_it(bench: Bench) -> None:
    worker = worker_with_a_body(bench)
    worker = after_a_restart(bench, worker, "body")
    client = bench.client()
    client.submit_plan("p", *chord("body", "a"), resent=True)
    bench.wait(3.0)
    assert worker.delivered() == ["a"]  # Nobody knows its value any more.
    worker.report("a")
    assert worker.delivered() == []
    worker.report("body")
    assert is_clean(bench)
    assert bench.state_of("body") == "SUCCESS"


def test_a_body_that_only_an_earlier_coordinator_has_started_fails_when_its_worker_is_lost_too(bench: Bench) -> None:
    """A member that ran once more has failed meanwhile."""
    worker = worker_with_a_body(bench)
    first = after_a_restart(bench, worker, "body")
    second, client = bench.worker("second"), bench.client()
    client.submit_plan("p", *chord("body", "a"), resent=True)
    bench.wait(3.0)
    (worker,) = [each for each in (first, second) if each.delivered() == ["a"]]
    worker.report("a", state=FAILURE, body=failure())
    assert bench.state_of("body") == "open", "it may succeed"
    first.die()
    assert bench.state_of("body") == "FAILURE" and is_clean(bench)
    assert client.outcomes() == {"body": "FAILURE"}


def test_a_workflow_goes_on_after_a_restart_with_what_has_ended(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *chord("body", "a", "b"))
    worker.report("a", body=b"1")
    worker = new_worker_after_a_restart(kept)
    assert worker.delivered() == ["b"]
    worker.report("b", body=b"2")
    assert worker.delivered() == ["body"]
    assert [part.body for part in inputs_of(worker, "body")] == [b"1", b"2"]
    worker.report("body")
    assert is_clean(kept)
    assert kept.shelf is not None and not (kept.shelf.plans or kept.shelf.steps)


def test_a_body_that_runs_during_a_restart_does_not_run_again(kept: Bench) -> None:
    worker = worker_with_a_body(kept)
    worker = after_a_restart(kept, worker, "body")
    kept.wait(3.0)
    assert worker.delivered() == []
    worker.report("body")
    assert kept.state_of("body") == "SUCCESS" and is_clean(kept)


def test_a_step_whose_end_was_not_written_does_not_run_again_after_a_restart(kept: Bench) -> None:
    # Given a chain whose steps ran on two workers, and a coordinator that was killed before it had written their ends
    client, worker = parties(kept)
    client.submit_plan("p", *chain("a", "b", "c", "d"))
    kept.is_slow = True
    for each in ("a", "b", "c"):
        assert worker.delivered() == [each]
        worker.report(each)
    kept.start()
    kept.is_slow = False
    # When the worker that ran the second step is back before the one that ran the others
    early = kept.worker("early", slots=10, held=[("b", 1)], coordinator="epoch-1")
    early.report("b", attempt=1)
    late = kept.worker("late", slots=10, held=[("a", 1), ("c", 1)], coordinator="epoch-1")
    late.report("a", attempt=1)
    late.report("c", attempt=1)
    kept.wait(3.0)
    # Then only that starts which nobody has run
    assert early.delivered() + late.delivered() == ["d"]


def test_errbacks_that_were_dropped_stay_so_after_a_restart(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *with_errback(*chain("a", "b")))
    worker.report("a")
    worker = new_worker_after_a_restart(kept)
    assert worker.delivered() == ["b"]
    worker.report("b")
    assert worker.delivered() == [] and is_clean(kept)


def test_a_call_of_a_workflow_that_may_run_only_once_does_not_start_again_after_a_restart(kept: Bench) -> None:
    once = CallSpec("add", acks_late=False)
    client, worker = parties(kept)
    client.submit_plan("p", *chain("a", "b"), spec=once)
    worker.announce("a")
    worker = new_worker_after_a_restart(kept, "other")
    assert worker.delivered() == []
    assert kept.state_of("a") == kept.state_of("b") == "FAILURE" and is_clean(kept)


def test_an_errback_that_has_not_started_starts_after_a_restart(kept: Bench) -> None:
    client, worker = parties(kept, slots=1)
    nodes = chain("a", "b")
    for each in nodes:
        each.catch.append(2)
    client.submit_plan("p", *nodes, node("errback", CAUSE, 2))
    worker.report("a", state=FAILURE, body=failure())
    worker.give_back("errback")
    kept.start()
    kept.wait(3.0)
    worker = kept.worker()
    assert worker.delivered() == ["errback"]
    worker.report("errback")
    assert is_clean(kept)
