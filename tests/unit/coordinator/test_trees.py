"""Revocation of a tree: a call, and all that go back to it."""

from __future__ import annotations

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import Extra
from tests.unit.coordinator.support import Bench
from tests.unit.coordinator.workflows.support import chain as linked

CHILD = Extra(root="root", parent="root")


def test_all_calls_of_a_tree_end_wherever_they_are(bench: Bench) -> None:
    """Pain 12: what a task has submitted goes on when it is cancelled."""
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("root")
    client.submit("running", extra=CHILD)
    client.submit("waiting", extra=CHILD)
    client.submit("scheduled", extra=CHILD, not_before=bench.wall_s + 100)
    client.submit("stranger", extra=Extra(root="another"))
    became = client.order("revoke", roots=["root"], terminate=True)
    assert became["root"].startswith("2 its worker was told")
    assert client.outcomes() == {"waiting": "REVOKED", "scheduled": "REVOKED"}
    assert {each.ids[0] for each in worker.take(m.Revoke)} == {"root", "running"}
    assert bench.state_of("stranger") == "open"


def test_the_answer_counts_what_this_order_has_ended() -> None:
    bench = Bench()
    client = bench.client()
    client.submit("root")
    client.submit("child", extra=CHILD)
    assert client.order("revoke", ids=["child"], roots=["root"]) == {"child": "removed", "root": "2 removed"}
    client.submit("alone")
    assert client.order("revoke", ids=["alone"], roots=["alone"]) == {"alone": "removed"}


def test_what_waits_for_others_of_the_tree_ends_for_its_own_sake() -> None:
    bench = Bench()
    client = bench.client()
    nodes = linked("root", "second", "third", "fourth")
    for node in nodes:
        node.call.extra = Extra(root="root")
    client.submit_plan("p", *nodes)
    assert client.order("revoke", roots=["root"]) == {"root": "4 removed"}
    assert set(client.outcomes().values()) == {"REVOKED"}


def test_what_comes_later_does_not_start(bench: Bench) -> None:
    client = bench.client()
    client.order("revoke", roots=["root"])
    client.submit("late", extra=CHILD)
    client.submit("root")
    assert client.outcomes() == {"late": "REVOKED", "root": "REVOKED"}
    assert bench.worker().delivered() == []


def test_it_is_remembered_over_a_restart() -> None:
    bench = Bench(shelf=Shelf())
    bench.client().order("revoke", roots=["root"])
    bench.start()
    client = bench.client()
    client.submit("late", extra=CHILD)
    assert client.outcomes() == {"late": "REVOKED"}


def test_other_coordinators_are_told(bench: Bench) -> None:
    bench.client().order("revoke", roots=["root"])
    told = bench.coordinator("zoe").link.take(m.Control)
    ids = [task_id for order in told for task_id in order.arguments["ids"]]
    second = Bench()
    client = second.client()
    client.order("revoke", ids=ids)
    client.submit("late", extra=CHILD)
    assert client.outcomes() == {"late": "REVOKED"}


def test_a_lease_of_an_earlier_coordinator_is_revoked_when_it_is_known_what_it_is(bench: Bench) -> None:
    client = bench.client()
    client.order("revoke", roots=["root"], terminate=True)
    worker = bench.worker(coordinator="earlier", held=[("running", 1)])
    client.submit("running", extra=CHILD, resent=True, fresh=False)
    assert worker.take(m.Revoke) == [m.Revoke(["running"], terminate=True)]
