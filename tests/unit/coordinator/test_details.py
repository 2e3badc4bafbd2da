"""What a coordinator says of single calls."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.config import BLOB_BYTES
from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import FAILURE, VALUE, CallSpec, Extra, Note
from tests.unit.coordinator.support import Bench, ClientParty
from tests.unit.coordinator.workflows.support import chain, chord, go_on

EXTENDED = CallSpec("add", queue="sums", extended=True)


def details(client: ClientParty, *ids: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = client.order("call_details", ids=list(ids))
    return found


def state_of(client: ClientParty, task_id: str) -> str:
    return str(details(client, task_id)[task_id]["state"])


def test_a_call_that_waits_is_queued_and_one_whose_time_has_not_come_is_scheduled(bench: Bench) -> None:
    client = bench.client()
    client.submit("now", body=b"1")
    client.submit("later", not_before=bench.wall_s + 10, extra=Extra("root", "parent", "group", 3, retries=2))
    client.submit_plan("p", *chain("first", "next", takes=VALUE))
    assert [state_of(client, each) for each in ("now", "later", "first", "next")] == [
        "QUEUED", "SCHEDULED", "QUEUED", "SCHEDULED",
    ]  # fmt: skip
    now, later = details(client, "now", "later").values()
    assert (now["name"], now["queue"], now["body"], now["worker"]) == ("add", "default", b"1", "")
    assert (later["not_before"], later["retries"]) == (bench.wall_s + 10, 2)
    assert (later["root"], later["parent"], later["group"]) == ("root", "parent", "group")
    assert abs(now["came"] - bench.wall_s) <= 0.25
    bench.wait(11)
    assert state_of(client, "later") == "QUEUED"


def test_a_call_that_a_worker_has_is_received_started_or_what_it_says_of_itself(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("hare", slots=1)
    client.submit("a")
    assert state_of(client, "a") == "RECEIVED"
    worker.control.say(m.Heartbeat(1.0, 0.0, [("a", worker.attempt("a"))]))
    assert details(client, "a")["a"]["state"] == "STARTED" and details(client, "a")["a"]["worker"] == "hare"
    worker.say(m.Noted([Note("a", 1, "PROGRESS")]))
    assert state_of(client, "a") == "PROGRESS"
    worker.die()
    assert state_of(client, "a") == "QUEUED", "what an earlier attempt has said is past"


def test_of_what_has_settled_it_is_known_when_and_where(bench: Bench) -> None:
    client, hare, other = bench.client(), bench.worker("hare", slots=2), bench.worker("other", slots=2)
    client.submit("a", "b", "c", "d")
    workers = {task_id: each for each in (hare, other) for task_id in each.delivered()}
    times = {}
    for task_id in ("b", "a", "d", "c"):
        bench.wait(1.5)
        workers[task_id].report(task_id)
        times[task_id] = bench.wall_s
    bench.wait(5)
    found = details(client, "a", "b", "c", "d", "unknown")
    assert {task_id: said["date_done"] for task_id, said in found.items()} == times
    assert {task_id: said["worker"] for task_id, said in found.items()} == {
        task_id: worker.name for task_id, worker in workers.items()
    }
    assert all(set(said) == {"state", "worker", "date_done"} for said in found.values()), "nothing else is kept"


def test_a_call_that_ends_without_a_worker_has_none(bench: Bench) -> None:
    client = bench.client()
    client.submit("a")
    client.order("revoke", ids=["a"])
    assert details(client, "a")["a"]["worker"] == "" and state_of(client, "a") == "REVOKED"


def test_of_an_extended_call_it_stays_known_what_it_was(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(queues=["sums"], slots=9)
    client.submit("a", spec=EXTENDED, body=b"1 2", extra=Extra(parent="p", retries=1))
    client.submit("plain", spec=CallSpec("add", queue="sums"))
    worker.report("a", "plain", state=FAILURE)
    said = details(client, "a")["a"]
    assert (said["state"], said["name"], said["queue"], said["body"]) == ("FAILURE", "add", "sums", b"1 2")
    assert (said["retries"], said["parent"], said["worker"]) == (1, "p", worker.name)
    assert "name" not in details(client, "plain")["plain"]
    client.order("forget", ids=["a"])
    assert details(client, "a") == {}


def test_arguments_that_are_large_or_shown_nowhere_are_left_out(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    sensitive = CallSpec("add", sensitive=True, extended=True)
    client.submit("sensitive", spec=sensitive, body=b"secret")
    client.submit("large", spec=CallSpec("add", extended=True), body=b"x" * (BLOB_BYTES + 1))
    for _ in range(2):  # While it waits, and when it has settled.
        assert [said["body"] for said in details(client, "sensitive", "large").values()] == [b"", b""]
        worker.report("sensitive", "large")


def test_kept_arguments_count_against_the_bound_of_outcomes() -> None:
    bench = Bench(outcome_bytes=8 * 1000)
    client, worker = bench.client(), bench.worker(slots=1)
    for number in range(30):
        client.submit(f"{number}", spec=CallSpec("add", extended=True), body=b"x" * 1000)
        worker.report(f"{number}")
    assert len(details(client, *map(str, range(30)))) <= 9


def test_the_date_is_known_after_a_restart() -> None:
    bench = Bench(shelf=Shelf())
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=CallSpec("add", extended=True))
    worker.report("a")
    ended_s = bench.wall_s
    bench.wait(30)
    bench.start()
    said = details(bench.client(), "a")["a"]
    assert abs(said["date_done"] - ended_s) < 0.001 and said["worker"] == ""


# -- children --------------------------------------------------------------------------------------------------------


def children(client: ClientParty, *ids: str) -> dict[str, list[str]]:
    found = client.order("call_children", ids=list(ids))
    return {parent: [each[0] for each in named] for parent, named in found.items()}


def test_the_children_of_a_call_are_found_while_they_wait_run_and_when_they_have_settled(bench: Bench) -> None:
    client = bench.client()
    child = Extra("root", "p", "group", 1)
    client.submit("a", "b", "c", spec=EXTENDED, extra=child)
    client.submit("stranger", spec=EXTENDED, extra=Extra("root", "q"))
    assert children(client, "p", "q", "none") == {"p": ["a", "b", "c"], "q": ["stranger"]}
    worker = bench.worker(queues=["sums"], slots=2)
    worker.report("b")
    assert sorted(children(client, "p")["p"]) == ["a", "b", "c"]
    assert client.order("call_children", ids=["p"])["p"][0] == ("b", "group", 1)


def test_the_open_calls_of_a_workflow_are_found_by_any_of_its_calls_from_the_end_to_the_beginning(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    nodes = chain("first", "second", "third")
    for node in nodes:
        node.call.extra = Extra(root="first")
    client.submit_plan("p", *nodes)
    client.submit_plan("q", *chain("other"))
    whole = {"ids": ["third", "second", "first"], "roots": ["first"]}
    assert client.order("open_calls", ids=["first"]) == client.order("open_calls", ids=["third"]) == whole
    worker.report("first")
    assert client.order("open_calls", ids=["first"]) == {"ids": ["third", "second"], "roots": ["first"]}
    assert client.order("open_calls", ids=["none"]) == {"ids": [], "roots": []}


@pytest.mark.parametrize("some", ["a", "b", "inner", "body"])
def test_what_a_call_has_gone_on_as_belongs_to_its_workflow(bench: Bench, some: str) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    client.submit_plan("p", *chord("body", "a", "b"))
    go_on(worker, "a", *chain("inner", "a"))
    assert sorted(client.order("open_calls", ids=[some])["ids"]) == ["a", "b", "body", "inner"]


def test_a_retried_call_at_the_end_of_a_workflow_belongs_to_it_still(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    client.submit_plan("p", *chain("x"), *chain("y"))
    go_on(worker, "x", *chain("x"))
    assert sorted(client.order("open_calls", ids=["x"])["ids"]) == ["x", "y"]


def test_a_workflow_that_a_task_has_submitted_is_not_all_that_goes_back_to_the_root(bench: Bench) -> None:
    client = bench.client()
    nodes = chain("first", "second")
    for node in nodes:
        node.call.extra = Extra(root="root", parent="task")
    client.submit_plan("p", *nodes)
    assert client.order("open_calls", ids=["second"]) == {"ids": ["second", "first"], "roots": []}


def test_children_that_wait_for_others_of_their_plan_are_found(bench: Bench) -> None:
    client = bench.client()
    nodes = chain("first", "next")
    nodes[1].call.extra = Extra(parent="first")
    client.submit_plan("p", *nodes)
    assert children(client, "first") == {"first": ["next"]}
