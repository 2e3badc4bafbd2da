"""`actorq call` and `actorq result`."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from actorq import states
from actorq.errors import CallRefused, RemoteError, TaskRevokedError
from tests.unit.cli.conftest import Run
from tests.unit.cli.fakes import FakeMesh, stats_of


def test_call_prints_the_id_once_the_mesh_has_accepted_the_call(run: Run, mesh: FakeMesh) -> None:
    result = run("call", "tasks.add", "-a", "[2, 3]", "-k", '{"z": null}')
    assert result.exit_code == 0
    assert result.stdout == "id-1\n"
    assert mesh.sent == [("tasks.add", [2, 3], {"z": None}, {})]
    assert mesh.is_closed


def test_the_options_of_the_call_go_with_it(run: Run, mesh: FakeMesh) -> None:
    run("call", "tasks.add", "--queue", "fast", "--priority", "9", "--countdown", "5", "--expires", "60")
    assert mesh.sent[0][3] == {"queue": "fast", "priority": 9, "countdown": 5.0, "expires": 60.0}
    run("call", "tasks.add", "--serializer", "json", "--compression", "gzip")
    assert mesh.sent[1][3] == {"serializer": "json", "compression": "gzip"}


@pytest.mark.parametrize(
    ("text", "eta"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=timezone.utc)),
        ("2030-01-31T12:00", datetime(2030, 1, 31, 12)),
        ("1900000000.5", 1900000000.5),
    ],
)
def test_eta_is_a_time_in_iso_8601_or_unix_time(run: Run, mesh: FakeMesh, text: str, eta: object) -> None:
    run("call", "tasks.add", "--eta", text)
    assert mesh.sent[0][3] == {"eta": eta}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-a", "[2,"], "is not JSON"),
        (["-a", '{"x": 2}'], "write it like '[2, 3]'"),
        (["-k", "[2]"], """write it like '{"x": 2}'"""),
        (["--eta", "tomorrow"], "2030-12-31T23:59:00Z"),
        (["--eta", "1900000000", "--countdown", "1"], "not both"),
        (["--countdown", "-1"], "x>=0"),
        (["--priority", "10"], "0<=x<=9"),
    ],
)
def test_arguments_that_cannot_be_are_usage_errors(run: Run, mesh: FakeMesh, arguments: list[str], text: str) -> None:
    result = run("call", "tasks.add", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not mesh.sent


def test_a_task_that_nobody_offers_is_pointed_out(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["coordinator"] = {"c": stats_of("tasks.add")}
    result = run("call", "tasks.ad")
    assert result.stdout == "id-1\n"
    assert result.stderr == (
        "note: call id-1 waits, because no worker offers 'tasks.ad': did you mean 'tasks.add'? ('actorq control revoke "
        "id-1' ends it)\n"
    )
    mesh.replies["coordinator"] = {"c": stats_of()}
    assert "no worker is there at present" in run("call", "tasks.add").stderr
    mesh.replies["coordinator"] = {"c": stats_of("tasks.add")}
    assert run("call", "tasks.add").stderr == ""


def test_wait_says_so_before_it_waits(run: Run, mesh: FakeMesh) -> None:
    mesh.replies["coordinator"] = {"c": stats_of("tasks.add")}
    mesh.result.state = states.PENDING
    result = run("call", "proj.other", "--wait", "--timeout", "0")
    assert result.exit_code == 75
    note, error = result.stderr.splitlines()
    assert "call id-1 waits, because no worker offers 'proj.other': start one that imports it" in note
    assert "did not come within" in error


def test_a_call_that_is_refused_says_why(run: Run, mesh: FakeMesh) -> None:
    mesh.result.error = CallRefused("id-1", "the queue is closed")
    result = run("call", "tasks.add")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Error: call id-1 was refused: the queue is closed" in result.stderr


def test_a_mesh_that_takes_no_call_is_unavailable(run: Run, mesh: FakeMesh) -> None:
    mesh.session.takes_calls = False
    assert run("call", "tasks.add").exit_code == 69
    mesh.is_reachable = False
    assert run("call", "tasks.add").exit_code == 69


@pytest.mark.parametrize(
    ("value", "shown"), [("text", "text"), (5, "5"), (None, "None"), ({"b": Decimal("1.5")}, "{'b': Decimal('1.5')}")]
)
def test_wait_prints_the_result(run: Run, mesh: FakeMesh, value: object, shown: str) -> None:
    mesh.result.value = value
    result = run("call", "tasks.add", "--wait", "--timeout", "7")
    assert result.exit_code == 0
    assert result.stdout == shown + "\n"
    assert mesh.result.waited_s == [7.0]


def test_json_has_id_state_and_result(run: Run, mesh: FakeMesh) -> None:
    assert json.loads(run("call", "tasks.add", "--json").stdout) == {"id": "id-1"}
    mesh.result.value = [1, {2, 3}]
    done = json.loads(run("call", "tasks.add", "--json", "--wait").stdout)
    assert done == {"id": "id-1", "state": "SUCCESS", "result": [1, "{2, 3}"]}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("too small"), "ValueError: too small"),
        (KeyError(), "KeyError"),
        (RemoteError("proj.errors.TooSmall", "3 < 4"), "proj.errors.TooSmall: 3 < 4"),
    ],
)
def test_a_task_that_failed_is_a_failure_of_the_command(
    run: Run, mesh: FakeMesh, error: BaseException, said: str
) -> None:
    mesh.result.state, mesh.result.value, mesh.result.traceback = states.FAILURE, error, "Traceback of the task\n"
    result = run("result", "id-7", "--timeout", "5")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"Error: id-7 failed: {said}\n"
    assert run("result", "id-7", "--traceback", "--timeout", "5").stderr.startswith("Traceback of the task\nError: ")


def test_a_failure_in_json_has_its_type_message_and_traceback(run: Run, mesh: FakeMesh) -> None:
    mesh.result.state, mesh.result.value = states.FAILURE, RemoteError("proj.errors.TooSmall", "3 < 4")
    mesh.result.traceback = "Traceback of the task"
    assert json.loads(run("result", "id-7", "--json", "--timeout", "5").stdout) == {
        "id": "id-7",
        "state": "FAILURE",
        "error": {"type": "proj.errors.TooSmall", "message": "3 < 4"},
        "traceback": "Traceback of the task",
    }


def test_a_revoked_call_is_a_failure_too(run: Run, mesh: FakeMesh) -> None:
    mesh.result.state, mesh.result.value = states.REVOKED, TaskRevokedError("it was revoked")
    result = run("result", "id-7", "--timeout", "5")
    assert result.exit_code == 1
    assert "id-7 was revoked: TaskRevokedError: it was revoked" in result.stderr


def test_a_result_that_does_not_come_in_time_is_not_yet_there(run: Run, mesh: FakeMesh) -> None:
    mesh.result.state = states.STARTED
    result = run("result", "id-7", "--timeout", "0", "--json")
    assert result.exit_code == 75
    assert "(its state is STARTED)" in result.stderr
    assert json.loads(result.stdout) == {"id": "id-7", "state": "STARTED"}


def test_a_call_that_is_known_is_waited_for_and_an_unknown_one_is_not(run: Run, mesh: FakeMesh) -> None:
    mesh.result.state = states.PENDING
    mesh.session.known["id-7"] = states.PENDING
    run("result", "id-7")
    assert mesh.result.waited_s == [None]
    unknown = run("result", "id-8")
    assert unknown.exit_code == 75
    assert "the mesh knows no call id-8" in unknown.stderr
    assert mesh.result.waited_s == [None]
