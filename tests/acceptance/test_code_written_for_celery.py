"""Programs written for Celery run as they are, with `actorq` for `celery` in their imports.

They are in `written_for_celery`: `proj`, the project that its documentation has, with settings in `celeryconfig`, and
`programs`, which use it, and end with an error if something is not as it is with Celery.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorq import ActorQ
from tests.integration.mesh import wait_for_workers
from tests.support import Nodes, free_address

SOURCES = Path(__file__).parent / "written_for_celery"
PROGRAMS = sorted(path.stem for path in (SOURCES / "programs").glob("*.py"))


def import_actorq(source: str) -> str:
    """All that has to be changed."""
    return re.sub(r"^(from|import) celery\b", r"\1 actorq", source, flags=re.MULTILINE)


class Project:
    """The project in a directory of its own, and its worker."""

    def __init__(self, directory: Path, address: str) -> None:
        self.directory = directory
        self.env = {"PYTHONPATH": str(directory), "BROKER_URL": address}
        for source in SOURCES.rglob("*.py"):
            target = directory / source.relative_to(SOURCES)
            target.parent.mkdir(exist_ok=True)
            target.write_text(import_actorq(source.read_text()))

    def run(self, program: str, directory: Path) -> None:
        """Run a program to its end; it may write into `directory`."""
        path = self.directory / "programs" / f"{program}.py"
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning:proj", str(path), str(directory)],
            cwd=self.directory,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    address = free_address()
    project = Project(tmp_path_factory.mktemp("project"), address)
    with Nodes(tmp_path_factory.mktemp("nodes")) as nodes:
        nodes.start("coordinator", "--listen", address)
        nodes.start("worker", "-A", "proj", "-Q", "default,feeds", "-l", "INFO", env=project.env)
        with ActorQ("observer", address, set_as_current=False) as app:
            wait_for_workers(app, 1)
        yield project


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_written_for_celery_runs_as_it_is(project: Project, program: str, tmp_path: Path) -> None:
    project.run(program, tmp_path)


def test_the_programs_are_written_for_celery_and_know_nothing_else() -> None:
    for source in SOURCES.rglob("*.py"):
        assert "actorq" not in source.read_text(), source
