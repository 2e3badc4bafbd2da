"""The commands, as processes, on a mesh of processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from actorq.cli.main import cli
from tests.support import REPOSITORY, NodeProcess, Nodes, eventually, free_address

TASKS = "tests.integration.tasks"


class Shell:
    """Runs the commands of clients against one mesh: in this process, which is quicker and the same code."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *arguments: str) -> Result:
        """Run ``actorq ARGUMENTS`` to its end."""
        return CliRunner().invoke(cli, list(arguments), prog_name="actorq", env={"ACTORQ_URL": self.url})

    def json(self, *arguments: str) -> Any:
        """What the command prints with ``--json``."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def wait_ready(self) -> None:
        """Wait until both workers of `start_up` answer."""
        done = self.run("status", "--wait-ready")
        assert done.exit_code == 0, done.stderr
        eventually(lambda: len(self.json("status")["nodes"]) == 2, what="two nodes")


def run_in(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``actorq ARGUMENTS`` to its end as a process in another directory."""
    return subprocess.run(
        [sys.executable, "-m", "actorq", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def start_up(nodes: Nodes, address: str, *options: str) -> NodeProcess:
    return nodes.start("up", "-A", TASKS, "--listen", address, "--processes", "2", *options)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A mesh that `actorq up` has started, for the tests that do not end it."""
    with Nodes(tmp_path_factory.mktemp("mesh")) as nodes:
        shell = Shell(free_address())
        start_up(nodes, shell.url)
        shell.wait_ready()
        yield shell


# -- on a mesh that runs -------------------------------------------------------------------------------------------


def test_status_names_the_nodes(shell: Shell) -> None:
    done = shell.run("status")
    assert done.exit_code == 0
    first, second, _, count = done.stdout.splitlines()
    assert first.startswith("worker-1@") and first.endswith(": OK")
    assert second.startswith("worker-2@") and second.endswith(": OK")
    assert count == "2 nodes online."
    assert shell.run("status", "--verbose").exit_code == 0


def test_a_call_is_made_by_name_and_its_result_is_had_later(shell: Shell) -> None:
    task_id = shell.run("call", f"{TASKS}.add", "-a", "[2]", "-k", '{"y": 3}').stdout.strip()
    done = shell.run("result", task_id)
    assert (done.exit_code, done.stdout) == (0, "5\n")
    assert shell.json("result", task_id) == {"id": task_id, "state": "SUCCESS", "result": 5}


def test_a_call_can_be_waited_for(shell: Shell) -> None:
    assert shell.run("call", f"{TASKS}.echo", "-a", '["text"]', "--wait").stdout == "text\n"


def test_a_task_that_fails_is_told_with_its_own_exception(shell: Shell) -> None:
    done = shell.run("call", f"{TASKS}.fail", "-a", '["too small"]', "--wait", "--traceback")
    assert done.exit_code == 1
    *traceback, last = done.stderr.splitlines()
    assert last.startswith("Error: ") and last.endswith(" failed: ValueError: too small")
    assert traceback[0] == "Traceback (most recent call last):"
    assert "in fail" in done.stderr and "actorq/cli" not in done.stderr


def test_a_call_for_later_waits_and_can_be_revoked(shell: Shell) -> None:
    task_id = shell.run("call", f"{TASKS}.add", "-a", "[2, 3]", "--countdown", "600").stdout.strip()
    waiting = shell.run("result", task_id, "--timeout", "0.1")
    assert waiting.exit_code == 75
    assert "(its state is PENDING)" in waiting.stderr
    assert f"* {task_id}: removed" in shell.run("control", "revoke", task_id).stdout
    revoked = shell.run("result", task_id)
    assert revoked.exit_code == 1
    assert "was revoked" in revoked.stderr


def test_a_misspelled_task_is_pointed_out(shell: Shell) -> None:
    done = shell.run("call", f"{TASKS}.ad", "--expires", "0.1")
    assert f"no worker offers '{TASKS}.ad': did you mean '{TASKS}.add'?" in done.stderr


def test_an_unknown_id_does_not_wait(shell: Shell) -> None:
    done = shell.run("result", "no-such-id")
    assert done.exit_code == 75
    assert "knows no call no-such-id" in done.stderr


@pytest.mark.parametrize("question", ["ping", "stats", "active", "reserved", "registered"])
def test_each_worker_answers_questions(shell: Shell, question: str) -> None:
    replies = shell.json("inspect", question)
    assert len(replies) == 2
    node = min(replies)
    assert list(shell.json("inspect", question, "-d", node)) == [node]
    assert f"-> {node}: OK\n" in shell.run("inspect", question).stdout


@pytest.mark.parametrize("question", ["coordinator", "queues", "dead_letters"])
def test_the_coordinator_answers_questions(shell: Shell, question: str) -> None:
    assert len(shell.json("inspect", question)) == 1


def test_a_node_that_is_not_there_is_named(shell: Shell) -> None:
    done = shell.run("inspect", "ping", "-d", "nobody@nowhere", "-t", "0.2")
    assert done.exit_code == 69
    assert "nobody@nowhere: no answer after 0.2 s" in done.stderr


def test_an_application_brings_its_address_and_the_options_of_its_tasks(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "proj.py").write_text(
        f"from actorq import ActorQ\napp = ActorQ(url={shell.url!r})\n@app.task(queue='elsewhere')\ndef here(): ...\n"
    )
    done = run_in(tmp_path, "-A", "proj", "call", "proj.here", "--json")
    assert done.returncode == 0, done.stderr
    assert shell.json("inspect", "queues").popitem()[1]["elsewhere"] == 1
    shell.run("control", "revoke", json.loads(done.stdout)["id"])


# -- the end of a mesh ---------------------------------------------------------------------------------------------


def test_shutdown_ends_the_workers_and_then_up_ends_the_coordinator(nodes: Nodes, address: str) -> None:
    shell, up = Shell(address), start_up(nodes, address)
    shell.wait_ready()
    done = shell.run("control", "shutdown")
    assert done.exit_code == 0
    assert ": OK\n" in done.stdout
    assert up.wait() == 0
    assert nodes.alive() == []


def test_ctrl_c_lets_running_calls_end(nodes: Nodes, address: str) -> None:
    # Given a call that runs and a client that waits for it
    shell, up = Shell(address), start_up(nodes, address)
    shell.wait_ready()
    client = nodes.start("-u", address, "call", f"{TASKS}.pid_after", "-a", "[1.5]", "--wait")
    eventually(lambda: any(shell.json("inspect", "active").values()), what="a call that runs")
    # When Ctrl-C comes once, then it ends, its client hears of it, and all processes end
    up.signal(signal.SIGINT)
    assert client.wait() == 0
    assert int(client.output()) > 0
    assert up.wait() == 0
    assert nodes.alive() == []


def test_a_second_ctrl_c_does_not_wait(nodes: Nodes, address: str) -> None:
    shell, up = Shell(address), start_up(nodes, address)
    shell.wait_ready()
    shell.run("call", f"{TASKS}.pid_after", "-a", "[600]")
    eventually(lambda: any(shell.json("inspect", "active").values()), what="a call that runs")

    # When Ctrl-C comes again and again (two at the same time would be one), then all end, though the call has not
    def has_ended() -> bool:
        up.signal(signal.SIGINT)
        return up.process.poll() is not None

    eventually(has_ended)
    eventually(lambda: not nodes.alive(), what="the end of the coordinator and the workers")


def test_nothing_is_left_when_up_is_killed(nodes: Nodes, address: str) -> None:
    up = start_up(nodes, address, "--drain", "0")
    Shell(address).wait_ready()
    up.signal(signal.SIGKILL)
    eventually(lambda: not nodes.alive(), what="the end of the coordinator and the workers")


def test_up_starts_another_coordinator_when_one_dies(nodes: Nodes, address: str) -> None:
    shell, up = Shell(address), start_up(nodes, address)
    shell.wait_ready()
    (coordinator,) = [
        process for process in psutil.Process(up.pid).children() if "actorq.coordinator.node" in process.cmdline()
    ]
    coordinator.kill()
    up.wait_for_output("the coordinator has ended")
    shell.wait_ready()
    assert shell.run("call", f"{TASKS}.add", "-a", "[2, 3]", "--wait").stdout == "5\n"


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_without_a_mesh_a_command_is_unavailable(address: str) -> None:
    done = Shell(address).run("control", "shutdown")
    assert done.exit_code == 69
    assert f"tried {address}" in done.stderr and "actorq up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["coordinator"], ["up", "-A", TASKS]])
def test_a_port_in_use_is_a_configuration_error(nodes: Nodes, address: str, command: list[str]) -> None:
    first = nodes.start("coordinator", "--listen", address)
    first.wait_for_output("listens on")
    second = nodes.start(*command, "--listen", address)
    assert second.wait() == 78
    assert second.output().count("the address is in use") == 1
    assert "Traceback" not in second.output()
    assert len(nodes.alive()) == 1


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (None, "there is no module 'proj'"),
        ("import no_such_package", "No module named 'no_such_package'"),
        ("def", "SyntaxError"),
        ("", "has no application"),
    ],
)
def test_a_module_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, source: str | None, text: str) -> None:
    if source is not None:
        (tmp_path / "proj.py").write_text(source)
    address = free_address()
    for command in (["worker", "-u", address], ["up", "--listen", address, "--processes", "1"]):
        done = run_in(tmp_path, *command, "-A", "proj")
        assert done.returncode == 78
        assert done.stderr.count(text) == 1, done.stderr


def test_a_broken_module_of_a_client_command_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "proj.py").write_text("x = 1\nx.nothing\n")
    done = run_in(tmp_path, "-A", "proj", "status")
    assert done.returncode == 78
    assert "proj.py, line 2" in done.stderr and "AttributeError" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["coordinator", "up"])
def test_listening_to_other_hosts_needs_a_word(command: str) -> None:
    done = Shell("").run(command, "--listen", "tcp://0.0.0.0:5570")
    assert done.exit_code == 78
    assert "--insecure" in done.stderr
