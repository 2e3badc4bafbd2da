"""Every command and every program in README.md works as written, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import REPOSITORY, NodeProcess, Nodes, eventually, free_address

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ITSELF = "scripts/test"
"""Runs this test, and so is not run by it."""
DEFAULT_ADDRESS = "tcp://127.0.0.1:5570"
SESSION_S = 110


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
        if language == "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    found.append(Command(line[2:], []))
                else:
                    found[-1].output.append(line)
    lines = [command.line for command in found]
    runs = [Command(f"python {name}", []) for name in programs() if f"python {name}" not in lines]
    return [command for command in (*found, *runs) if command.line != ITSELF]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository, as it looks from its top, with the README's programs in it."""
    directory = tmp_path_factory.mktemp("clone")
    for name in ("examples", "nodes", "scripts"):
        (directory / name).symlink_to(REPOSITORY / name)
    (directory / ".venv").symlink_to(sys.prefix)
    for name, code in programs().items():
        (directory / name).write_text(code)
    return directory


@pytest.fixture
def nodes(directory: Path, tmp_path: Path) -> Iterator[Nodes]:
    """Starts nodes in that directory."""
    with Nodes(tmp_path, directory) as started:
        yield started


@pytest.fixture(scope="module")
def session(directory: Path) -> Iterator[dict[str, Ended]]:
    """What became of each command: all are typed into one shell, one after the other."""
    script = directory / "session.sh"
    script.write_text("".join(f"echo '@@'\n{command.line}\necho; echo \"@@ $?\"\n" for command in commands()))
    with Nodes(directory, directory) as started:
        shell = started.start_command("bash", str(script), env=environment())
        yield read_session(shell)


def environment() -> dict[str, str]:
    """A mesh of its own, so that several of these tests can run on one host."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "ACTORQ_URL": free_address(), "COLUMNS": "100"}
