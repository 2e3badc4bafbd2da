"""Every command and every program in README.md works as written, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import REPOSITORY, Nodes, eventually, free_address

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ITSELF = "scripts/test"
"""Runs this test, and so is not run by it."""
DEFAULT_ADDRESS = "tcp://127.0.0.1:5570"
SESSION_S = 110.0
ELSEWHERE = """
actorq() {
    [ "$1" != up ] || set -- "$@" --listen "$ACTORQ_URL"
    command actorq "$@"
}
"""
"""The mesh of these tests is not at the default address, so that they disturb nobody who uses that."""


class Command(NamedTuple):
    """A command of the README, and the output that is shown below it."""

    line: str
    output: list[str]


class Ended(NamedTuple):
    """What became of a command."""

    status: int
    output: list[str]


def programs() -> dict[str, str]:
    """The programs, by the file name in their first line."""
    return {code.split()[1]: code for language, code in BLOCKS if language == "python"}


def commands() -> list[Command]:
    """The commands, and a run of each program that none of them runs."""
    found: list[Command] = []
    for language, text in BLOCKS:
        for line in text.splitlines() if language == "console" else ():
            if line.startswith("$ "):
                found.append(Command(line[2:], []))
            else:
                found[-1].output.append(line)
    lines = [command.line for command in found]
    found += [Command(f"python {name}", []) for name in programs() if f"python {name}" not in lines]
    return [command for command in found if command.line != ITSELF]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What looks like the top of a clone, with the README's programs in it."""
    directory = tmp_path_factory.mktemp("clone")
    for name in ("examples", "nodes", "scripts"):
        (directory / name).symlink_to(REPOSITORY / name)
    (directory / ".venv").symlink_to(sys.prefix)
    for name, code in programs().items():
        (directory / name).write_text(code)
    return directory


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "ACTORQ_URL": free_address(), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def session(directory: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What became of each command: all are typed into one shell, one after the other."""
    typed = [f'{command.line}\necho "@@ $? {number}"' for number, command in enumerate(commands())]
    (directory / "session.sh").write_text("\n".join(["exec 2>session.err", ELSEWHERE, *typed, 'echo "@@ end"']))
    with Nodes(tmp_path_factory.mktemp("logs")) as nodes:
        shell = nodes.start_command("bash", "-c", f"cd {shlex.quote(str(directory))}; . ./session.sh", env=environment)
        try:
            shell.wait_for_output("@@ end", SESSION_S)
        except AssertionError as error:
            error.args = (f"{error}\n{(directory / 'session.err').read_text()[-4000:]}",)
            raise
        parts = re.split(r"@@ (\d+) \d+\n", shell.output())
    outputs, statuses = parts[:-1:2], parts[1::2]
    return {
        command.line: Ended(int(status), output.splitlines())
        for command, output, status in zip(commands(), outputs, statuses, strict=True)
    }


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.line)
def test_each_command_succeeds_and_shows_what_is_written_below_it(
    command: Command, session: dict[str, Ended], directory: Path
) -> None:
    ended = session[command.line]
    assert ended.status == 0, "\n".join(ended.output) + (directory / "session.err").read_text()[-4000:]
    if command.output:
        assert ended.output == command.output


def test_the_one_command_for_the_tests_is_what_ci_runs() -> None:
    assert f"\n$ {ITSELF}\n" in README
    assert ITSELF in (REPOSITORY / ".ci" / "run").read_text()


def test_nodes_that_are_started_one_by_one_form_a_mesh(
    directory: Path, environment: dict[str, str], nodes: Nodes
) -> None:
    (block,) = (text for language, text in BLOCKS if language == "sh")
    own = {**environment, "ACTORQ_URL": free_address()}
    started = [line.replace(DEFAULT_ADDRESS, own["ACTORQ_URL"]) for line in block.splitlines()]
    for line in started:
        nodes.start_command("bash", "-c", f"cd {shlex.quote(str(directory))}; exec {line}", env=own)
    status = f"cd {shlex.quote(str(directory))}; exec actorq status --wait-ready"

    def all_there() -> bool:
        look = nodes.start_command("bash", "-c", status, env=own)
        return look.wait() == 0 and "3 nodes online" in look.output()

    eventually(all_there, 30)
