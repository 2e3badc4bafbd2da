"""What starts when, with what, and what becomes of the rest when a call fails."""

from __future__ import annotations

import pytest

from actorq.wire import messages as m
from actorq.wire.records import CAUSE, FAILURE, NOTHING, SUCCESS, VALUE, VALUES, Inputs, Part
from tests.unit.coordinator.support import Bench, reason_of
from tests.unit.coordinator.workflows.support import (
    chain,
    chord,
    failure,
    inputs_of,
    is_clean,
    node,
    parties,
    with_errback,
)

# -- chains -------------------------------------------------------------------------------------------------------


def test_a_call_of_a_chain_starts_when_the_one_before_it_has_succeeded_and_takes_its_value(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b", "c"))
    assert worker.delivered() == ["a"]
    worker.report("a", body=b"1")
    assert worker.delivered() == ["b"]
    assert inputs_of(worker, "b") == [Part("a", SUCCESS, b"1")]
    worker.report("b", body=b"2")
    worker.report("c", body=b"3")
    assert is_clean(bench)
    assert inputs_of(worker, "c") == [Part("b", SUCCESS, b"2")]


def test_one_that_takes_nothing_waits_all_the_same(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b", takes=NOTHING))
    assert worker.delivered() == ["a"]
    worker.report("a", body=b"1")
    assert worker.delivered() == ["b"]
    assert worker.calls["b"].inputs is None


def test_all_that_follow_a_failed_call_of_a_chain_fail_with_it(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b", "c"))
    worker.report("a", state=FAILURE, body=failure())
    assert worker.delivered() == []
    settled = [outcome for message in client.take(m.Settled) for outcome in message.outcomes]
    assert {outcome.id: reason_of(outcome) for outcome in settled} == {"b": "no", "c": "no"}
    assert is_clean(bench)


def test_a_chain_of_thousands_fails_in_one_step(bench: Bench) -> None:
    client, worker = parties(bench)
    ids = [f"call-{number}" for number in range(3000)]
    client.submit_plan("p", *chain(*ids))
    worker.report(ids[0], state=FAILURE, body=failure())
    assert bench.state_of(ids[-1]) == "FAILURE"
    assert is_clean(bench)


# -- chords -------------------------------------------------------------------------------------------------------


def test_the_body_of_a_chord_starts_once_with_all_values_in_order(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chord("body", "a", "b", "c"))
    worker.report("c", body=b"3")
    worker.report("a", body=b"1")
    assert worker.delivered() == []
    worker.report("b", body=b"2")
    assert worker.delivered() == ["body"]
    assert [part.body for part in inputs_of(worker, "body")] == [b"1", b"2", b"3"]
    worker.report("body")
    assert is_clean(bench)


def test_a_chord_without_header_starts_at_once_with_an_empty_list(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", node("body", VALUES))
    assert worker.delivered() == ["body"]
    assert worker.calls["body"].inputs == Inputs(VALUES, [])


@pytest.mark.parametrize("end", ["failed", "revoked", "expired"])
def test_a_chord_whose_member_is_lost_does_not_hang(bench: Bench, end: str) -> None:
    client, worker = parties(bench, slots=1)
    nodes = chord("body", "a", "b", "c")
    if end == "expired":
        nodes[1].call.expires = bench.wall_s + 1
    client.submit_plan("p", *nodes)
    assert worker.delivered() == ["a"]
    if end == "revoked":
        client.order("revoke", ids=["b"])
    elif end == "expired":
        bench.wait(1.5)
    if end == "failed":
        worker.report("a", state=FAILURE, body=failure())
    else:
        worker.report("a")
    outcome = bench.core.state.outcomes.get("body")
    assert outcome is not None and outcome.state == FAILURE
    assert reason_of(outcome).startswith(f"Dependency {'a' if end == 'failed' else 'b'} raised ")
    while worker.delivered():
        worker.report(*[each for each in worker.calls if bench.state_of(each) == "open"])
    assert is_clean(bench)


def test_two_failed_members_settle_the_body_once(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chord("body", "a", "b"))
    worker.report("a", "b", state=FAILURE, body=failure())
    settled = [outcome.id for message in client.take(m.Settled) for outcome in message.outcomes]
    assert settled == ["body"]
    assert is_clean(bench)


# -- errbacks -----------------------------------------------------------------------------------------------------


def test_an_errback_starts_when_its_call_fails_and_hears_how(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *with_errback(node("a")))
    worker.report("a", state=FAILURE, body=failure())
    assert worker.delivered() == ["errback"]
    assert inputs_of(worker, "errback") == [Part("a", FAILURE, failure())]
    worker.report("errback")
    assert is_clean(bench)


def test_an_errback_is_dropped_when_its_call_succeeds(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *with_errback(node("a")))
    worker.report("a")
    assert worker.delivered() == []
    assert is_clean(bench)


@pytest.mark.parametrize("failing", range(3))
def test_the_errback_of_a_chain_starts_once_whichever_call_fails(bench: Bench, failing: int) -> None:
    client, worker = parties(bench)
    ids = ["a", "b", "c"]
    client.submit_plan("p", *with_errback(*chain(*ids)))
    for each in ids[:failing]:
        worker.report(each)
    worker.report(ids[failing], state=FAILURE, body=failure())
    assert worker.delivered() == ["errback"]
    assert [part.id for part in inputs_of(worker, "errback")] == [ids[failing]]
    worker.report("errback")
    assert is_clean(bench)


def test_the_errback_of_a_body_hears_that_a_member_has_failed(bench: Bench) -> None:
    client, worker = parties(bench)
    nodes = chord("body", "a", "b")
    nodes[-1].catch = [3]
    client.submit_plan("p", *nodes, node("errback", CAUSE, 1))
    worker.report("b", state=FAILURE, body=failure())
    assert worker.delivered() == ["errback"]
    assert [part.id for part in inputs_of(worker, "errback")] == ["body"]


def test_the_errback_of_a_body_is_dropped_when_its_header_has_not_failed_itself(bench: Bench) -> None:
    client, worker = parties(bench)
    first = node("first", then=[(1, 0), (2, 0)])
    a, b = node("a", VALUE, 1, then=[(3, 0)]), node("b", VALUE, 1, then=[(3, 1)])
    a.catch, b.catch, body = [4], [4], node("body", VALUES, 2)
    body.catch = [4]
    client.submit_plan("p", first, a, b, body, node("errback", CAUSE, 3))
    worker.report("first", state=FAILURE, body=failure())
    assert worker.delivered() == []
    assert is_clean(bench)
