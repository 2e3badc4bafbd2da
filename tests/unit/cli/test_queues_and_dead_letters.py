"""`actorq queues` and `actorq dead-letters`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actorq.wire.payload import Serializers, encode_call
from tests.unit.cli.conftest import Run
from tests.unit.cli.fakes import FakeMesh

LETTER = {"id": "a", "task": "tasks.add", "queue": "feeds", "reason": "its worker was lost", "time": 1_700_000_000.0}


def queue(size: int, **found: Any) -> dict[str, Any]:
    return {"size": size, "oldest_wait_s": 2.5, "consumers": 1, "paused": False, "without_offer": {}, **found}


def test_queues_of_several_coordinators_are_listed_as_one(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["queue_details"] = {
        "c1@a": {"feeds": queue(1200, paused=True), "idle": queue(0, consumers=2)},
        "c2@b": {"feeds": queue(34, oldest_wait_s=9.0, paused=True, without_offer={"tasks.new": 2})},
    }
    assert run("queues", "list").stdout.splitlines() == [
        "feeds: 1,234 wait, the oldest for 9.0 s; 1 worker PAUSED",
        "    2 of tasks.new wait for a worker that offers it and serves this queue",
        "idle: 0 wait; 2 workers",
    ]
    assert json.loads(run("queues", "list", "--json").stdout)["feeds"]["size"] == 1234


@pytest.mark.parametrize(("order", "is_paused"), [("pause", True), ("resume", False)])
def test_a_queue_is_paused_and_resumed_and_a_wrong_name_is_pointed_out(
    run: Run, mesh: FakeMesh, order: str, is_paused: bool
) -> None:
    mesh.replies["queue_details"] = {"c1@a": {"feeds": queue(1)}}
    mesh.replies["declare"] = {"c1@a": {"ok": "1 declared"}}
    result = run("queues", order, "feds")
    assert mesh.orders[-1][:2] == (
        "declare",
        {"items": [["pause", ["feds"], {"paused": is_paused}]], "only_new": False},
    )
    assert "did you mean 'feeds'?" in result.stderr


def test_a_purge_asks_first_unless_it_is_forced(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["purge_queues"] = {"c1@a": {"feeds": 3}, "c2@b": {"feeds": 1}}
    assert run("queues", "purge", "feeds").exit_code == 1 and not mesh.orders
    assert run("queues", "purge", "feeds", "-f").stdout == "Purged 4 calls.\n"
    assert mesh.orders == [("purge_queues", {"queues": ["feeds"]}, [], 5.0)]


def test_dead_letters_are_listed_with_their_reasons(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["dead_letters"] = {"c1@a": [LETTER], "c2@b": []}
    result = run("dead-letters", "list", "--queue", "feeds")
    assert "a  tasks.add" in result.stdout and "its worker was lost" in result.stdout
    assert mesh.orders == [("dead_letters", {"ids": [], "queue": "feeds"}, [], 5.0)]


@pytest.mark.parametrize(("serializer", "body", "shown"), [
    ("msgpack", encode_call((1, "x"), {"k": 2}), "1, 'x', k=2"),
    ("msgpack", b"\xc1", "<"),
    ("json+gzip", Serializers.default().get("json+gzip").encode_call((1,), {}), "1"),
    ("cloudpickle", b"12345", "<5 bytes of cloudpickle>"),
    ("cloudpickle+gzip", b"12345", "<5 bytes of cloudpickle+gzip>"),
])  # fmt: skip
def test_a_dead_letter_is_shown_with_its_arguments_and_nothing_is_unpickled(
    run: Run, mesh: FakeMesh, serializer: str, body: bytes, shown: str
) -> None:
    mesh.serializers = Serializers.default(("msgpack", "json", "cloudpickle"))  # type: ignore[attr-defined]
    mesh.replies["show_dead_letters"] = {"c1@a": [{**LETTER, "serializer": serializer, "body": body}]}
    assert f"arguments: {shown}" in run("dead-letters", "show", "a").stdout


def test_dead_letters_are_replayed_and_what_cannot_be_is_a_failure(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["replay_dead_letters"] = {"c1@a": {"a": "a~again1"}, "c2@b": {}}
    assert run("dead-letters", "replay", "a").stdout == "a -> a~again1\n"
    result = run("dead-letters", "replay", "a", "b")
    assert result.exit_code == 1 and "b: there is no such dead letter" in result.stderr
    mesh.replies["replay_dead_letters"] = {"c1@a": {"a": "error: its arguments were not kept"}}
    assert run("dead-letters", "replay", "--all").exit_code == 1
    assert run("dead-letters", "replay").exit_code == 2


def test_a_rate_limit_is_set_by_the_name_of_the_task_and_for_the_whole_mesh(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["rate_limit"] = {"c@a": {"ok": "new rate limit set successfully"}}
    assert run("control", "rate-limit", "proj.add", "10/m").exit_code == 0
    assert mesh.orders == [("rate_limit", {"task_name": "proj.add", "rate_limit": "10/m"}, [], 1.0)]
    assert run("control", "rate-limit", "proj.add").exit_code == 2
    assert run("control", "rate-limit", "proj.add", "10/m", "-d", "w@a").exit_code == 2
    mesh.replies["rate_limit"] = {"c@a": {"error": "unknown task"}}
    assert run("control", "rate-limit", "proj.ad", "10/m").exit_code == 1


def test_a_consumer_is_added_by_the_name_of_one_queue(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["add_consumer"] = {"w@a": {"ok": "add consumer feeds"}}
    assert run("control", "add-consumer", "feeds", "-d", "w@a").exit_code == 0
    assert mesh.orders == [("add_consumer", {"queue": "feeds"}, ["w@a"], 1.0)]
    assert run("control", "add-consumer").exit_code == 2
