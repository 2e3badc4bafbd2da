"""Workflows that come twice, and those that are refused."""

from __future__ import annotations

import pytest

from actorq.wire import messages as m
from actorq.wire.records import CAUSE, FAILURE, NOTHING, SUCCESS, VALUE, CallSpec, Inputs, Node, Part, Plan
from tests.unit.coordinator.support import Bench
from tests.unit.coordinator.workflows.support import chain, failure, is_clean, node, parties


def test_a_plan_that_comes_twice_is_one(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    client.submit_plan("p", *chain("a", "b"), resent=True)
    assert worker.delivered() == ["a"]
    worker.report("a")
    assert worker.delivered() == ["b"]
    worker.report("b")
    assert is_clean(bench)


def test_a_plan_that_comes_again_after_its_end_starts_nothing(bench: Bench) -> None:
    """Not even the errback of a call that has failed only with the one before it, which was dropped."""
    client, worker = parties(bench)
    for resent in (False, True):
        first, second = chain("a", "b")
        second.catch = [2]
        client.submit_plan("p", first, second, node("errback", CAUSE, 1), resent=resent)
        if not resent:
            assert worker.delivered() == ["a"]
            worker.report("a", state=FAILURE, body=failure())
    bench.wait(3.0)
    assert worker.delivered() == [] and is_clean(bench)


def test_a_plan_that_was_taken_is_not_refused_when_it_comes_again(kept: Bench) -> None:
    client, worker = parties(kept)
    spec = CallSpec("add", queue="", exchange="jobs")
    client.order(
        "declare", items=[["exchange", ["jobs"], {"type": "fanout"}], ["binding", ["jobs", "default", ""], {}]]
    )
    for trouble in ("", "the disk is full"):
        kept.core.report_trouble(trouble)
        client.submit_plan("p", *chain("a", "b"))
        client.submit_plan("q", *chain("x", "y"), spec=spec)
        if not trouble:
            worker.report("a", "x")
            worker.report("b", "y")
            client.order("declare", items=[["exchange", ["jobs"], None]])
    assert not client.take(m.Refused) and worker.delivered() == []


def test_a_client_does_not_say_what_others_have_made(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit(
        "a", inputs=Inputs(VALUE, [Part("b", SUCCESS, b"")])
    )  # A body that is not there, for a worker to miss.
    ((refused,),) = [each.calls for each in client.take(m.Refused)]
    assert refused[0] == "a" and "only a coordinator says that" in refused[1]
    assert worker.delivered() == []


def test_a_workflow_under_the_id_of_another_one_is_refused(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    client.submit_plan("p", *chain("x", "y"))
    assert worker.delivered() == ["a"]
    ((reason, *_),) = {tuple(why for _, why in each.calls) for each in client.take(m.Refused)}
    assert "another workflow has its id" in reason


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([], "it has no calls"),
        ([node("a"), node("a")], "same id"),
        ([node("a", then=[(0, 0)])], "does not come after it"),
        ([node("a", then=[(7, 0)])], "does not come after it"),
        ([node("a", then=[(1, 0)]), node("b")], "needs 0 calls, and follows 1"),
        ([node("a", then=[(1, 5)]), node("b", VALUE, 1)], "beyond those"),
        ([node("a", then=[(1, 0)], catch=[1]), node("b", NOTHING, 2)], "success of some"),
        ([node("a", then=[(1, 0)]), node("b", CAUSE, 1)], "does not follow what it takes"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_the_reason(bench: Bench, nodes: list[Node], reason: str) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *nodes)
    refused = [each for message in client.take(m.Refused) for each in message.calls]
    assert all(reason in why for _, why in refused) and bool(refused) == bool(nodes)
    assert worker.delivered() == [] and is_clean(bench)


def test_of_several_plans_that_come_together_those_that_cannot_be_taken_are_refused_together(bench: Bench) -> None:
    client, worker = parties(bench)
    submission = client.submission()
    submission.plans = [Plan(each, chain(each, f"after {each}")) for each in "abcd"]
    for plan in submission.plans[1::2]:
        plan.nodes[1].needs = 2
    client.say(submission)
    assert worker.delivered() == ["a", "c"]
    ((*refused,),) = [each.calls for each in client.take(m.Refused)]
    assert [task_id for task_id, _ in refused] == ["b", "after b", "d", "after d"]
    assert client.accepted() == 1


@pytest.mark.parametrize(
    ("spec", "trouble", "reason"),
    [
        (CallSpec("f", code="digest", ignore_result=True), "", m.CODE_MISSING),
        (CallSpec("add", ignore_result=True), "the disk is full", "the disk is full"),
        (CallSpec("add", queue="", exchange="nowhere", ignore_result=True), "", "there is no exchange 'nowhere'"),
    ],
)
def test_a_plan_whose_outcomes_nobody_awaits_is_refused_by_its_first_call(
    kept: Bench, spec: CallSpec, trouble: str, reason: str
) -> None:
    """Or nobody would hear that it was not taken."""
    client = kept.client()
    kept.core.report_trouble(trouble)
    nodes = chain("a", "b")
    for each in nodes:
        each.replies = False
    client.submit_plan("p", *nodes, spec=spec)
    ((refused,),) = [each.calls for each in client.take(m.Refused)]
    assert refused[0] == "a" and reason in refused[1]
