"""Revocation: of calls that wait, run, come back, or have not come yet."""

from __future__ import annotations

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import REVOKED
from tests.unit.coordinator.support import Bench


def test_a_call_that_waits_ends_at_once(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", "b")
    client.order("revoke", ids=["a"])
    assert client.outcomes() == {"a": "REVOKED"}
    assert bench.worker(slots=2).delivered() == ["b"]


def test_the_answer_says_what_became_of_each() -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker()
    client.submit("running", "waiting", "ended")
    worker.say(m.Capacity(3, 3))
    worker.report("ended")
    worker.give_back("waiting")
    became = client.order("revoke", ids=["running", "waiting", "ended", "stranger"])
    assert became["running"] == "its worker was told"
    assert became["waiting"] == "removed"
    assert became["ended"] == "already settled"
    assert "unknown" in became["stranger"]


def test_the_worker_of_a_leased_call_is_told_on_both_of_its_connections(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    client.order("revoke", ids=["a"], terminate=True)
    assert worker.take(m.Revoke) == [m.Revoke(["a"], terminate=True)]
    assert worker.control.take(m.Revoke) == [m.Revoke(["a"], terminate=True)]
    worker.report("a", state=REVOKED, relay=True)
    assert client.outcomes() == {"a": "REVOKED"}


def test_a_revoked_call_that_comes_back_is_not_delivered_again(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.delivered()
    client.order("revoke", ids=["a"])
    worker.give_back("a")
    worker.say(m.Capacity(1, 1))
    assert worker.delivered() == []
    assert client.outcomes() == {"a": "REVOKED"}


def test_a_revoked_call_whose_worker_dies_is_not_delivered_again(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    worker.delivered()
    client.order("revoke", ids=["a"])
    worker.die()
    assert bench.worker("second").delivered() == []
    assert client.outcomes() == {"a": "REVOKED"}


def test_a_worker_that_was_away_hears_of_revocations_when_it_is_back(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("a", "b")
    worker.delivered()
    bench.lose(worker)
    bench.lose(worker.control)
    client.order("revoke", ids=["a"])
    client.order("revoke", ids=["b"], terminate=True)
    again = worker.return_anew(held=[("a", 1), ("b", 1)])
    assert again.take(m.Revoke) == [m.Revoke(["a"]), m.Revoke(["b"], terminate=True)]


def test_a_worker_whose_second_connection_was_away_hears_of_revocations_on_the_new_one(bench: Bench) -> None:
    # Its hub may be busy with that very call, and the other connection is the hub's.
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.delivered()
    bench.lose(worker.control)
    client.order("revoke", ids=["a"], terminate=True)
    assert bench.control(worker).take(m.Revoke) == [m.Revoke(["a"], terminate=True)]


def test_a_call_that_waits_for_its_time_can_be_revoked(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", not_before=bench.wall_s + 1)
    client.order("revoke", ids=["a"])
    bench.wait(2.0)
    assert bench.worker().delivered() == []
    assert client.outcomes() == {"a": "REVOKED"}


def test_a_call_that_was_revoked_before_it_came_does_not_start(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.order("revoke", ids=["a"])
    client.submit("a")
    assert worker.delivered() == []
    assert client.outcomes() == {"a": "REVOKED"}
    assert bench.core.state.body_bytes == 0


def test_a_revoked_id_stays_revoked_when_its_outcome_is_dropped() -> None:
    bench = Bench(outcome_count=8)
    client, worker = bench.client(), bench.worker()
    client.submit("waiting", not_before=bench.wall_s + 100)
    client.order("revoke", ids=["waiting"])
    for number in range(50):
        client.submit(f"{number}")
        worker.report(f"{number}")
    assert bench.state_of("waiting") == "unknown"
    client.submit("waiting", fresh=False)
    assert worker.delivered() == []


def test_revocations_are_bounded_by_count_and_age() -> None:
    bench = Bench(revocation_count=3, revocation_age_s=10.0)
    client = bench.client()
    bench.worker()
    client.order("revoke", ids=[f"{number}" for number in range(10)])
    bench.wait(1.0)
    assert len(bench.core.state.revoked) == 3
    bench.wait(10.0)
    bench.worker("another")
    bench.wait(1.0)
    assert bench.core.state.revoked == {}


def test_a_revocation_is_kept_before_it_is_acknowledged() -> None:
    bench = Bench(shelf=Shelf())
    bench.is_slow = True
    client = bench.client()
    assert client.order("revoke", ids=["a"]) is None
    bench.write()
    [replies] = client.take(m.Replies)
    assert "unknown" in replies.replies["coordinator"]["a"]


def test_revocations_outlive_the_coordinator() -> None:
    bench = Bench(shelf=Shelf())
    client, worker = bench.client(), bench.worker()
    client.submit("leased")
    worker.delivered()
    client.order("revoke", ids=["leased", "to-come"])
    # When the coordinator starts again, and the worker is gone
    bench.start()
    client = bench.client()
    client.submit("to-come")
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    assert bench.worker("another", slots=5).delivered() == []
    assert (bench.state_of("leased"), bench.state_of("to-come")) == ("REVOKED", "REVOKED")
