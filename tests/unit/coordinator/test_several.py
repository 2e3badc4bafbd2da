"""Several coordinators: they know each other, ask each other, and none takes what another one has."""

from __future__ import annotations

import pytest

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.messages import CallSpec, Outcome
from tests.unit.coordinator.support import SPEC, VERSIONS, Bench, CoordinatorParty

OWN = "tcp://own:1"


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.core.mesh.listens_at(OWN)
    return bench


@pytest.fixture
def other(bench: Bench) -> CoordinatorParty:
    return bench.coordinator("zoe")


def outcome(task_id: str) -> Outcome:
    return Outcome(task_id, 1, m.SUCCESS, b"")


# -- who is there --------------------------------------------------------------------------------------------------


def test_a_stranger_may_ask_who_is_there(bench: Bench) -> None:
    stranger = bench.stranger()
    stranger.say(m.Discover("nonce"))
    (view,) = stranger.take(m.View)
    assert (view.nonce, view.own.address, view.own.epoch, view.others) == ("nonce", OWN, bench.epoch, [])


def test_whoever_is_met_is_dialled_and_made_known_to_all(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    other = bench.coordinator("zoe", others=("yan",))
    for party in (client, worker):
        assert [member.name for member in party.take(m.View)[-1].others] == ["zoe"]
    assert "tcp://yan:1" in bench.dialled, "and whom that one knows"
    assert [each.name for each in bench.core.mesh.silent()] == [], "of whom nobody has said that he is there"
    assert bench.client("late").take(m.Welcome)[0].others == [other.own]


def test_a_coordinator_does_not_talk_to_itself(bench: Bench) -> None:
    bench.coordinator("zoe", others=("own",))
    assert OWN not in bench.dialled


def test_its_own_address_by_another_name_is_noticed(bench: Bench) -> None:
    bench.coordinator("zoe", others=("alias",))
    bench.wait(2.0)
    peer = bench.dialled["tcp://alias:1"]
    bench.core.mesh.opened(peer)
    discover = bench.core.state.effects.sends[peer][-1]
    assert isinstance(discover, m.Discover)
    bench.step((peer, m.View(discover.nonce, bench.core.mesh.own, [])))
    assert peer in bench.hung_up
    bench.dialled.clear()
    bench.wait(10.0)
    assert "tcp://alias:1" not in bench.dialled


def test_one_that_is_silent_for_long_is_no_member_any_more(bench: Bench) -> None:
    bench = Bench(member_age_s=60.0)
    other = bench.coordinator("zoe")
    client = bench.client()
    bench.lose(other)
    bench.lose(other.link)
    assert [each.name for each in bench.core.mesh.silent()] == ["zoe"]
    bench.wait(70.0)
    assert bench.core.mesh.others() == []
    assert client.take(m.View)[-1].others == []


def test_one_that_leaves_is_no_member_at_once(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    other.say(m.Bye("it has left the mesh"))
    assert client.take(m.View)[-1].others == []


# -- questions -----------------------------------------------------------------------------------------------------


def test_a_client_hears_of_a_call_that_another_coordinator_has(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    client.submit("own")
    client.say(m.Query(7, ["own", "settled there", "waits there", "nowhere"]))
    (query,) = other.link.take(m.Query)
    assert query.ids == ["settled there", "waits there", "nowhere"]
    assert not client.take(m.Report)
    other.link.say(m.Settled([outcome("settled there")]))
    other.link.say(m.Report(query.token, [("waits there", "PENDING"), ("nowhere", "")]))
    assert client.outcomes() == {"settled there": "SUCCESS"}
    assert client.take(m.Report) == [m.Report(7, [("own", "PENDING"), ("waits there", "PENDING"), ("nowhere", "")])]


def test_a_coordinator_that_does_not_answer_is_named(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    client.say(m.Query(1, ["x"]))
    bench.wait(1.5)
    assert client.take(m.Report) == [m.Report(1, [("x", "")], ["zoe"])]
    bench.lose(other.link)
    client.say(m.Query(2, ["x"]))
    assert client.take(m.Report) == [m.Report(2, [("x", "")], ["zoe"])]


def test_who_waits_hears_when_it_settles_elsewhere_also_where_that_one_comes_later(bench: Bench) -> None:
    client = bench.client()
    client.say(m.Query(0, ["x"], wait=True))
    other = bench.coordinator("zoe")
    assert [query.ids for query in other.link.take(m.Query) if query.wait] == [["x"]]
    other.link.say(m.Settled([outcome("x")]))
    assert client.outcomes() == {"x": "SUCCESS"}


def test_a_question_of_another_coordinator_is_answered_and_not_passed_on(bench: Bench) -> None:
    asking, third = bench.coordinator("zoe"), bench.coordinator("yan")
    asking.say(m.Query(3, ["x"]))
    assert asking.take(m.Report) == [m.Report(3, [("x", "")])]
    assert not third.link.take(m.Query)


def test_a_question_of_a_client_that_has_gone_is_forgotten(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    client.say(m.Query(1, ["x"]))
    bench.lose(client)
    assert bench.core._searches._open == {}


# -- orders --------------------------------------------------------------------------------------------------------


def test_a_command_of_coordinators_runs_on_all_and_those_out_of_touch_are_missing(bench: Bench) -> None:
    here, gone = bench.coordinator("zoe"), bench.coordinator("yan")
    bench.lose(gone.link)
    client = bench.client()
    client.say(m.Control(1, "queues", {}, [], 1.0))
    (order,) = here.link.take(m.Control)[-1:]
    assert not client.take(m.Replies)
    here.link.say(m.Replies(order.token, {"zoe": {"default": 3}}, []))
    (replies,) = client.take(m.Replies)
    assert replies.replies == {"coordinator": {}, "zoe": {"default": 3}} and replies.missing == ["yan"]


def test_a_revocation_goes_to_all_and_to_those_that_come_later(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    client.order("revoke", ids=["x"], terminate=True)
    assert [order.arguments["ids"] for order in other.link.take(m.Control)] == [["x"]]
    late = bench.coordinator("yan")
    (order,) = late.link.take(m.Control)
    assert order.command == "revoke" and order.arguments == {"ids": ["x"], "terminate": True}


def test_what_another_coordinator_has_revoked_does_not_start_here(bench: Bench, other: CoordinatorParty) -> None:
    other.say(m.Control(0, "revoke", {"ids": ["x"], "terminate": False}, [], 0.0))
    client = bench.client()
    client.submit("x", fresh=False)
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("x", "")]))
    assert client.outcomes() == {"x": "REVOKED"}


# -- calls that another one may have -------------------------------------------------------------------------------


def test_a_call_that_a_client_brings_is_not_taken_where_another_coordinator_has_it(
    bench: Bench, other: CoordinatorParty
) -> None:
    client, worker = bench.client(), bench.worker(slots=5)
    client.submit("there", "settled", "here", fresh=False, resent=True)
    assert worker.delivered() == []
    (query,) = other.link.take(m.Query)
    other.link.say(m.Settled([outcome("settled")]))
    other.link.say(m.Report(query.token, [("there", "RECEIVED"), ("here", "")]))
    assert worker.delivered() == ["here"]
    assert client.accepted() == 1
    assert client.outcomes() == {"settled": "SUCCESS"}
    # And the client hears when the one that is there settles
    assert [query.ids for query in other.link.take(m.Query) if query.wait] == [["there"]]
    other.link.say(m.Settled([outcome("there")]))
    assert client.outcomes() == {"there": "SUCCESS"}


def test_fresh_calls_behind_it_keep_their_place(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker(slots=5)
    client.submit("chosen", fresh=False)
    client.submit("fresh")
    assert worker.delivered() == []
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("chosen", "")]))
    assert worker.delivered() == ["chosen", "fresh"]


def test_it_is_taken_when_the_other_coordinator_does_not_answer(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("x", fresh=False)
    bench.lose(other.link)
    assert worker.delivered() == ["x"]


def test_of_two_that_ask_each_other_at_the_same_time_one_takes_it() -> None:
    # Given one whose epoch is smaller, which is asked while it asks itself
    bench = Bench()
    later, client = bench.coordinator("zoe", epoch="zzz"), bench.client()
    client.submit("x", fresh=False)
    later.say(m.Query(5, ["x"]))
    assert not later.take(m.Report), "it is not known yet"
    (query,) = later.link.take(m.Query)
    later.link.say(m.Report(query.token, [("x", "")]))
    assert later.take(m.Report) == [m.Report(5, [("x", "PENDING")])]


def test_the_one_with_the_greater_epoch_answers_that_it_has_nothing() -> None:
    bench = Bench()
    earlier, client = bench.coordinator("abe", epoch="aaa"), bench.client()
    client.submit("x", fresh=False)
    earlier.say(m.Query(5, ["x"]))
    assert earlier.take(m.Report) == [m.Report(5, [("x", "")])]


# -- leaving -------------------------------------------------------------------------------------------------------


def drain(bench: Bench) -> None:
    bench.core._handover.begin()
    bench.step()


def test_what_waits_is_handed_over_and_forgotten_when_the_other_one_has_it() -> None:
    bench = Bench(shelf=Shelf())
    assert bench.store is not None
    store = bench.store
    other, client = bench.coordinator("zoe"), bench.client("me")
    client.submit("ready", "too")
    client.submit("later", not_before=bench.wall_s + 100)
    drain(bench)
    handed = other.link.take(m.HandOver)
    assert sorted(call.id for each in handed for call in each.calls) == ["later", "ready", "too"]
    assert {entry[1:] for each in handed for entry in each.clients} == {("me", "me", "tcp://me:1")}
    assert len(store.load().calls) == 3
    other.link.say(m.Accepted(handed[-1].seq))
    assert len(bench.core.state.calls) == 0 and len(store.load().calls) == 0
    assert other.link.take(m.Bye) and bench.has_left


def test_each_function_is_handed_over_right_before_the_calls_that_need_it(
    bench: Bench, other: CoordinatorParty
) -> None:
    client = bench.client()
    for digest in ("f" * 32, "g" * 32):
        client.say(m.Code(digest, b"code"))
        client.submit(f"needs {digest[0]}", spec=CallSpec("actorq.by_value", code=digest))
    drain(bench)
    sent = [message for message in other.link.inbox if isinstance(message, (m.Code, m.HandOver))]
    told = [each.digest[0] if isinstance(each, m.Code) else each.calls[0].id for each in sent]
    assert told == ["f", "needs f", "g", "needs g"], "or the first would be dropped to make room for the second"


def test_clients_are_sent_away_and_not_welcomed_any_more(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    worker = bench.worker()
    client.submit("runs")
    assert worker.delivered() == ["runs"]
    drain(bench)
    assert client.take(m.View)[-1].others == [other.own] and client.take(m.Reset)
    late = bench.client("late")
    assert late.take(m.Rejected) and not late.take(m.Welcome)


def test_what_is_leased_ends_here_and_its_outcome_is_handed_over(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("runs", "waits")
    assert worker.delivered() == ["runs"]
    drain(bench)
    (handed,) = other.link.take(m.HandOver)
    other.link.say(m.Accepted(handed.seq))
    assert not bench.has_left
    worker.report("runs")
    assert worker.delivered() == [], "and nothing new is leased"
    (outcomes,) = other.link.take(m.HandOverOutcomes)
    assert [each.id for each in outcomes.outcomes] == ["runs"]
    other.link.say(m.Accepted(outcomes.seq))
    assert bench.has_left


def test_nobody_leaves_where_nobody_stays(bench: Bench) -> None:
    with pytest.raises(ValueError, match="no other coordinator"):
        bench.core._handover.begin()
    other = bench.coordinator("zoe")
    other.link.say(m.View("", other.own, [], leaves=True))
    with pytest.raises(ValueError, match="no other coordinator"):
        bench.core._handover.begin()


def test_one_that_comes_back_while_we_leave_is_told_so(bench: Bench, other: CoordinatorParty) -> None:
    bench.client().submit("waits")
    bench.lose(other)
    drain(bench)
    again = bench.stranger()
    again.say(m.PeerHello(VERSIONS, "nonce", other.own))
    assert [type(message) for message in again.inbox] == [m.Welcome, m.View]
    (view,) = again.take(m.View)
    assert view.leaves, "else it might hand over to us what it has, and wait for ever"


def test_it_stays_when_the_one_that_was_to_take_over_does_not_come_back(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker(slots=1)
    client.submit("a", "b")
    drain(bench)
    bench.lose(other.link)
    worker.report("a")
    assert worker.delivered() == [], "b is not leased any more"
    bench.wait(12.0)
    assert not bench.core.state.is_leaving
    worker.say(m.Capacity(1, 1))
    assert worker.delivered() == ["b"]


def test_what_is_handed_over_is_taken_once_with_its_history(bench: Bench, other: CoordinatorParty) -> None:
    worker = bench.worker(slots=5, offers=("add", "f"))
    call = m.Call("x", 7, b"arguments", client=3, attempt=2, lost=1)
    message = m.HandOver(1, [(3, "me", "me", "tcp://me:1")], [(7, CallSpec("add"))], [call])
    other.say(message, message)
    assert worker.delivered() == ["x"]
    assert (worker.calls["x"].attempt, worker.calls["x"].lost) == (3, 1)
    assert [entry[1:] for each in worker.take(m.Define) for entry in each.clients] == [("me", "tcp://me:1")]
    bench.wait(0.01)
    assert len(other.take(m.Accepted)) == 1


def test_it_is_in_the_journal_before_that_is_said() -> None:
    bench = Bench(shelf=Shelf())
    assert bench.store is not None
    store = bench.store
    other = bench.coordinator("zoe")
    bench.is_slow = True
    other.say(m.HandOver(1, [(3, "me", "me", "")], [(7, SPEC)], [m.Call("x", 7, b"", client=3)]))
    other.say(m.HandOverOutcomes(2, [outcome("y")]))
    bench.wait(1.0)
    assert not other.take(m.Accepted)
    bench.write()
    bench.wait(1.0)
    assert other.take(m.Accepted)[-1].seq == 2
    kept = store.load()
    assert [call.id for call in kept.calls] == ["x"] and [client.session for client in kept.clients] == ["me"]
    assert [each.id for _, outcomes in kept.outcomes for each in outcomes] == ["y"]
