"""What the repository holds and how it is kept: a new file has its place, and nothing is left lying about."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support import REPOSITORY

TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "actorq", "docs", "examples", "nodes",
    "pyproject.toml", "scripts", "setup.cfg", "tests",
}  # fmt: skip
"""All that may lie at the top. Think twice before adding to it: what is there greets every visitor."""

MODULE_LINES = 600
TEXT_SUFFIXES = {"", ".cfg", ".example", ".md", ".py", ".service", ".sh", ".toml", ".yaml", ".yml"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
SOMEBODYS_PATH = re.compile(r"(?<![\w.\-~*}])/(root|home/\w+|Users/\w+|work|mnt)/")


def ignored() -> list[str]:
    lines = (REPOSITORY / ".gitignore").read_text().split()
    return [".git", *(line.rstrip("/") for line in lines)]


def files(directory: Path = REPOSITORY, patterns: list[str] | None = None) -> Iterator[Path]:
    """All files that are not ignored by git."""
    patterns = patterns or ignored()
    for path in sorted(directory.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in patterns):
            continue
        if path.is_dir():
            yield from files(path, patterns)
        else:
            yield path


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in files()
        if path.suffix in TEXT_SUFFIXES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    ]


def modules() -> list[Path]:
    found = [path for path in files(REPOSITORY / "actorq") if path.suffix == ".py"]
    assert found
    return found


def commands() -> list[Path]:
    """What people and CI run; a name with an underscore in front is sourced by the others."""
    found = [
        *(REPOSITORY / "scripts").iterdir(),
        *(REPOSITORY / ".ci").iterdir(),
        *(REPOSITORY / "nodes").glob("*/run"),
    ]
    return [path for path in found if path.is_file() and not path.name.startswith("_")]


def test_the_top_level_holds_what_it_should_and_nothing_else() -> None:
    found = {path.relative_to(REPOSITORY).parts[0] for path in files()}
    assert sorted(found - TOP_LEVEL) == []
    assert {"README.md", "LICENSE", "CHANGELOG.md"} <= found


@pytest.mark.parametrize("path", commands(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_scripts_are_named_by_one_word_and_can_be_run(path: Path) -> None:
    assert re.fullmatch(r"[a-z]+", path.name)
    assert os.access(path, os.X_OK), "not executable: chmod +x"
    first_line = path.read_text().splitlines()[0]
    assert first_line in {"#!/usr/bin/env bash", "#!/bin/sh", "#!/usr/bin/env python3"}
    if first_line.endswith("sh"):
        subprocess.run(["bash", "-n", path], check=True, timeout=10)


def test_nothing_is_left_unfinished() -> None:
    assert lines_that_match(UNFINISHED) == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert lines_that_match(SOMEBODYS_PATH) == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(REPOSITORY)) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_module_is_longer_than_one_sitting() -> None:
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in modules()}
    assert {path: lines for path, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_the_package_ships_its_types() -> None:
    assert (REPOSITORY / "actorq" / "py.typed").is_file()


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (UNFINISHED, "x = 1  # TO" + "DO: name it"),
        (SOMEBODYS_PATH, "cd /ro" + "ot/actorq"),
        (SOMEBODYS_PATH, 'open("/home/an' + 'na/tasks.py")'),
    ],
)
def test_the_patterns_find_what_they_should(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
    assert not pattern.search("see docs/wo" + "rk/index.md, ~/home/an" + "na/x and examples/ro" + "ot/x")
