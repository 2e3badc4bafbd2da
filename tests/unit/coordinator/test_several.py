"""Several coordinators: they know each other, ask each other, and none takes what another one has."""

from __future__ import annotations

import pytest

from actorq.config import MAX_BATCH
from actorq.coordinator.core.state import TREE
from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import Call, Member, Node
from tests.unit.coordinator.support import OWN, Bench, CoordinatorParty, outcome


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.core.mesh.listens_at(OWN)
    return bench


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


def test_the_log_says_once_who_joins_is_out_of_touch_and_leaves() -> None:
    bench = Bench(member_age_s=60.0)
    bench.core.mesh.listens_at(OWN)
    for word in ("joined", "joined"):  # It comes again.
        zoe, yan = bench.coordinator("zoe"), bench.coordinator("yan")
        assert sorted(bench.news) == [
            f"coordinator {name} at tcp://{name}:1 has {word} the mesh" for name in ("yan", "zoe")
        ]
        bench.news.clear()
        zoe.say(m.Bye("it has left the mesh"))
        bench.lose(zoe)
        bench.lose(zoe.link)
        assert bench.news == ["coordinator zoe at tcp://zoe:1 leaves the mesh"]
        bench.lose(yan)
        bench.lose(yan.link)
        assert bench.news[1:] == ["coordinator yan at tcp://yan:1 is out of touch"]
        bench.wait(70.0)
        assert len(bench.news) == 3 and "yan at tcp://yan:1 was not met for long" in bench.news[2]
        bench.news.clear()


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


def test_no_more_are_named_than_a_message_takes(bench: Bench, other: CoordinatorParty) -> None:
    for number in range(m.MEMBER_LIMIT):
        bench.core.mesh.meet(Member(f"tcp://host{number}:1", f"epoch {number}"))
    named = [member.address for member in bench.core.mesh.others()]
    assert len(named) == m.MEMBER_LIMIT
    assert other.own.address in named, "which is in touch"
    assert "tcp://host0:1" not in named, "which was not met for the longest time"


def test_no_client_takes_the_place_of_a_coordinator(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client(f"coordinator {other.own.epoch}")
    assert client.take(m.Rejected) and not client.take(m.Welcome)
    assert other.peer not in bench.hung_up
    other.say(m.Query(1, ["x"]))
    assert other.take(m.Report)


def test_a_coordinator_finds_room_where_clients_do_not() -> None:
    bench = Bench(session_limit=1)
    bench.client()
    assert bench.client("too many").take(m.Rejected)
    bench.coordinator("zoe")
    assert [member.name for member in bench.core.mesh.others()] == ["zoe"]


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


def test_an_outcome_is_told_to_all_who_look_for_it_and_to_nobody_else(bench: Bench, other: CoordinatorParty) -> None:
    first, second, third = (bench.client(name) for name in ("first", "second", "third"))
    first.say(m.Query(1, ["x", "y"]), m.Query(2, ["x"]))
    second.say(m.Query(1, ["x"]))
    third.say(m.Query(1, ["y"]))
    other.link.say(m.Settled([outcome("x"), outcome("nobody's"), outcome("x")]))
    assert [client.outcomes() for client in (first, second, third)] == [{"x": "SUCCESS"}, {"x": "SUCCESS"}, {}]
    for query in other.link.take(m.Query):
        other.link.say(m.Report(query.token, [(task_id, "") for task_id in query.ids]))
    assert first.take(m.Report) == [m.Report(1, [("y", "")]), m.Report(2, [])]
    assert third.take(m.Report) == [m.Report(1, [("y", "")])]
    # Those searches are over: what settles later is told to nobody
    other.link.say(m.Settled([outcome("y")]))
    assert first.outcomes() == third.outcomes() == {}


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


def test_others_need_not_tell_any_more_when_it_has_settled_or_nobody_waits(
    bench: Bench, other: CoordinatorParty
) -> None:
    third, client, gone = bench.coordinator("yan"), bench.client(), bench.client("gone")
    client.say(m.Query(0, ["x", "y"], wait=True))
    gone.say(m.Query(0, ["z"], wait=True))
    # It has settled at one of them, or here; or who waited has gone
    other.link.say(m.Settled([outcome("x")]))
    owner, worker = bench.client("owner"), bench.worker()
    owner.submit("y")
    assert worker.delivered() == ["y"]
    worker.report("y")
    bench.lose(gone)
    bench.wait(2.0)
    assert sorted(task_id for message in third.link.take(m.Unwatch) for task_id in message.ids) == ["x", "y", "z"]
    assert bench.core.state.watchers == {}


def test_what_another_coordinator_waits_for_is_forgotten_when_it_says_so() -> None:
    bench = Bench(watch_limit=1)
    other, client = bench.coordinator("zoe"), bench.client()
    other.say(m.Query(0, ["x", "y"], wait=True))
    client.say(m.Query(0, ["x"], wait=True))
    assert not other.take(m.Refused), "it waits for what all of its clients wait for"
    other.say(m.Unwatch(["x", "y", "unknown"]))
    assert [[party.session for party in each] for each in bench.core.state.watchers.values()] == [["client"]]


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


def test_news_of_a_revocation_is_passed_on_once_as_who_told_of_it_may_end_before_all_know(bench: Bench) -> None:
    other, third = bench.coordinator("zoe"), bench.coordinator("yan")
    for terminate in (False, True, False, True):
        other.say(m.Control(0, "revoke", {"ids": ["x"], "roots": ["r"], "terminate": terminate}, [], 0.0))
    passed_on = [(order.command, order.arguments) for order in third.link.take(m.Control)]
    assert passed_on == [("revoke", {"ids": ["x", TREE + "r"], "terminate": ends}) for ends in (False, True)]


def test_an_earlier_order_that_another_coordinator_tells_of_takes_nothing_from_a_later_one() -> None:
    bench = Bench(shelf=Shelf())
    other, client = bench.coordinator("zoe"), bench.client()
    client.order("revoke", ids=["x"], terminate=True)
    other.say(m.Control(0, "revoke", {"ids": ["x", "y"], "terminate": False}, [], 0.0))
    bench.start()
    assert {task_id: ends for task_id, (_, ends) in bench.core.state.revoked.items()} == {"x": True, "y": False}


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


def answer(other: CoordinatorParty, **known: str) -> list[str]:
    """Say which calls are known there, "settled" for those that have ended. Returns for which it was asked."""
    asked = []
    for query in [each for each in other.link.take(m.Query) if not each.wait]:
        asked += query.ids
        other.link.say(m.Settled([outcome(each) for each in query.ids if known.get(each) == "settled"]))
        states = [(each, known.get(each, "")) for each in query.ids if known.get(each) != "settled"]
        other.link.say(m.Report(query.token, states))
    return asked


def plan_of(*ids: str) -> list[Node]:
    """A chain, with an errback of its last call."""
    nodes = [Node(Call(each, 1, b""), needs=min(index, 1)) for index, each in enumerate((*ids, "errback"))]
    for index, node in enumerate(nodes[:-2]):
        node.then = [(index + 1, 0)]
    nodes[-2].catch = [len(nodes) - 1]
    return nodes


@pytest.mark.parametrize(
    ("known", "is_taken"),
    [
        ({}, True),
        ({"plan": "STARTED"}, False),
        ({"a": "settled", "b": "settled"}, False),  # Of an errback that was not needed there is no outcome.
        ({"a": "settled", "b": "RECEIVED"}, True),  # It was lost there, but for what workers had of it.
    ],
)
def test_a_workflow_that_another_coordinator_has_or_had_until_it_ended_is_not_taken(
    bench: Bench, other: CoordinatorParty, known: dict[str, str], is_taken: bool
) -> None:
    client = bench.client()
    client.submit_plan("plan", *plan_of("a", "b"), resent=True)
    assert answer(other, **known) == ["plan", "a", "b"]
    assert ("plan" in bench.core.state.ledger.entries) == is_taken
    assert client.accepted() == 1
    if not is_taken:
        other.link.say(m.Settled([outcome("a"), outcome("b"), outcome("errback")]))
        assert {"a", "b"} <= client.outcomes().keys() and not bench.core.state.watchers


def test_others_are_asked_in_several_messages_for_more_than_one_may_name(bench: Bench, other: CoordinatorParty) -> None:
    ids = [f"call-{number}" for number in range(MAX_BATCH + 5)]
    bench.client().submit_plan("plan", *plan_of(*ids), resent=True)
    first, second = [each for each in other.link.take(m.Query) if not each.wait]
    assert [len(first.ids), len(second.ids)] == [MAX_BATCH, 6]
    other.link.say(m.Report(first.token, [(each, "") for each in first.ids]))
    assert not bench.core.state.ledger.entries, "the second one is not answered"
    other.link.say(m.Report(second.token, [(each, "") for each in second.ids]))
    assert list(bench.core.state.ledger.entries) == ["plan"]


def test_fresh_calls_behind_it_keep_their_place(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker(slots=5)
    client.submit("chosen", fresh=False)
    client.submit("fresh")
    assert worker.delivered() == []
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("chosen", "")]))
    assert worker.delivered() == ["chosen", "fresh"]


def test_what_only_a_worker_has_brought_is_not_in_the_journal_and_so_for_others_to_take() -> None:
    for shelf, state in ((Shelf(), ""), (None, "RECEIVED")):
        bench = Bench(shelf=shelf)
        other = bench.coordinator("zoe")
        bench.worker(coordinator="old", held=[("x", 1)])
        other.say(m.Query(1, ["x"]))
        bench.wait(0.1)
        assert other.take(m.Report)[-1].states == [("x", state)]


def test_it_is_taken_when_the_other_coordinator_does_not_answer(bench: Bench, other: CoordinatorParty) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("x", fresh=False)
    bench.lose(other.link)
    assert worker.delivered() == ["x"]


def test_an_answer_for_an_earlier_connection_of_the_client_is_none_for_the_next_one(
    bench: Bench, other: CoordinatorParty
) -> None:
    worker, client = bench.worker(slots=5), bench.client("me")
    client.submit("x", fresh=False, resent=True)
    (query,) = other.link.take(m.Query)
    again = bench.client("me")  # The end of the first connection was not noticed
    other.link.say(m.Report(query.token, [("x", "")]))
    again.submit("y", fresh=False, resent=True)
    assert worker.delivered() == []
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("y", "")]))
    assert worker.delivered() == ["y"]


def test_what_another_one_has_fills_no_window(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client("me")
    client.submit("x", fresh=False, resent=True, body=b"arguments")
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("x", "PENDING")]))
    assert client.accepted() == 1 and bench.core.state.clients["me"].deferred_bytes == 0


def test_of_a_client_that_brings_very_many_calls_none_is_refused() -> None:
    bench = Bench(watch_limit=2)
    other, client = bench.coordinator("zoe"), bench.client()
    client.submit("a", "b", "c", fresh=False, resent=True)
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [(task_id, "PENDING") for task_id in "abc"]))
    assert client.accepted() == 1 and not client.take(m.Refused), "it asks for its own calls in any case"


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


def test_the_one_that_has_asked_first_takes_it_although_a_third_one_is_slow() -> None:
    bench = Bench()
    earlier, slow = bench.coordinator("abe", epoch="aaa"), bench.coordinator("zoe", epoch="zzz")
    client = bench.client()
    client.submit("x", fresh=False)
    (query,) = earlier.link.take(m.Query)
    earlier.link.say(m.Report(query.token, [("x", "")]))
    earlier.say(m.Query(5, ["x"]))
    assert slow.link.take(m.Query) and not earlier.take(m.Report)
    bench.wait(1.5)
    assert earlier.take(m.Report) == [m.Report(5, [("x", "PENDING")])]


def test_what_is_known_here_is_accepted_at_once_though_it_may_be_elsewhere_too(bench: Bench) -> None:
    bench.coordinator("zoe")
    client = bench.client("me")
    client.submit("x")
    client.submit("x", fresh=False)
    assert not bench.core.state.clients["me"].deferred
