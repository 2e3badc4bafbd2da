"""The direction of imports, and what importing the package does: as `setup.cfg` and `docs/architecture.md` promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY

LEGAL = {
    "__init__": "from actorq import app",
    "cli": "from actorq import app",
    "app": "from actorq import tasks, control, client",
    "tasks": "from actorq import wire",
    "control": "from actorq import tasks",
    "coordinator": "from actorq import actors",
    "coordinator.core": "from actorq import errors, wire",
    "worker": "import gevent\nimport time",
    "client": "from actorq import transport",
    "client.core": "from actorq import wire",
    "client.bells": "import gevent",
    "client.callbacks": "import gevent",
    "actors": "import gevent",
    "transport": "import gevent, zmq",
    "stores": "import sqlite3",
    "wire": "from actorq import errors",
    "policies": "import random",
    "errors": "",
    "native": "import _thread",
}
"""A package with every layer, as module name and source, that keeps all contracts."""


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the repository's contracts on the package `actorq` that is in `directory`."""
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-cache", "--config", str(REPOSITORY / "setup.cfg")]
    wide = {**os.environ, "COLUMNS": "120"}  # Else the names of contracts are wrapped.
    return subprocess.run(command, cwd=directory, env=wide, capture_output=True, text=True, timeout=60, check=False)


def write_package(directory: Path, modules: dict[str, str]) -> None:
    for name, source in {"": modules["__init__"], **modules}.items():
        if name == "__init__":
            continue
        package = directory.joinpath("actorq", *name.split(".")) if name else directory / "actorq"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(source + "\n")


def test_the_package_keeps_its_contracts() -> None:
    result = lint_imports(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_contracts_allow_what_they_should(tmp_path: Path) -> None:
    write_package(tmp_path, LEGAL)
    result = lint_imports(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("wire", "from actorq import transport", "Imports point down"),
        ("client", "from actorq import worker", "Imports point down"),
        ("tasks", "from actorq import app", "Imports point down"),
        ("stores", "from actorq import transport", "Imports point down"),
        ("wire", "def late():\n    from actorq import client", "Imports point down"),
        ("helpers", "", "Imports point down"),
        ("tasks", "from actorq import ActorQ", "Only the edge imports from the package itself"),
        ("stores", "import zmq.green", "Only transport imports zmq"),
        ("control", "import gevent.event", "Only actors, transport, worker and nodes import gevent"),
        ("coordinator.core", "import time", "Cores do no I/O"),
        ("client.core", "from actorq import policies", "Cores do no I/O"),
        ("coordinator.core", "def late():\n    from actorq import native", "Cores do no I/O"),
    ],
)
def test_the_contracts_forbid_what_they_should(tmp_path: Path, module: str, source: str, broken: str) -> None:
    write_package(tmp_path, {**LEGAL, module: source})
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{broken} BROKEN" in result.stdout


def test_importing_the_package_starts_nothing_and_patches_nothing() -> None:
    # When a fresh interpreter imports the package, then no thread or process starts, no socket opens, nothing is
    # patched, and gevent is not loaded.
    code = """
import os, select, signal, socket, subprocess, sys, threading, time
watched = {module: dict(vars(module)) for module in (os, select, signal, socket, subprocess, threading, time)}
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
threads, audited = set(sys._current_frames()), []
started = {"subprocess.Popen", "os.fork", "os.posix_spawn", "socket.bind", "socket.connect", "_thread.start_new_thread"}
sys.addaudithook(lambda event, arguments: audited.append(event) if event in started else None)

import actorq

changed = [f"{m.__name__}.{k}" for m, old in watched.items() for k, v in old.items() if getattr(m, k, None) is not v]
assert not changed, f"patched: {changed}"
assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}, "a signal's handler changed"
assert set(sys._current_frames()) == threads and threading.active_count() == 1, "a thread runs"
assert not audited, f"started: {audited}"
assert "gevent" not in sys.modules, "gevent was imported"
"""
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, timeout=60, check=True)
