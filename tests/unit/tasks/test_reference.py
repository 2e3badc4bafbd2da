"""Tasks of modules by reference, as they travel to the workers of an embedded mesh."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorq.tasks.reference import reference_to


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module with an application; it is forgotten in the end."""
    (tmp_path / "jobs.py").write_text(
        "from actorq import ActorQ\n"
        "app = ActorQ(url='local://')\n"
        "@app.task\n"
        "def plain(): ...\n"
        "def helper(): ...\n"
        "app.task(name='by another name')(helper)\n"
        "def make():\n"
        "    @app.task(name='inner')\n"
        "    def inner(): ...\n"
        "    return inner\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import jobs  # type: ignore[import-not-found]

    yield jobs
    sys.modules.pop("jobs", None)


@pytest.mark.parametrize("name", ["jobs.plain", "by another name"])
def test_what_arrives_is_the_task_of_the_module_that_is_imported_there(jobs: Any, name: str) -> None:
    blob = pickle.dumps(reference_to(jobs.app.tasks[name], jobs.app))
    assert pickle.loads(blob) is jobs.app.tasks[name]
    # And where the module is not imported yet, as in a worker, it is now.
    del sys.modules["jobs"]
    arrived = pickle.loads(blob)
    assert arrived is sys.modules["jobs"].app.tasks[name]
    assert arrived is not jobs.app.tasks[name]


def test_a_task_that_importing_its_module_does_not_bring_has_no_reference(jobs: Any) -> None:
    assert reference_to(jobs.make(), jobs.app) is None


def test_a_task_of_a_module_that_was_never_imported_has_no_reference(jobs: Any) -> None:
    jobs.plain.fn.__module__ = "made_by_exec"
    assert reference_to(jobs.plain, jobs.app) is None
    sys.modules["made_by_exec"] = type(sys)("made_by_exec")
    try:
        assert reference_to(jobs.plain, jobs.app) is None
    finally:
        del sys.modules["made_by_exec"]
