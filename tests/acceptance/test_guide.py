"""Each page of the guide works as written: its programs, its files and its commands; and the guide names every
setting, option and signal."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from actorq import signals
from actorq.dispatch import Signal
from actorq.settings.ignored import NOT_YET
from actorq.settings.table import NAMES
from actorq.tasks.attributes import ATTRIBUTES, DEFINITION_OPTIONS
from actorq.tasks.options import APPLY_OPTIONS, SPEC_OPTIONS
from tests.acceptance.documents import (
    blocks_of,
    commands_in,
    directory_with,
    environment_with,
    files_in,
    program_in,
    said_in,
    type_all,
)
from tests.support import REPOSITORY, Nodes, free_address

GUIDE = REPOSITORY / "docs" / "guide"
PAGES = {path.stem: path.read_text() for path in sorted(GUIDE.glob("*.md"))}
WITH_PROGRAMS = [name for name, text in PAGES.items() if program_in(blocks_of(text))]
WITH_COMMANDS = [name for name, text in PAGES.items() if commands_in(blocks_of(text))]
LIMIT_S = 60.0
TABLES = {"__init__.py", "table.py", "ignored.py", "names.py"}
"""Modules that name settings, and do not read them."""
RUN_OR_SHOWN = {"python", "toml", "console", "text"}


@pytest.mark.parametrize("name", WITH_PROGRAMS)
def test_the_code_of_a_page_runs_as_one_program(name: str, tmp_path: Path) -> None:
    blocks = blocks_of(PAGES[name])
    directory = directory_with(tmp_path, files_in(blocks))
    program = directory / f"{name.replace('-', '_')}.py"
    program.write_text(program_in(blocks))
    ended = subprocess.run(
        [sys.executable, program],
        cwd=directory,
        env=environment_with(free_address()),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, f"the lines are those of docs/guide/{name}.md\n{ended.stderr[-4000:]}"


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_each_command_of_a_page_succeeds_and_shows_what_is_written_below_it(
    name: str, tmp_path: Path, nodes: Nodes
) -> None:
    blocks = blocks_of(PAGES[name])
    directory = directory_with(tmp_path / "clone", files_in(blocks))
    commands = commands_in(blocks)
    became = type_all(commands, directory, environment_with(free_address()), nodes, LIMIT_S)
    for command in commands:
        ended = became[command.line]
        assert ended.status == 0, f"{command.line}: {ended.output} {said_in(directory)}"
        if command.output:
            assert ended.output == command.output


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_is_of_a_kind_that_is_run_or_says_that_it_is_not(name: str) -> None:
    blocks = blocks_of(PAGES[name])
    assert {block.language for block in blocks} <= RUN_OR_SHOWN
    assert len(re.findall(r"^```", PAGES[name], re.MULTILINE)) == 2 * len(blocks)  # Each says what it is.


def test_every_setting_is_described() -> None:
    described = re.findall(r"^\| `(\w+)` \|", PAGES["settings"], re.MULTILINE)
    assert sorted(described) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted({*SPEC_OPTIONS, *APPLY_OPTIONS, *ATTRIBUTES, *DEFINITION_OPTIONS}))
def test_every_option_of_a_task_and_of_a_call_is_described(name: str) -> None:
    assert re.search(rf"`{name}[`=]", PAGES["calling"] + PAGES["limiting"] + PAGES["routing"])


@pytest.mark.parametrize("name", [name for name, each in vars(signals).items() if isinstance(each, Signal)])
def test_every_signal_is_described(name: str) -> None:
    assert f"`{name}`" in PAGES["signals"]


def test_settings_that_nothing_reads_are_said_to_have_no_effect() -> None:
    code = "\n".join(path.read_text() for path in (REPOSITORY / "actorq").rglob("*.py") if path.name not in TABLES)
    unread = [name for name in NAMES if not re.search(rf"\.{name}\b|\"{name}\"", code)]
    said = re.findall(r"^\| `(\w+)` \| \*\*No effect", PAGES["settings"], re.MULTILINE)
    assert sorted(said) == sorted(unread)
    assert set(re.findall(r"^\| `(\w+)` \| \*\*No effect yet", PAGES["settings"], re.MULTILINE)) == NOT_YET


def test_the_documents_become_a_web_site_without_a_warning(tmp_path: Path) -> None:
    config = REPOSITORY / "scripts" / "documents" / "mkdocs.yml"
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--config-file", str(config)]
    ended = subprocess.run(
        [*command, "--site-dir", str(tmp_path)], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "guide" / "calling.html").exists()
