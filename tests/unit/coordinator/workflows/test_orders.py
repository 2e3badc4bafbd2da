"""Revoking and inspecting workflows."""

from __future__ import annotations

from actorq.wire.records import REVOKED, Extra
from tests.unit.coordinator.support import Bench
from tests.unit.coordinator.workflows.support import chain, chord, failure, is_clean, parties


def test_a_revoked_call_that_waits_for_others_ends_at_once(bench: Bench) -> None:
    client, worker = parties(bench)
    client.submit_plan("p", *chain("a", "b", "c"))
    answer = "already settled" if bench.twice else "removed"  # The last one.
    assert client.order("revoke", ids=["b"]) == {"b": answer}
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
