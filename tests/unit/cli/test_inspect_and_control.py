"""`actorq inspect` and `actorq control`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.fakes import FakeMesh


@pytest.mark.parametrize(
    ("reply", "lines"),
    [
        ({"ok": "pong"}, ["pong"]),
        (["tasks.add", "tasks.mul"], ["* tasks.add", "* tasks.mul"]),
        ([{"id": "1", "name": "tasks.add"}], ['* {"id": "1", "name": "tasks.add"}']),
        ([], ["- empty -"]),
        ({}, ["- empty -"]),
        ({"default": 3, "fast": 0}, ["* default: 3", "* fast: 0"]),
        ({"pool": {"slots": 4}}, ["{", '  "pool": {', '    "slots": 4', "  }", "}"]),
        ("as it is", ["as it is"]),
        (None, []),
    ],
)
def test_each_reply_stands_under_its_node(run: Run, mesh: FakeMesh, reply: Any, lines: list[str]) -> None:
    mesh.replies["stats"] = {"w1@a": reply}
    result = run("inspect", "stats")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["-> w1@a: OK", *(f"    {line}" for line in lines)]


def test_a_node_that_could_not_do_it_says_why(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["stats"] = {"w1@a": {"error": "no such command"}}
    assert run("inspect", "stats").stdout == "-> w1@a: ERROR\n    no such command\n"


def test_nodes_of_one_name_are_warned_of_in_one_line(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["ping"] = {"w1@a": {"ok": "pong"}, "w1@a#2": {"ok": "pong"}}
    (line,) = run("inspect", "ping").stderr.splitlines()
    assert line.startswith("Warning: several nodes are named w1@a: ")


def test_destination_and_timeout_go_with_the_question(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["active"] = {"w1@a": [], "w2@b": []}
    run("inspect", "active", "-d", "w1@a, w2@b", "-t", "2.5")
    assert mesh.orders == [("active", {}, ["w1@a", "w2@b"], 2.5)]


@pytest.mark.parametrize("command", [["inspect", "ping"], ["control", "ping"], ["control", "shutdown"]])
def test_when_nobody_answers_it_is_unavailable(run: Run, mesh: FakeMesh, command: list[str]) -> None:
    mesh.missing = ["w1@a"]
    result = run(*command)
    assert result.exit_code == 69
    assert "No nodes replied within time constraint. w1@a: no answer after 1 s" in result.stderr


@pytest.mark.parametrize("command", [["inspect", "ping"], ["control", "ping"]])
def test_json_has_the_replies_by_node(run: Run, mesh: FakeMesh, command: list[str]) -> None:
    mesh.replies["ping"] = {"w1@a": {"ok": "pong"}}
    assert json.loads(run(*command, "--json").stdout) == {"w1@a": {"ok": "pong"}}


def test_an_unknown_question_is_a_usage_error(run: Run, mesh: FakeMesh) -> None:
    result = run("inspect", "activ")
    assert result.exit_code == 2
    assert "did you mean 'active'?" in result.stderr
    assert not mesh.orders


def test_the_help_of_inspect_lists_all_questions(run: Run) -> None:
    shown = run("inspect", "--help").stdout
    for name in ("ping", "stats", "active", "reserved", "registered", "coordinator", "queues", "dead_letters"):
        assert f"\n    {name} " in shown


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["control", "rate_limit", "add", "1/s"], "rate_limit"),
        (["control", "rate-limit", "add", "1/s"], "rate_limit"),
        (["inspect", "active_queues"], "active_queues"),
        (["inspect", "active-queues"], "active_queues"),
    ],
)
def test_names_are_taken_as_celery_spells_them_and_as_commands_are_spelt(
    run: Run, mesh: FakeMesh, arguments: list[str], asked: str
) -> None:
    run(*arguments)
    assert [command for command, *_ in mesh.orders] == [asked]


def test_cancel_ends_the_whole_workflow(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["open_calls"] = {"c@a": {"ids": ["id-2", "id-1"], "roots": ["id-0"]}, "c@b": {"ids": [], "roots": []}}
    mesh.replies["revoke"] = {"c@a": {"id-1": "removed", "id-0": "2 removed"}}
    result = run("control", "cancel", "id-1")
    assert "id-0: 2 removed" in result.stdout
    (_, asked, *_), (command, arguments, *_) = mesh.orders
    assert asked == {"ids": ["id-1"]} and command == "revoke"
    assert arguments == {"ids": ["id-2", "id-1"], "roots": ["id-0", "id-1"], "terminate": True}


@pytest.mark.parametrize(
    ("arguments", "terminate"),
    [
        (["revoke", "id-1", "id-2"], False),
        (["revoke", "id-1", "id-2", "--terminate"], True),
        (["terminate", "id-1", "id-2"], True),
    ],
)
def test_revoke_says_what_became_of_each_call(run: Run, mesh: FakeMesh, arguments: list[str], terminate: bool) -> None:
    mesh.replies["revoke"] = {"coordinator@here": {"id-1": "removed", "id-2": "its worker was told"}}
    result = run("control", *arguments)
    assert result.exit_code == 0
    assert "* id-1: removed" in result.stdout
    assert mesh.orders == [("revoke", {"ids": ["id-1", "id-2"], "terminate": terminate}, [], 1.0)]


def test_shutdown_goes_to_the_nodes_that_are_named(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["shutdown"] = {"w1@a": {"ok": "draining"}}
    result = run("control", "shutdown", "-d", "w1@a")
    assert result.stdout == "-> w1@a: OK\n    draining\n"
    assert mesh.orders == [("shutdown", {}, ["w1@a"], 1.0)]


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (
            ["rate-limit", "tasks.add", "10/m"],
            ("rate_limit", {"task_name": "tasks.add", "rate_limit": "10/m"}, [], 1.0),
        ),
        (["add-consumer", "feeds", "-d", "w1@a"], ("add_consumer", {"queue": "feeds"}, ["w1@a"], 1.0)),
        (["drain-coordinator", "c1@a", "c2@b"], ("drain_coordinator", {}, ["c1@a", "c2@b"], 1.0)),
    ],
)
def test_what_is_named_becomes_arguments_or_destinations(
    run: Run, mesh: FakeMesh, arguments: list[str], order: tuple[Any, ...]
) -> None:
    run("control", *arguments)
    assert mesh.orders == [order]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["revoek", "id-1"], "did you mean 'revoke'?"),
        (["revoke"], "actorq control revoke ID"),
        (["revoke", "id-1", "-d", "w1@a"], "takes no --destination"),
        (["rate-limit", "tasks.add"], "actorq control rate-limit TASK RATE"),
        (["rate-limit", "tasks.add", "10/m", "-d", "w1@a"], "it holds for the whole mesh"),
        (["add-consumer", "feeds", "mails"], "actorq control add-consumer QUEUE"),
        (["drain-coordinator", "-d", "c1@a"], "actorq control drain-coordinator NAME"),
        (["shutdown", "w1@a"], "--destination w1@a"),
        (["shutdown", "--terminate"], "belongs to revoke"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(run: Run, mesh: FakeMesh, arguments: list[str], text: str) -> None:
    result = run("control", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not mesh.orders
