"""Every command and every program in README.md works as written, in the order in which they stand there."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.acceptance.documents import (
    Command,
    Ended,
    blocks_of,
    commands_in,
    directory_with,
    environment_with,
    files_in,
    said_in,
    type_all,
)
from tests.support import REPOSITORY, Nodes, eventually, free_address

README = (REPOSITORY / "README.md").read_text()
BLOCKS = blocks_of(README)
ITSELF = "scripts/test"
"""Runs this test, and so is not run by it."""
DEFAULT_ADDRESS = "tcp://127.0.0.1:5570"
JOINED = ("tcp://127.0.0.1:15571", "tcp://127.0.0.1:15572")
"""The coordinators of the example with several."""
SESSION_S = 110.0


def commands() -> list[Command]:
    """The commands, and a run of each program that none of them runs."""
    found = commands_in(BLOCKS)
    lines = [command.line for command in found]
    found += [Command(f"python {name}", []) for name in files_in(BLOCKS) if f"python {name}" not in lines]
    return [command for command in found if command.line != ITSELF]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What looks like the top of a clone, with the README's programs in it."""
    return directory_with(tmp_path_factory.mktemp("clone"), files_in(BLOCKS))


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return environment_with(free_address())


@pytest.fixture(scope="module")
def session(directory: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What became of each command."""
    with Nodes(tmp_path_factory.mktemp("logs")) as nodes:
        others = {address: free_address() for address in JOINED}
        return type_all(commands(), directory, environment, nodes, SESSION_S, others)


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.line)
def test_each_command_succeeds_and_shows_what_is_written_below_it(
    command: Command, session: dict[str, Ended], directory: Path
) -> None:
    ended = session[command.line]
    assert ended.status == 0, "\n".join(ended.output) + said_in(directory)
    if command.output:
        assert ended.output == command.output


def test_the_one_command_for_the_tests_is_what_ci_runs() -> None:
    assert f"\n$ {ITSELF}\n" in README
    assert ITSELF in (REPOSITORY / ".ci" / "run").read_text()


def test_nodes_that_are_started_one_by_one_form_a_mesh(
    directory: Path, environment: dict[str, str], nodes: Nodes
) -> None:
    (block,) = (block.text for block in BLOCKS if block.language == "sh")
    own = {**environment, "ACTORQ_URL": free_address()}
    started = [line.replace(DEFAULT_ADDRESS, own["ACTORQ_URL"]) for line in block.splitlines()]
    for line in started:
        nodes.start_command("bash", "-c", f"cd {shlex.quote(str(directory))}; exec {line}", env=own)
    status = f"cd {shlex.quote(str(directory))}; exec actorq status --wait-ready"

    def all_there() -> bool:
        look = nodes.start_command("bash", "-c", status, env=own)
        return look.wait() == 0 and "3 nodes online" in look.output()

    eventually(all_there, 30)
