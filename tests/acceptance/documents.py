"""Documents whose blocks of code are run: the programs, files and commands in them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.support import REPOSITORY, Nodes

FILE_NAME = re.compile(r"# ([\w-]+\.(?:py|toml))\n")
"""The first line of a block that is a file."""
ELSEWHERE = """
actorq() {
    [ "$1" != up ] || set -- "$@" --listen "$ACTORQ_URL"
    command actorq "$@"
}
"""
"""The mesh of a test is not at the default address, so that it disturbs nobody who uses that."""


class Command(NamedTuple):
    """A command, and the output that is shown below it."""

    line: str
    output: list[str]


class Ended(NamedTuple):
    """What became of a command."""

    status: int
    output: list[str]


@dataclass(frozen=True)
class Block:
    """A block of code."""

    language: str
    text: str
    line: int
    """Number of its first line in the document."""


def blocks_of(text: str) -> list[Block]:
    """All blocks of a document."""
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(each[1], each[2], text.count("\n", 0, each.start(2)) + 1) for each in found]


def files_in(blocks: list[Block]) -> dict[str, str]:
    """The files, by the names in their first lines."""
    named = ((FILE_NAME.match(block.text), block.text) for block in blocks if block.language in ("python", "toml"))
    return {name[1]: text for name, text in named if name}


def program_in(blocks: list[Block]) -> str:
    """The blocks of Python that are no files, as one program, with the numbers of lines that they have in the document."""
    lines: list[str] = []
    for block in blocks:
        if block.language == "python" and not FILE_NAME.match(block.text):
            lines += [""] * (block.line - 1 - len(lines))
            lines += block.text.splitlines()
    return "\n".join(lines)


def commands_in(blocks: list[Block]) -> list[Command]:
    """What is typed into a shell."""
    found: list[Command] = []
    for block in blocks:
        for line in block.text.splitlines() if block.language == "console" else ():
            if line.startswith("$ "):
                found.append(Command(line[2:], []))
            else:
                found[-1].output.append(line)
    return found


def directory_with(directory: Path, files: dict[str, str]) -> Path:
    """A directory that looks like the top of a clone, with these files in it."""
    directory.mkdir(exist_ok=True)
    for name in ("examples", "nodes", "scripts"):
        (directory / name).symlink_to(REPOSITORY / name)
    (directory / ".venv").symlink_to(sys.prefix)
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def environment_with(url: str) -> dict[str, str]:
    """That of a user whose virtual environment is active."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "ACTORQ_URL": url, "COLUMNS": "100"}


def type_all(
    commands: list[Command],
    directory: Path,
    environment: Mapping[str, str],
    nodes: Nodes,
    limit_s: float,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, Ended]:
    """What became of each command: all are typed into one shell, one after the other, with other `addresses`."""
    typed = [
        f'{_moved(command.line, addresses or {})}\necho "@@ $? {number}"' for number, command in enumerate(commands)
    ]
    (directory / "session.sh").write_text("\n".join(["exec 2>session.err", ELSEWHERE, *typed, 'echo "@@ end"']))
    shell = nodes.start_command("bash", "-c", f"cd {shlex.quote(str(directory))}; . ./session.sh", env=environment)
    try:
        shell.wait_for_output("@@ end", limit_s)
    except AssertionError as error:
        error.args = (f"{error}\n{said_in(directory)}",)
        raise
    parts = re.split(r"@@ (\d+) \d+\n", shell.output())
    outputs, statuses = parts[:-1:2], parts[1::2]
    return {
        command.line: Ended(int(status), output.splitlines())
        for command, output, status in zip(commands, outputs, statuses, strict=True)
    }


def _moved(line: str, addresses: Mapping[str, str]) -> str:
    for address, other in addresses.items():
        line = line.replace(address, other)
    return line


def said_in(directory: Path) -> str:
    """The end of what commands in this directory wrote to standard error."""
    return (directory / "session.err").read_text()[-4000:]
