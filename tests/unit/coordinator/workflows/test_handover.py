"""Workflows of a coordinator that leaves."""

from __future__ import annotations

import pytest

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import CAUSE, SUCCESS, VALUES, Part
from tests.unit.coordinator.support import Bench, outcome
from tests.unit.coordinator.workflows.support import (
    chain,
    go_on,
    hand_over,
    inputs_of,
    is_clean,
    node,
    parties,
    worker_from_before,
)


def test_a_call_that_is_handed_over_again_is_not_taken_while_it_goes_on_as_a_workflow(bench: Bench) -> None:
    heir = Bench()
    bench.client().submit("a")
    link = bench.coordinator("heir")
    bench.drain()
    (message,) = link.link.take(m.HandOver)
    taker = heir.coordinator("giver")
    taker.say(message)
    worker = heir.worker()
    go_on(worker, "a", *chain("x", "a"))
    taker.say(message)
    assert worker.delivered() == ["x"]
    worker.report("x")
    assert worker.delivered() == ["a"]
    worker.report("a")
    assert is_clean(heir)


def test_a_workflow_goes_on_at_the_coordinator_that_takes_over() -> None:
    giver, heir = Bench(shelf=Shelf()), Bench(shelf=Shelf())
    client, worker = parties(giver, slots=2)
    nodes = [node(each, then=[(4, place)]) for place, each in enumerate("abcd")]
    client.submit_plan("p", *nodes, node("body", VALUES, 4, catch=[5]), node("errback", CAUSE, 1))
    worker.report("a", body=b"1")
    worker.report("b", body=b"2")
    worker.give_back("c", "d")
    hand_over(giver, heir)
    assert is_clean(giver) and giver.shelf is not None and not giver.shelf.plans
    heir.start()
    heir.wait(3.0)
    worker = heir.worker(slots=10)
    assert sorted(worker.delivered()) == ["c", "d"]
    worker.report("d", body=b"4")
    worker.report("c", body=b"3")
    assert worker.delivered() == ["body"]
    assert [part.body for part in inputs_of(worker, "body")] == [b"1", b"2", b"3", b"4"]
    worker.report("body")
    assert is_clean(heir) and heir.shelf is not None and not (heir.shelf.plans or heir.shelf.steps)


def test_a_workflow_that_came_late_is_handed_over_with_what_its_call_has_gone_on_as() -> None:
    giver, heir = Bench(), Bench()
    worker = worker_from_before(giver, "a", slots=1)
    go_on(worker, "a", *chain("x", "a"))
    worker.report("x", body=b"of x")
    assert worker.delivered()[-1] == "a"
    giver.client().submit_plan("p", node("a"), resent=True)
    worker.give_back("a")
    hand_over(giver, heir)
    worker = heir.worker(slots=10)
    heir.wait(3.0)
    assert worker.delivered() == ["a"] and inputs_of(worker, "a") == [Part("x", SUCCESS, b"of x")]


def test_a_workflow_is_handed_over_when_what_runs_of_it_has_ended(bench: Bench) -> None:
    heir = Bench()
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    link = bench.coordinator("heir")
    bench.drain()
    assert not link.link.take(m.HandOver)
    worker.report("a", body=b"1")
    (message,) = link.link.take(m.HandOver)
    heir.coordinator("giver").say(message)
    worker = heir.worker()
    assert worker.delivered() == ["b"] and inputs_of(worker, "b") == [Part("a", SUCCESS, b"1")]
    worker.report("b")
    assert is_clean(heir)


def test_a_workflow_that_is_handed_over_again_goes_on_with_what_has_ended_since(bench: Bench) -> None:
    """The connection is lost before the one that leaves hears that the other one has it."""
    heir = Bench()
    client = bench.client()
    client.submit_plan("p", *chain("a", "b", "c"))
    client.submit_plan("q", *chain("x", "y"))
    link = bench.coordinator("heir")
    bench.drain()
    messages = link.link.take(m.HandOver)
    taker = heir.coordinator("giver")
    taker.say(*messages)
    worker = heir.worker(slots=2)
    for task_id in "abcx":
        worker.delivered()
        worker.report(task_id)
    assert worker.delivered() == ["y"]
    taker.say(*messages)
    assert worker.delivered() == []
    worker.report("y")
    assert is_clean(heir)


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_workflow_that_ends_while_it_is_on_its_way_to_another_coordinator_is_over(end: str) -> None:
    giver = Bench(shelf=Shelf())
    client = giver.client()
    nodes = chain("a", "b")
    nodes[0].call.expires = giver.wall_s + 10
    client.submit_plan("p", *nodes)
    client.submit_plan("q", *chain("x", "y"))
    other = giver.coordinator("heir")
    giver.drain()
    *_, last = other.link.take(m.HandOver)
    if end == "revoked":
        other.say(m.Control(0, "revoke", {"ids": ["a"]}, [], 0.0))
    else:
        giver.wait(10.5)
    assert giver.state_of("a") == giver.state_of("b") == "REVOKED"
    other.link.say(m.Accepted(last.seq))
    assert is_clean(giver) and giver.shelf is not None and not giver.shelf.plans
    assert other.link.take(m.HandOverOutcomes), "it goes on to leave"


def test_a_workflow_goes_on_with_the_outcome_that_a_coordinator_hands_over_as_it_leaves(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b", "c"))
    assert worker.delivered() == ["a"]
    bench.coordinator("giver").say(m.HandOverOutcomes(1, [outcome("b")]))
    assert worker.delivered() == ["c"]
    worker.report("a")
    worker.report("c")
    assert worker.delivered() == [] and is_clean(bench)


def test_what_a_call_was_replaced_by_is_handed_over_with_what_follows_it(bench: Bench) -> None:
    heir = Bench()
    client, worker = parties(bench, slots=1)
    client.submit_plan("p", *chain("a", "b"))
    go_on(worker, "a", *chain("x", "a"))
    assert worker.delivered() == ["x"]
    worker.give_back("x")
    hand_over(bench, heir)
    assert is_clean(bench)
    worker = heir.worker()
    for task_id in ("x", "a", "b"):
        assert worker.delivered() == [task_id]
        worker.report(task_id)
    assert is_clean(heir)
