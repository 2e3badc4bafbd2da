"""The command `actorq`, before any of its commands runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actorq import __version__
from actorq.cli.main import COMMANDS
from tests.support import REPOSITORY
from tests.unit.cli.conftest import Run
from tests.unit.cli.fakes import FakeMesh


def test_without_arguments_it_shows_what_it_can_do(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_examples(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Examples:\n    actorq {name}" in result.stdout


def test_it_says_its_version(run: Run) -> None:
    assert run("--version").stdout == f"actorq {__version__}\n"


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(run: Run) -> None:
    result = run("statsu")
    assert result.exit_code == 2
    assert "there is no command 'statsu': did you mean 'status'?" in result.stderr


def test_a_command_of_celery_that_is_none_here_says_what_there_is_instead(run: Run) -> None:
    assert "there is no command 'purge': it is 'actorq queues purge'" in run("purge").stderr
    assert "coming-from-celery.md" in run("beat").stderr


def test_ctrl_c_ends_a_command_without_a_traceback(run: Run, mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mesh, "order", interrupted)
    result = run("inspect", "ping")
    assert result.exit_code == 130
    assert result.output == ""


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("127.0.0.1:5570", "write tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "write tcp://HOST:PORT"),
        ("local://", "a mesh inside one program"),
    ],
)
def test_an_url_that_cannot_be_used_is_a_configuration_error(run: Run, url: str, text: str) -> None:
    for arguments in (["-u", url, "status"], ["status", "-u", url]):
        result = run(*arguments)
        assert result.exit_code == 78
        assert text in result.stderr
        assert "Traceback" not in result.stderr


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "actorq", "--version"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == f"actorq {__version__}\n"


def test_a_command_imports_only_what_it_needs() -> None:
    # The supervisor of workers, and who asks for help, shall not wait for gevent, ZeroMQ or the client.
    code = (
        "import sys\nfrom actorq.cli.main import cli\ncli(['worker', '--help'], standalone_mode=False)\n"
        "print(sorted({'gevent', 'zmq', 'rich', 'actorq.app'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr


def test_queues_cannot_be_excepted_from_a_journal_that_is_not_there(run: Run) -> None:
    result = run("coordinator", "--transient", "metrics")
    assert result.exit_code == 2
    assert "--transient goes with --data" in result.stderr
