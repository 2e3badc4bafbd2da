"""Fixtures for commands that run in the test's own process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from actorq.cli import connection
from actorq.cli.main import cli
from tests.unit.cli.fakes import FakeMesh

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs ``actorq ARGUMENTS``."""
    return lambda *arguments: CliRunner().invoke(cli, list(arguments), prog_name="actorq")


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> FakeMesh:
    """The mesh that commands talk to."""
    fake = FakeMesh()
    monkeypatch.setattr(connection, "application_at", lambda app, url: fake)
    return fake
