"""`-A`: which application is meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import ClickException

from actorq.cli.application import import_application
from actorq.errors import ImproperlyConfigured


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `proj` in the current directory, which is not on the path; its modules are forgotten in the end."""
    before = set(sys.modules)
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "proj"
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "name", "main"),
    [
        ("app = ActorQ('one')", "proj.tasks", "one"),
        ("anything = ActorQ('one')", "proj.tasks", "one"),
        ("same = app = ActorQ('one')", "proj.tasks", "one"),
        ("app, other = ActorQ('one'), ActorQ('two')", "proj.tasks", "one"),
        ("celery, other = ActorQ('one'), ActorQ('two')", "proj.tasks", "one"),
        ("app, other = ActorQ('one'), ActorQ('two')", "proj.tasks:other", "two"),
        ("app, other = ActorQ('one'), ActorQ('two')", "proj.tasks.other", "two"),
    ],
)
def test_the_application_is_found(project: Path, source: str, name: str, main: str) -> None:
    (project / "tasks.py").write_text(f"from actorq import ActorQ\n{source}\n")
    assert import_application(name).main == main


def test_a_package_may_have_its_application_in_a_module_of_the_usual_name(project: Path) -> None:
    (project / "celery.py").write_text("from actorq import ActorQ\napp = ActorQ('one')\n")
    assert import_application("proj").main == "one"


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        ("", "proj.tasks", "module proj.tasks has no application"),
        ("", "proj.taks", "there is no module 'proj.taks'"),
        ("", "nothing", "there is no module 'nothing'"),
        (
            "one, two = ActorQ(), ActorQ()",
            "proj.tasks",
            "several applications (one, two): name one, as in proj.tasks:one",
        ),
        ("app = ActorQ()", "proj.tasks:ap", "did you mean 'app'?"),
        ("app = 5", "proj.tasks:app", "proj.tasks:app is not an application, but 5"),
        ("app = 5", "proj.tasks.app", "there is no module 'proj.tasks.app'"),
    ],
)
def test_what_is_not_found_is_named(project: Path, source: str, name: str, text: str) -> None:
    (project / "tasks.py").write_text(f"from actorq import ActorQ\n{source}\n")
    with pytest.raises(ImproperlyConfigured) as failed:
        import_application(name)
    assert text in str(failed.value)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = 1\nx.nothing", "AttributeError: 'int' object has no attribute 'nothing'"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("def", "SyntaxError: invalid syntax"),
    ],
)
def test_a_module_that_fails_is_told_with_the_place(project: Path, source: str, text: str) -> None:
    (project / "tasks.py").write_text(source)
    with pytest.raises(ClickException) as failed:
        import_application("proj.tasks")
    assert failed.value.exit_code == 78
    assert text in failed.value.message
    assert f"tasks.py, line {len(source.splitlines())}" in failed.value.message


def test_what_is_wrong_with_an_option_is_told_with_the_place(project: Path) -> None:
    (project / "tasks.py").write_text("from actorq import ActorQ\napp = ActorQ()\napp.task(ratelimit='3/s')(print)\n")
    with pytest.raises(ImproperlyConfigured, match=r"tasks.py, line 3: .* did you mean 'rate_limit'"):
        import_application("proj.tasks")
