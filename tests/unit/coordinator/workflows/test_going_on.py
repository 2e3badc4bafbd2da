"""A task that goes on as another plan: a retry, or a replacement."""

from __future__ import annotations

import pytest

from actorq.wire.records import FAILURE, REPLACED, SUCCESS, CallSpec, Part
from tests.unit.coordinator.support import Bench
from tests.unit.coordinator.workflows.support import (
    chain,
    failure,
    go_on,
    inputs_of,
    is_clean,
    node,
    parties,
    replacement,
)


def test_a_task_that_is_retried_runs_again_under_its_id(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit("a")
    go_on(worker, "a", node("a"))
    assert worker.delivered() == ["a"]
    assert worker.attempt("a") == 2
    worker.report("a")
    assert bench.state_of("a") == "SUCCESS" and is_clean(bench)


def test_what_followed_a_replaced_call_follows_its_replacement(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    go_on(worker, "a", *chain("x", "y", "a"))
    assert worker.delivered() == ["x"]
    worker.report("x")
    worker.report("y", body=b"why")
    go_on(worker, "a", node("a"), plan_id="again")
    assert worker.delivered() == ["a"]
    worker.report("a", body=b"1")
    assert worker.delivered() == ["b"]
    assert inputs_of(worker, "b") == [Part("a", SUCCESS, b"1")]
    worker.report("b")
    assert is_clean(bench)


@pytest.mark.parametrize("resent", [False, True])
def test_a_call_that_goes_on_as_a_workflow_is_known_when_it_comes_again(bench: Bench, resent: bool) -> None:
    client, worker = parties(bench)
    once = CallSpec("add", acks_late=False)
    client.submit("a", spec=once)
    worker.announce("a")
    go_on(worker, "a", *chain("x", "a"))
    client.submit("a", spec=once, fresh=False, resent=resent)
    bench.wait(3.0)
    assert worker.delivered() == ["x"]
    worker.report("x", body=b"1")
    assert worker.delivered() == ["a"] and inputs_of(worker, "a") == [Part("x", SUCCESS, b"1")]
    worker.report("a")
    assert bench.state_of("a") == "SUCCESS" and is_clean(bench)


def test_who_submits_a_call_again_that_goes_on_as_a_workflow_hears_of_its_end(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit("a")
    go_on(worker, "a", *chain("x", "a"))
    other = bench.client("other")
    other.submit("a", fresh=False)
    assert worker.delivered() == ["x"]
    worker.report("x")
    worker.report("a")
    assert other.outcomes() == {"a": "SUCCESS"}


def test_a_replacement_that_fails_fails_what_it_replaces(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    go_on(worker, "a", *chain("x", "a"))
    worker.report("x", state=FAILURE, body=failure())
    assert bench.state_of("a") == bench.state_of("b") == "FAILURE"
    assert is_clean(bench)


@pytest.mark.parametrize("body", [b"", b"\xc1", replacement(node("other")), replacement(node("a"), specs=())])
def test_a_replacement_that_makes_no_sense_fails_the_call(bench: Bench, body: bytes) -> None:
    client, worker = parties(bench)
    client.submit("a")
    worker.report("a", state=REPLACED, body=body)
    assert bench.state_of("a") == "FAILURE" and is_clean(bench)
