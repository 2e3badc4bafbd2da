"""A coordinator that leaves the mesh, and the one that takes over from it."""

from __future__ import annotations

import pytest

from actorq.coordinator.core import state
from actorq.stores.api import ForgetCodes
from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import Call, CallSpec, Member, Node, Plan, PlanInProgress
from tests.unit.coordinator.support import OWN, SPEC, VERSIONS, Bench, CoordinatorParty, outcome


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.core.mesh.listens_at(OWN)
    return bench


def test_what_waits_is_handed_over_and_forgotten_when_the_other_one_has_it() -> None:
    bench = Bench(shelf=Shelf())
    assert bench.store is not None
    store = bench.store
    other, client = bench.coordinator("zoe"), bench.client("me")
    bench.core.state.clients["me"].reply_key = "key"
    client.submit("ready", "too")
    client.submit("later", not_before=bench.wall_s + 100)
    bench.drain()
    handed = other.link.take(m.HandOver)
    assert sorted(call.id for each in handed for call in each.calls) == ["later", "ready", "too"]
    assert {entry[1:] for each in handed for entry in each.clients} == {("me", "me", "tcp://me:1")}
    assert handed[0].keys == [(handed[0].clients[0][0], "key")]
    assert len(store.load().calls) == 3
    other.link.say(m.Accepted(handed[-1].seq))
    assert len(bench.core.state.calls) == 0 and len(store.load().calls) == 0
    assert other.link.take(m.Bye) and bench.has_left
    assert bench.news[1:] == [
        "this coordinator leaves the mesh: 3 calls to hand over, 0 leased ones to end",
        "this coordinator has left the mesh: another one has all that it had",
    ]


def test_what_may_run_once_is_given_up_if_the_one_that_was_to_take_it_over_is_lost(bench: Bench) -> None:
    others = [bench.coordinator("yan"), bench.coordinator("zoe")]
    client = bench.client()
    client.submit("often")
    client.submit("once", spec=CallSpec("add", acks_late=False))
    bench.drain()
    [(heir, handed)] = [(each, found) for each in others if (found := each.link.take(m.HandOver))]
    assert {call.id for each in handed for call in each.calls} == {"often", "once"}
    # When nobody knows whether it has started there
    bench.lose(heir.link)
    bench.step()
    [other] = [each for each in others if each is not heir]
    (handed_again,) = other.link.take(m.HandOver)
    assert [call.id for call in handed_again.calls] == ["often"]
    assert bench.state_of("once") == "FAILURE"


def test_what_may_run_once_is_handed_over_when_it_is_noted_and_not_run_here_after_a_restart() -> None:
    bench = Bench(shelf=Shelf())
    other, client = bench.coordinator("zoe"), bench.client()
    client.submit("often")
    client.submit("once", spec=CallSpec("add", acks_late=False))
    bench.is_slow = True
    bench.drain()
    (handed,) = other.link.take(m.HandOver)
    assert [call.id for call in handed.calls] == ["often"], "a coordinator that dies now has not noted the other one"
    bench.write()
    (handed,) = other.link.take(m.HandOver)
    assert [call.id for call in handed.calls] == ["once"]
    bench.is_slow = False
    bench.start()
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    assert bench.worker(slots=2).delivered() == ["often"] and bench.state_of("once") == "FAILURE"


def test_each_function_is_handed_over_right_before_the_calls_that_need_it(
    bench: Bench, other: CoordinatorParty
) -> None:
    client = bench.client()
    for digest in ("f" * 32, "g" * 32):
        client.say(m.Code(digest, b"code"))
        client.submit(f"needs {digest[0]}", spec=CallSpec("actorq.by_value", code=digest))
    bench.drain()
    sent = [message for message in other.link.inbox if isinstance(message, (m.Code, m.HandOver))]
    told = [each.digest[0] if isinstance(each, m.Code) else each.calls[0].id for each in sent]
    assert told == ["f", "needs f", "g", "needs g"], "or the first would be dropped to make room for the second"


def test_one_that_comes_back_while_we_leave_is_told_so(bench: Bench, other: CoordinatorParty) -> None:
    bench.client().submit("waits")
    bench.lose(other)
    bench.drain()
    again = bench.stranger()
    again.say(m.PeerHello(VERSIONS, "nonce", other.own))
    assert [type(message) for message in again.inbox] == [m.Welcome, m.View]
    (view,) = again.take(m.View)
    assert view.leaves, "else it might hand over to us what it has, and wait for ever"


def test_clients_are_sent_away_and_not_welcomed_any_more(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    worker = bench.worker()
    client.submit("runs")
    assert worker.delivered() == ["runs"]
    bench.drain()
    assert client.take(m.View)[-1].others == [other.own] and client.take(m.Reset)
    late = bench.client("late")
    assert late.take(m.Rejected) and not late.take(m.Welcome)


def test_what_is_leased_ends_here_and_its_outcome_is_handed_over(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("runs", "waits")
    assert worker.delivered() == ["runs"]
    bench.drain()
    (handed,) = other.link.take(m.HandOver)
    other.link.say(m.Accepted(handed.seq))
    assert not bench.has_left
    worker.report("runs")
    assert worker.delivered() == [], "and nothing new is leased"
    (outcomes,) = other.link.take(m.HandOverOutcomes)
    assert [each.id for each in outcomes.outcomes] == ["runs"]
    other.link.say(m.Accepted(outcomes.seq))
    bench.wait(0.01)
    assert bench.has_left


def test_one_is_named_by_its_address_where_several_have_its_name(bench: Bench) -> None:
    twins = [bench.coordinator(name) for name in ("zoe", "yan")]
    for twin in twins:
        link = bench.core.mesh.link(twin.link.peer)
        assert link is not None
        link.member = Member(link.member.address, link.member.epoch, "twin")
    client = bench.client()
    for destination in ([], ["twin"]):
        client.say(m.Control(1, "drain_coordinator", {}, destination, 1.0))
        (replies,) = client.take(m.Replies)
        assert "address" in replies.replies["coordinator"]["error"]
        assert not any(twin.link.take(m.Control) for twin in twins)
    client.say(m.Control(1, "drain_coordinator", {}, ["tcp://yan:1"], 1.0))
    assert [len(twin.link.take(m.Control)) for twin in twins] == [0, 1]


def test_nobody_leaves_where_nobody_stays(bench: Bench) -> None:
    with pytest.raises(ValueError, match="no other coordinator"):
        bench.drain()
    other = bench.coordinator("zoe")
    other.link.say(m.View("", other.own, [], leaves=True))
    with pytest.raises(ValueError, match="no other coordinator"):
        bench.drain()


def test_it_stays_when_the_one_that_was_to_take_over_does_not_come_back(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker(slots=1)
    client.submit("a", "b")
    bench.drain()
    bench.lose(other.link)
    worker.report("a")
    assert worker.delivered() == [], "b is not leased any more"
    bench.wait(12.0)
    assert not bench.core.state.is_leaving
    worker.say(m.Capacity(1, 1))
    assert worker.delivered() == ["b"]


@pytest.mark.parametrize("then", ["another takes over", "it stays", "it starts again"])
def test_a_call_that_may_run_once_goes_to_one_coordinator_only(then: str) -> None:
    bench = Bench(shelf=Shelf())
    other, client = bench.coordinator("zoe"), bench.client()
    client.submit("x", spec=CallSpec("add", acks_late=False))
    client.submit("y")
    bench.is_slow = True
    bench.drain()
    assert [call.id for each in other.link.take(m.HandOver) for call in each.calls] == ["y"]
    bench.write()
    assert [call.id for each in other.link.take(m.HandOver) for call in each.calls] == ["x"], "when that is written"
    bench.is_slow = False
    # Its acknowledgement does not come
    if then == "it starts again":
        bench.start()
        bench.wait(3.0)
    else:
        third = bench.coordinator("yan") if then == "another takes over" else None
        bench.lose(other.link)
        if third is not None:
            assert [call.id for each in third.link.take(m.HandOver) for call in each.calls] == ["y"]
        bench.wait(12.0)
    assert bench.state_of("x") == "FAILURE" and bench.state_of("y") == "open"


def test_the_same_one_is_handed_it_again_when_it_is_back() -> None:
    bench = Bench()
    other, client = bench.coordinator("zoe"), bench.client()
    client.submit("x", spec=CallSpec("add", acks_late=False))
    bench.drain()
    (handed,) = other.link.take(m.HandOver)
    bench.lose(other.link)
    again = bench.coordinator("zoe")
    assert again.link.take(m.HandOver) == [handed], "where it is known already"


def test_of_two_that_are_told_to_leave_at_once_one_stays() -> None:
    bench = Bench()
    later = bench.coordinator("zoe", epoch="zzz")
    bench.client().submit("x")
    bench.drain()
    later.link.say(m.View("", later.own, [], leaves=True))
    assert not bench.core.state.is_leaving
    bench = Bench()
    earlier = bench.coordinator("abe", epoch="aaa")
    bench.client().submit("x")
    bench.drain()
    earlier.link.say(m.View("", earlier.own, [], leaves=True))
    assert bench.core.state.is_leaving


def test_what_is_handed_over_is_taken_once_with_its_history(bench: Bench, other: CoordinatorParty) -> None:
    worker = bench.worker(slots=5, offers=("add", "f"))
    call = Call("x", 7, b"arguments", client=3, attempt=2, lost=1)
    message = m.HandOver(1, [(3, "me", "me", "tcp://me:1")], [(7, CallSpec("add"))], [call], [(3, "key")])
    other.say(message, message)
    assert worker.delivered() == ["x"]
    assert (worker.calls["x"].attempt, worker.calls["x"].lost) == (3, 1)
    define = worker.take(m.Define)[0]
    assert [entry[1:] for entry in define.clients] == [("me", "tcp://me:1")]
    assert [key for _, key in define.keys] == ["key"]
    bench.wait(0.01)
    assert len(other.take(m.Accepted)) == 1


def test_a_function_that_comes_with_it_is_kept_although_there_is_no_room() -> None:
    bench = Bench(code_bytes=3, code_limit_bytes=3)
    other, worker = bench.coordinator("zoe"), bench.worker(slots=5)
    spec = CallSpec("f", code="digest")
    other.say(m.Code("digest", b"12345"), m.HandOver(1, [], [(7, spec)], [Call("x", 7, b"")]))
    assert worker.delivered() == ["x"] and worker.take(m.Code) == [m.Code("digest", b"12345")]


def test_who_hands_over_calls_whose_function_was_forgotten_is_to_begin_again(
    bench: Bench, other: CoordinatorParty
) -> None:
    other.say(m.HandOver(1, [], [(7, CallSpec("f", code="digest"))], [Call("x", 7, b"")]))
    bench.wait(0.1)
    assert other.take(m.Reset) and not other.take(m.Accepted)
    assert bench.state_of("x") == "unknown"


def test_a_call_whose_function_the_one_that_leaves_has_lost_ends_there() -> None:
    bench = Bench(shelf=Shelf())
    assert bench.store is not None
    client = bench.client()
    client.say(m.Code("digest", b"function"))
    client.submit("x", spec=CallSpec("f", code="digest"))
    bench.store.commit(bench.store.prepare([ForgetCodes(["digest"])]))  # As if its row were damaged
    bench.start()
    bench.wait(3.0)
    other = bench.coordinator("zoe")
    bench.drain()
    assert not other.link.take(m.HandOver)
    assert bench.state_of("x") == "FAILURE"


def test_there_is_room_for_the_options_of_calls_that_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "SPEC_LIMIT", 1)
    bench = Bench()
    bench.client().submit("own")
    other, worker = bench.coordinator("zoe"), bench.worker(slots=5, offers=("add", "f"))
    other.say(m.HandOver(1, [], [(7, CallSpec("f"))], [Call("x", 7, b"")]))
    assert worker.delivered() == ["own", "x"]


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_call_that_is_handed_over_while_a_worker_runs_it_is_delivered_again_when_that_dies(is_durable: bool) -> None:
    # Given a worker that has it from an earlier coordinator, which is gone
    bench = Bench(shelf=Shelf() if is_durable else None)
    other, worker = bench.coordinator("zoe"), bench.worker(coordinator="old", held=[("x", 1)])
    call = Call("x", 7, b"arguments", client=3)
    other.say(m.HandOver(1, [(3, "me", "me", "tcp://me:1")], [(7, SPEC)], [call]))
    bench.wait(0.1)
    assert other.take(m.Accepted) and worker.delivered() == []
    if bench.store is not None:
        assert [each.id for each in bench.store.load().calls] == ["x"]
    worker.die()
    assert bench.worker("another").delivered() == ["x"]


def test_who_hands_over_to_one_that_leaves_itself_is_to_look_again(bench: Bench, other: CoordinatorParty) -> None:
    third = bench.coordinator("yan")
    bench.drain()
    other.say(m.HandOver(1, [], [(7, SPEC)], [Call("x", 7, b"")]))
    third.say(m.HandOverOutcomes(1, [outcome("y")]))
    assert other.take(m.Reset) and third.take(m.Reset)


def test_one_that_leaves_when_it_is_met_takes_nothing_over_and_is_no_member(bench: Bench) -> None:
    other = bench.coordinator("zoe", leaves=True)
    again = bench.stranger()
    again.say(m.PeerHello(VERSIONS, "nonce", other.own))
    assert again.take(m.Welcome)[0].others == []
    with pytest.raises(ValueError, match="no other coordinator"):
        bench.drain()
    # And does when it stays after all
    other.link.say(m.View("", other.own, [], leaves=False))
    bench.drain()
    assert bench.core.state.is_leaving


def test_who_waits_for_a_call_of_another_client_hears_of_its_outcome_that_is_handed_over(bench: Bench) -> None:
    giver, client = bench.coordinator("zoe"), bench.client()
    client.say(m.Query(0, ["there"], wait=True))
    giver.say(m.HandOverOutcomes(1, [outcome("there")]))
    assert client.outcomes() == {"there": "SUCCESS"} and not bench.core.state.watchers


def test_it_does_not_end_before_the_worker_has_heard_that_its_outcomes_are_there() -> None:
    bench = Bench(shelf=Shelf())
    other, client, worker = bench.coordinator("zoe"), bench.client(), bench.worker()
    client.submit("x")
    worker.delivered()
    bench.drain()
    bench.is_slow = True
    worker.report("x")
    (outcomes,) = other.link.take(m.HandOverOutcomes)
    other.link.say(m.Accepted(outcomes.seq))
    bench.write()
    assert not bench.has_left
    bench.wait(0.01)
    assert worker.take(m.Acked) and bench.has_left


def test_it_is_in_the_journal_before_that_is_said() -> None:
    bench = Bench(shelf=Shelf())
    assert bench.store is not None
    store = bench.store
    other = bench.coordinator("zoe")
    bench.is_slow = True
    other.say(m.HandOver(1, [(3, "me", "me", "")], [(7, SPEC)], [Call("x", 7, b"", client=3)]))
    other.say(m.HandOverOutcomes(2, [outcome("y")]))
    bench.wait(1.0)
    assert not other.take(m.Accepted)
    bench.write()
    bench.wait(1.0)
    assert other.take(m.Accepted)[-1].seq == 2
    kept = store.load()
    assert [call.id for call in kept.calls] == ["x"] and [client.session for client in kept.clients] == ["me"]
    assert [each.id for _, outcomes in kept.outcomes for each in outcomes] == ["y"]


def test_a_workflow_that_may_run_once_is_handed_over_where_no_journal_has_it(bench: Bench) -> None:
    other = bench.coordinator("heir")
    bench.client().submit_plan("p", Node(Call("once", 1, b"")), spec=CallSpec("add", acks_late=False))
    bench.drain()
    (handed,) = other.link.take(m.HandOver)
    assert [each.plan.id for each in handed.plans] == ["p"]


def test_a_retry_that_is_handed_over_replaces_the_call_that_was_before_it() -> None:
    """Two coordinators had the call: one hands it over as it was, the other one as it goes on."""
    bench = Bench(shelf=Shelf())
    giver, retry = bench.coordinator("giver"), Plan("retry", [Node(Call("call", 1, b"", bench.wall_s + 60))])
    specs = [(1, CallSpec("add"))]
    giver.say(m.HandOver(1, [], specs, [Call("call", 1, b"")]))
    giver.say(m.HandOver(2, [], specs, [], plans=[PlanInProgress(0, retry, [])]))
    assert bench.shelf is not None and not bench.shelf.calls and len(bench.shelf.plans) == 1
    bench.start()
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    assert [call.not_before > bench.wall_s for call in bench.core.state.calls] == [True]
