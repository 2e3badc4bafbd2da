"""Commands to nodes, and to the coordinator itself."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.wire import messages as m
from tests.unit.coordinator.support import Bench, Party


def token_of(control: Party) -> int:
    """The number under which a node was asked."""
    return control.take(m.Command)[-1].token


def test_a_command_goes_to_all_nodes_and_is_answered_when_all_have_replied() -> None:
    bench = Bench()
    client, workers = bench.client(), [bench.worker(f"worker-{number}") for number in range(2)]
    client.order("ping")
    for number, worker in enumerate(workers):
        assert client.take(m.Replies) == []
        worker.control.say(m.Reply(token_of(worker.control), number))
    assert client.take(m.Replies) == [m.Replies(1, {"worker-0": 0, "worker-1": 1}, [])]


def test_at_its_deadline_a_command_is_answered_with_the_names_of_those_who_did_not_reply() -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker()
    bench.worker("silent")
    client.order("ping", timeout_s=1.0)
    worker.control.say(m.Reply(token_of(worker.control), "here"))
    bench.wait(1.0)
    assert client.take(m.Replies) == [m.Replies(1, {"worker": "here"}, ["silent"])]


def test_a_command_can_be_for_some_nodes_and_names_those_that_are_not_there() -> None:
    bench = Bench()
    client, worker, other = bench.client(), bench.worker("here"), bench.worker("other")
    client.order("ping", destination=["here", "nowhere"])
    assert other.control.take(m.Command) == []
    worker.control.say(m.Reply(token_of(worker.control), 1))
    bench.wait(1.0)
    assert client.take(m.Replies) == [m.Replies(1, {"here": 1}, ["nowhere"])]


def test_an_outcome_is_forgotten_when_that_is_ordered() -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker()
    client.submit("a", "b")
    for task_id in "ab":
        worker.report(task_id)
    client.take(m.Settled)
    assert client.order("forget", ids=["a", "unknown", 5]) == 1
    client.say(m.Query(7, ["a", "b"]))
    assert [outcome.id for each in client.take(m.Settled) for outcome in each.outcomes] == ["b"]
    assert [each.states for each in client.take(m.Report)] == [[("a", "")]]


def test_without_nodes_a_command_is_answered_at_once(bench: Bench) -> None:
    client = bench.client()
    client.say(m.Control(1, "ping", {}, [], 60.0))
    assert client.take(m.Replies) == [m.Replies(1, {}, [])]
    assert bench.core._broadcasts.next_s() is None


def test_a_node_without_a_second_connection_is_asked_as_soon_as_it_has_one(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    bench.lose(worker.control)
    client.say(m.Control(1, "ping", {}, [], 1.0))
    control = bench.control(worker)
    control.say(m.Reply(token_of(control), "here"))
    assert client.take(m.Replies) == [m.Replies(1, {"worker": "here"}, [])]


def test_a_node_that_loses_its_second_connection_is_not_asked_again_what_it_may_have_done(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.say(m.Control(1, "cancel_consumer", {"queue": "default"}, [], 1.0))
    assert token_of(worker.control)
    bench.lose(worker.control)
    assert bench.control(worker).take(m.Command) == []
    bench.wait(1.0)
    assert client.take(m.Replies) == [m.Replies(1, {}, ["worker"])]


def test_what_is_answered_already_is_not_asked_when_a_connection_comes(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    bench.lose(worker.control)
    client.say(m.Control(1, "ping", {}, [], 1.0))
    bench.wait(1.0)
    assert client.take(m.Replies) == [m.Replies(1, {}, ["worker"])]
    assert bench.control(worker).take(m.Command) == []


def test_late_replies_and_repeated_ones_change_nothing() -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker()
    client.order("ping", timeout_s=0.5)
    token = token_of(worker.control)
    bench.wait(0.5)
    worker.control.say(m.Reply(token, "late"), m.Reply(token, "again"), m.Reply(12345, "never asked"))
    assert [replies.replies for replies in client.take(m.Replies)] == [{}]


def test_a_command_of_a_client_that_has_gone_is_forgotten() -> None:
    bench = Bench()
    client = bench.client()
    bench.worker()
    client.order("ping", timeout_s=1000.0)
    bench.lose(client)
    assert bench.core._broadcasts.next_s() is None


def test_the_coordinator_tells_of_itself() -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker(slots=1)
    client.submit("a", "b")
    worker.delivered()
    stats = client.order("coordinator")
    assert stats["calls"] == 2 and stats["durable"] is False
    [shown] = stats["workers"]
    assert (shown["name"], shown["state"], shown["leases"], shown["slots"]) == ("worker", "ready", 1, 1)
    assert client.order("queues") == {"default": 1}


@pytest.mark.parametrize("ids", [None, 5, "abc", {"a": 1}, [1, None, ["a"]]], ids=repr)
def test_a_revocation_of_what_is_no_list_of_ids_revokes_nothing(bench: Bench, ids: Any) -> None:
    client = bench.client()
    client.submit("a")
    assert client.order("revoke", ids=ids) == {}
    assert bench.state_of("a") == "open"
