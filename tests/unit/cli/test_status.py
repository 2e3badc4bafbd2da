"""`actorq status`."""

from __future__ import annotations

import json

import pytest

from actorq.errors import OperationalError
from actorq.wire.messages import Replies
from tests.unit.cli.conftest import Run
from tests.unit.cli.fakes import FakeMesh, stats_of

PONG = {"ok": "pong"}


def test_it_names_the_nodes_that_answer_and_counts_them(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["ping"] = {"w1@a": PONG, "w2@b": PONG}
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout == "w1@a: OK\nw2@b: OK\n\n2 nodes online.\n"
    assert mesh.is_closed


def test_one_node_is_not_nodes(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["ping"] = {"w1@a": PONG}
    assert "1 node online." in run("status").stdout


def test_nodes_that_are_there_but_silent_are_named(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["ping"], mesh.missing = {"w1@a": PONG}, ["w2@b"]
    result = run("status", "--timeout", "3")
    assert result.exit_code == 0
    assert result.stderr == "no answer within 3 s: w2@b\n"
    assert ("ping", {}, [], 3.0) in mesh.orders


def test_without_a_worker_it_is_unavailable(run: Run, mesh: FakeMesh) -> None:
    result = run("status")
    assert result.exit_code == 69
    assert "No nodes replied within time constraint" in result.stderr
    assert "start one with 'actorq worker'" in result.stderr


def test_without_a_worker_it_says_what_waits_for_one(run: Run, mesh: FakeMesh) -> None:
    stats = mesh.replies["coordinator"]["coordinator@here"]
    stats["queues"] = {"slow": 12345, "default": 3, "empty": 0}
    waiting = "coordinator@here: calls wait for a worker: 3 in queue 'default', 12,345 in queue 'slow'\n"
    assert run("status").stdout == waiting
    assert run("status", "--verbose").stdout.startswith(waiting)
    stats["queues"] = {"default": 0}
    assert run("status").stdout == "coordinator@here: no call waits\n"


def test_without_a_coordinator_it_is_unavailable(run: Run, mesh: FakeMesh) -> None:
    mesh.is_reachable = False
    result = run("status")
    assert result.exit_code == 69
    assert result.stderr == "Error: no coordinator answered\n"


def test_limits_that_were_reached_are_shown_and_others_are_not(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["ping"] = {"w1@a": PONG}
    stats = mesh.replies["coordinator"]["coordinator@here"]
    stats["limits"] = {
        "calls": {"now": 5, "limit": 20_000, "hits": 0},
        "watched": {"now": 1000, "limit": 1000, "hits": 2},
        "code": {"now": 3, "limit": 4, "hits": 1},
    }
    assert run("status").stdout.splitlines()[3:] == [
        "coordinator@here: limit watched reached 2 times, now 1,000 of 1,000",
        "coordinator@here: limit code reached once, now 3 of 4",
    ]


@pytest.mark.parametrize("nodes", [{}, {"w1@a": PONG}])
def test_json_is_one_object_whatever_was_found(run: Run, mesh: FakeMesh, nodes: dict[str, object]) -> None:
    mesh.replies["ping"] = nodes
    found = json.loads(run("status", "--json").stdout)
    assert found["nodes"] == nodes
    assert found["coordinators"] == {"coordinator@here": stats_of()}


def test_verbose_shows_what_each_worker_does(run: Run, mesh: FakeMesh) -> None:
    mesh.replies |= {"ping": {"worker@here": PONG}, "coordinator": {"coordinator@here": stats_of("tasks.add")}}
    shown = run("status", "--verbose").stdout
    assert "coordinator@here: 3 calls wait, 7 settled, 1 clients" in shown
    assert "12 ms" in shown and "50 MiB" in shown


@pytest.mark.parametrize(("unwritten", "lag"), [(0, "all is written"), (1234, "1,234 records are not written yet")])
def test_it_says_where_calls_are_kept(run: Run, mesh: FakeMesh, unwritten: int, lag: str) -> None:
    stats = stats_of("tasks.add") | {"durable": True, "data_dir": "/data", "unwritten": unwritten, "trouble": ""}
    mesh.replies |= {"ping": {"worker@here": PONG}, "coordinator": {"coordinator@here": stats}}
    result = run("status")
    assert f"coordinator@here: keeps calls in /data, {lag}\n" in result.stdout
    assert result.stderr == ""


def test_trouble_with_the_journal_is_shown(run: Run, mesh: FakeMesh) -> None:
    trouble = "the journal in /data cannot be written: the disk is full"
    stats = stats_of("tasks.add") | {"durable": True, "data_dir": "/data", "unwritten": 5, "trouble": trouble}
    mesh.replies |= {"ping": {"worker@here": PONG}, "coordinator": {"coordinator@here": stats}}
    assert run("status").stderr == f"coordinator@here: {trouble}\n"


def test_wait_ready_waits_for_the_coordinator_and_then_for_a_worker(
    run: Run, mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, looks = mesh.order, 0

    def later(command: str, *arguments: object) -> Replies:
        nonlocal looks
        looks += command == "ping"
        if looks == 1:
            raise OperationalError("no coordinator answered")
        if looks == 3:
            mesh.replies["ping"] = {"w1@a": PONG}
        return answer(command, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mesh, "order", later)
    result = run("status", "--wait-ready")
    assert result.exit_code == 0
    assert looks == 3
    assert "1 node online." in result.stdout


@pytest.mark.parametrize("is_reachable", [True, False])
def test_wait_ready_gives_up(run: Run, mesh: FakeMesh, is_reachable: bool) -> None:
    mesh.is_reachable = is_reachable
    assert run("status", "--wait-ready", "--timeout", "0.2").exit_code == 69


def test_wait_ready_waits_for_as_many_workers_as_are_asked_for(
    run: Run, mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = mesh.order
    there: dict[str, dict[str, str]] = {}

    def later(command: str, *arguments: object) -> Replies:
        if command == "ping":
            there[f"w{len(there)}@a"] = PONG
            mesh.replies["ping"] = dict(there)
        return answer(command, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mesh, "order", later)
    result = run("status", "--wait-ready", "--workers", "3")
    assert result.exit_code == 0
    assert "3 nodes online." in result.stdout


@pytest.mark.parametrize("options", [[], ["--wait-ready", "--timeout", "0.2"]])
def test_fewer_workers_than_are_asked_for_are_not_enough(run: Run, mesh: FakeMesh, options: list[str]) -> None:
    mesh.replies["ping"] = {"w1@a": PONG}
    result = run("status", "--workers", "2", *options)
    assert result.exit_code == 69
    assert "w1@a: OK" in result.stdout
    assert "1 of 2 workers answered" in result.stderr
