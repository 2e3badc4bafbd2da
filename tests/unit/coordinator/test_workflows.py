"""Workflows: what starts when, with what, and what becomes of the rest when a call fails."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actorq.coordinator.core import Coordinator
from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.payload import encode_failure
from actorq.wire.records import (
    CAUSE,
    FAILURE,
    NOTHING,
    REPLACED,
    REVOKED,
    SUCCESS,
    VALUE,
    VALUES,
    Call,
    CallSpec,
    Extra,
    Inputs,
    Node,
    Outcome,
    Part,
    Plan,
    Replacement,
)
from tests.unit.coordinator.support import SPEC, Bench, ClientParty, WorkerParty, reason_of


def node(task_id: str, takes: int = NOTHING, needs: int = 0, **fields: Any) -> Node:
    return Node(Call(task_id, 1, f"arguments of {task_id}".encode()), takes, needs, **fields)


def chain(*ids: str, takes: int = VALUE) -> list[Node]:
    """Each takes the value of the one before it."""
    nodes = [node(ids[0])] + [node(each, takes, 1) for each in ids[1:]]
    for index, each in enumerate(nodes[:-1]):
        each.then = [(index + 1, 0)]
    return nodes


def chord(body: str, *header: str) -> list[Node]:
    """The body takes the values of all."""
    nodes = [node(each, then=[(len(header), place)]) for place, each in enumerate(header)]
    return [*nodes, node(body, VALUES, len(header))]


def inputs_of(worker: WorkerParty, task_id: str) -> list[Part]:
    """What a delivered call takes from those before it."""
    inputs = worker.calls[task_id].inputs
    return [] if inputs is None else inputs.parts


def failure(text: str = "no") -> bytes:
    return encode_failure(ValueError(text), "")


def replacement(*nodes: Node, specs: tuple[CallSpec, ...] = (SPEC,), plan_id: str = "more") -> bytes:
    return msgspec.msgpack.encode(Replacement(list(specs), Plan(plan_id, list(nodes))))


def core_of(bench: Bench) -> Coordinator:
    return bench.core


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def kept() -> Bench:
    """With a journal."""
    return Bench(shelf=Shelf())


def parties(bench: Bench, slots: int = 10) -> tuple[ClientParty, WorkerParty]:
    return bench.client(), bench.worker(slots=slots)


def is_clean(bench: Bench) -> bool:
    ledger, state = bench.core.state.ledger, bench.core.state
    return not (ledger.entries or ledger.members or ledger.waiting_count or state.calls or state.body_bytes)


# -- chains ------------------------------------------------------------------------------------------------------


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


# -- chords ------------------------------------------------------------------------------------------------------


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


# -- errbacks ----------------------------------------------------------------------------------------------------


def with_errback(*nodes: Node) -> list[Node]:
    """The same errback for all."""
    for each in nodes:
        each.catch = [len(nodes)]
    return [*nodes, node("errback", CAUSE, len(nodes))]


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


# -- plans that come twice, and what is refused ------------------------------------------------------------------


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


def test_a_plan_sent_again_to_a_new_coordinator_goes_on_where_a_worker_runs_it(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chord("body", "a"))
    worker.report("a")
    assert worker.delivered() == ["body"]
    bench.start()
    worker = worker.return_anew(held=[("body", 1)], slots=10, coordinator="epoch-1")
    client = bench.client()
    client.submit_plan("p", *chord("body", "a"), resent=True)
    bench.wait(3.0)
    assert worker.delivered() == ["a"]  # Nobody knows its value any more.
    worker.calls["body"] = Call("body", 1, b"", attempt=1)
    worker.report("a")
    assert worker.delivered() == []
    worker.report("body")
    assert is_clean(bench)
    assert bench.state_of("body") == "SUCCESS"


def test_a_body_that_only_an_earlier_coordinator_has_started_fails_when_its_worker_is_lost_too(bench: Bench) -> None:
    """A member that ran once more has failed meanwhile."""
    client, worker = parties(bench)
    client.submit_plan("p", *chord("body", "a"))
    worker.report("a")
    assert worker.delivered() == ["body"]
    bench.start()
    first = worker.return_anew(held=[("body", 1)], slots=10, coordinator="epoch-1")
    second, client = bench.worker("second"), bench.client()
    client.submit_plan("p", *chord("body", "a"), resent=True)
    bench.wait(3.0)
    (worker,) = [each for each in (first, second) if each.delivered() == ["a"]]
    worker.report("a", state=FAILURE, body=failure())
    assert bench.state_of("body") == "open", "it may succeed"
    first.die()
    assert bench.state_of("body") == "FAILURE" and is_clean(bench)
    assert client.outcomes() == {"body": "FAILURE"}


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


def test_a_revoked_call_that_waits_for_others_ends_at_once(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b", "c"))
    assert client.order("revoke", ids=["b"]) == {"b": "removed"}
    assert bench.state_of("b") == bench.state_of("c") == "REVOKED"
    worker.report("a")
    assert worker.delivered() == [] and is_clean(bench)


def test_inspecting_a_workflow_shows_who_is_missing(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chord("body", "a", "b"))
    worker.report("b")
    assert client.order("workflow", id="p") == {
        "id": "p",
        "calls": 3,
        "ended": 1,
        "missing": [
            {"id": "a", "task": "add", "has_started": True},
            {"id": "body", "task": "add", "has_started": False},
        ],
    }


# -- a task that goes on as a plan -------------------------------------------------------------------------------


def test_a_task_that_is_retried_runs_again_under_its_id(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit("a")
    worker.report("a", state=REPLACED, body=replacement(node("a")))
    assert worker.delivered() == ["a"]
    assert worker.attempt("a") == 2
    worker.report("a")
    assert bench.state_of("a") == "SUCCESS" and is_clean(bench)


def test_what_followed_a_replaced_call_follows_its_replacement(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "y", "a")))
    assert worker.delivered() == ["x"]
    worker.report("x")
    worker.report("y", body=b"why")
    worker.report("a", state=REPLACED, body=replacement(node("a"), plan_id="again"))
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
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
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
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
    other = bench.client("other")
    other.submit("a", fresh=False)
    assert worker.delivered() == ["x"]
    worker.report("x")
    worker.report("a")
    assert other.outcomes() == {"a": "SUCCESS"}


def test_a_call_that_is_handed_over_again_is_not_taken_while_it_goes_on_as_a_workflow(bench: Bench) -> None:
    heir = Bench()
    bench.client().submit("a")
    link = bench.coordinator("heir")
    bench.core._handover.begin()
    bench.step()
    (message,) = link.link.take(m.HandOver)
    taker = heir.coordinator("giver")
    taker.say(message)
    worker = heir.worker()
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
    taker.say(message)
    assert worker.delivered() == ["x"]
    worker.report("x")
    assert worker.delivered() == ["a"]
    worker.report("a")
    assert is_clean(heir)


def test_a_replacement_that_fails_fails_what_it_replaces(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b"))
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
    worker.report("x", state=FAILURE, body=failure())
    assert bench.state_of("a") == bench.state_of("b") == "FAILURE"
    assert is_clean(bench)


@pytest.mark.parametrize("body", [b"", b"\xc1", replacement(node("other")), replacement(node("a"), specs=())])
def test_a_replacement_that_makes_no_sense_fails_the_call(bench: Bench, body: bytes) -> None:
    client, worker = parties(bench)
    client.submit("a")
    worker.report("a", state=REPLACED, body=body)
    assert bench.state_of("a") == "FAILURE" and is_clean(bench)


# -- restarts ----------------------------------------------------------------------------------------------------


def test_a_workflow_goes_on_after_a_restart_with_what_has_ended(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *chord("body", "a", "b"), *())
    worker.report("a", body=b"1")
    kept.start()
    worker = kept.worker(slots=10)
    kept.wait(3.0)
    assert worker.delivered() == ["b"]
    worker.report("b", body=b"2")
    assert worker.delivered() == ["body"]
    assert [part.body for part in inputs_of(worker, "body")] == [b"1", b"2"]
    worker.report("body")
    assert is_clean(kept)
    assert kept.shelf is not None and not (kept.shelf.plans or kept.shelf.steps)


def test_a_body_that_runs_during_a_restart_does_not_run_again(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *chord("body", "a"))
    worker.report("a", body=b"1")
    assert worker.delivered() == ["body"]
    kept.start()
    worker = worker.return_anew(held=[("body", 1)], slots=10, coordinator="epoch-1")
    worker.calls["body"] = Call("body", 1, b"", attempt=1)
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


def test_a_replacement_survives_a_restart(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *chain("a", "b"))
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
    kept.start()
    worker = kept.worker(slots=10)
    kept.wait(3.0)
    assert worker.delivered() == ["x"]
    worker.report("x", body=b"of x")
    assert worker.delivered() == ["a"] and inputs_of(worker, "a") == [Part("x", SUCCESS, b"of x")]
    kept.start()
    worker = kept.worker("other", slots=10)
    kept.wait(3.0)
    assert worker.delivered() == ["a"] and inputs_of(worker, "a") == [Part("x", SUCCESS, b"of x")]
    worker.report("a", body=b"1")
    worker.report("b")
    assert is_clean(kept)


def test_a_report_of_a_replacement_that_comes_again_after_a_restart_changes_nothing(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit("a")
    worker.report("a", state=REPLACED, body=replacement(node("a")))
    assert worker.delivered()[-1] == "a"
    kept.start()
    worker = worker.return_anew(held=[("a", 1)], slots=10, coordinator="epoch-1")
    worker.calls["a"] = Call("a", 1, b"", attempt=1)
    worker.report("a", state=REPLACED, body=replacement(node("a")))
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
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
    assert worker.delivered() == ["x"]
    kept.start()
    late = worker.return_anew(held=[("a", 1)], coordinator="epoch-1")
    other = kept.worker("other")
    if comes_again:
        kept.client().submit("a", fresh=False, resent=True)
    kept.wait(3.0)
    assert other.delivered() == ["x"]
    other.report("x", body=b"1")
    late.calls["a"] = Call("a", 1, b"", attempt=1)
    late.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
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
    worker.report("b", state=REPLACED, body=replacement(node("b")))
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
    bench.start()
    worker = bench.worker(slots=10, held=[(task_id, 1)], coordinator="epoch-1")
    worker.report(task_id, attempt=1, state=REPLACED, body=replacement(*chain("x", task_id)))
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
    bench.start()
    worker = bench.worker(slots=10, held=[("b", 1)], coordinator="epoch-1")
    bench.client().submit_plan("p", *chain("a", "b"), resent=True)
    # When that goes on, and ends
    worker.report("b", attempt=1, state=REPLACED, body=replacement(node("b")))
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
    bench.start()
    worker = bench.worker(slots=10, held=[("b", 1)], coordinator="epoch-1")
    bench.client().submit_plan("p", *chain("a", "b", "c"), resent=True)
    worker.report("b", attempt=1, state=REPLACED, body=replacement(*chain("x", "b")))
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
    kept.start()
    worker = worker.return_anew(held=[("a", 1)], slots=10, coordinator="epoch-1")
    worker.report("a", attempt=1, state=REPLACED, body=body)
    kept.wait(3.0)
    assert worker.delivered() == ["a"]
    assert inputs_of(worker, "a") == [Part("x", SUCCESS, b"x"), Part("y", SUCCESS, b"y")]


@pytest.mark.parametrize("before", [[], ["a"]])
def test_a_workflow_that_came_late_takes_nothing_from_what_a_call_has_gone_on_as_after_a_restart(
    kept: Bench, before: list[str]
) -> None:
    # Given a call that has gone on and was released, and then comes the workflow whose last call it is
    kept.start()
    worker = kept.worker(slots=10, held=[("b", 1)], coordinator="epoch-1")
    worker.report("b", attempt=1, state=REPLACED, body=replacement(*chain("x", "b")))
    worker.report("x", body=b"of x")
    kept.client().submit_plan("p", *chain(*before, "b"), resent=True)
    kept.wait(3.0)
    worker.delivered()
    for task_id in before:
        worker.report(task_id, body=b"of a")
    # When the coordinator starts anew
    kept.start()
    worker = kept.worker("another", slots=10)
    kept.wait(3.0)
    # Then the call starts as what it has gone on as
    assert worker.delivered() == ["b"] and inputs_of(worker, "b") == [Part("x", SUCCESS, b"of x")]


def test_who_brings_a_workflow_late_is_told_of_its_call_that_goes_on(bench: Bench) -> None:
    bench.start()
    worker = bench.worker(slots=10, held=[("b", 1)], coordinator="epoch-1")
    worker.report("b", attempt=1, state=REPLACED, body=replacement(*chain("x", "b")))
    client = bench.client()
    client.submit_plan("p", node("a", then=[(1, 0)]), node("b", VALUE, 1, replies=True), resent=True)
    bench.wait(3.0)
    for task_id in ("x", "a", "b"):
        assert task_id in worker.delivered() or task_id in worker.calls
        worker.report(task_id)
    assert client.outcomes()["b"] == "SUCCESS"


def test_errbacks_that_were_dropped_stay_so_after_a_restart(kept: Bench) -> None:
    client, worker = parties(kept)
    client.submit_plan("p", *with_errback(*chain("a", "b")))
    worker.report("a")
    kept.start()
    worker = kept.worker(slots=10)
    kept.wait(3.0)
    assert worker.delivered() == ["b"]
    worker.report("b")
    assert worker.delivered() == [] and is_clean(kept)


def test_a_call_of_a_workflow_that_may_run_only_once_does_not_start_again_after_a_restart(kept: Bench) -> None:
    once = CallSpec("add", acks_late=False)
    client, worker = parties(kept)
    client.submit_plan("p", *chain("a", "b"), spec=once)
    worker.announce("a")
    kept.start()
    worker = kept.worker("other", slots=10)
    kept.wait(3.0)
    assert worker.delivered() == []
    assert kept.state_of("a") == kept.state_of("b") == "FAILURE" and is_clean(kept)


# -- a coordinator leaves ----------------------------------------------------------------------------------------


def hand_over(giver: Bench, heir: Bench) -> None:
    """All that `giver` has goes to `heir`, as soon as it may."""
    link = giver.coordinator("heir")
    giver.core._handover.begin()
    giver.step()
    taker = heir.coordinator("giver")
    for message in link.link.take(m.HandOver):
        taker.say(message)
        link.link.say(m.Accepted(message.seq))


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
    giver.start()
    worker = giver.worker(slots=1, held=[("a", 1)], coordinator="epoch-1")
    worker.report("a", attempt=1, state=REPLACED, body=replacement(*chain("x", "a")))
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
    bench.core._handover.begin()
    bench.step()
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
    bench.core._handover.begin()
    bench.step()
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
    giver.core._handover.begin()
    giver.step()
    *_, last = other.link.take(m.HandOver)
    if end == "revoked":
        other.say(m.Control(0, "revoke", {"ids": ["a"]}, [], 0.0))
    else:
        giver.wait(10.5)
    assert giver.state_of("a") == giver.state_of("b") == "REVOKED"
    other.link.say(m.Accepted(last.seq))
    assert is_clean(giver) and giver.shelf is not None and not giver.shelf.plans
    assert other.link.take(m.HandOverOutcomes), "it goes on to leave"


def test_what_a_call_was_replaced_by_is_handed_over_with_what_follows_it(bench: Bench) -> None:
    heir = Bench()
    client, worker = parties(bench, slots=1)
    client.submit_plan("p", *chain("a", "b"))
    worker.report("a", state=REPLACED, body=replacement(*chain("x", "a")))
    assert worker.delivered() == ["x"]
    worker.give_back("x")
    hand_over(bench, heir)
    assert is_clean(bench)
    worker = heir.worker()
    for task_id in ("x", "a", "b"):
        assert worker.delivered() == [task_id]
        worker.report(task_id)
    assert is_clean(heir)


def test_revoking_what_a_tree_goes_back_to_ends_its_calls_that_wait_for_others(bench: Bench) -> None:
    client, worker = parties(bench, slots=1)
    nodes = chain("a", "b", "c")
    for each in nodes:
        each.call.extra = Extra(root="top")
    client.submit_plan("p", *nodes)
    assert worker.delivered() == ["a"]
    client.order("revoke", roots=["top"])
    assert bench.state_of("b") == bench.state_of("c") == "REVOKED"
    worker.report("a", state=REVOKED, body=failure())
    assert is_clean(bench)


def test_an_errback_that_has_not_started_starts_after_a_restart() -> None:
    bench = Bench(shelf=Shelf())
    client, worker = parties(bench, slots=1)
    nodes = chain("a", "b")
    for each in nodes:
        each.catch.append(2)
    client.submit_plan("p", *nodes, node("errback", CAUSE, 2))
    worker.report("a", state=FAILURE, body=failure())
    worker.give_back("errback")
    bench.start()
    bench.wait(3.0)
    worker = bench.worker()
    assert worker.delivered() == ["errback"]
    worker.report("errback")
    assert is_clean(bench)
