"""Fixtures for all tests. Plain helpers are in `tests/support.py`."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import Nodes, free_address

settings.register_profile("no bounds of time", deadline=None)  # Other processes may have the processors.
settings.load_profile("no bounds of time")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Starts nodes as processes; they end with the test. When it fails, the ends of their logs are in the report."""
    with Nodes(tmp_path) as started:
        yield started


@pytest.fixture
def address() -> str:
    """A free loopback address for a coordinator to listen on."""
    return free_address()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for fixture in getattr(item, "funcargs", {}).values():
            if isinstance(fixture, Nodes):
                report.sections.extend((f"log of {title}", tail) for title, tail in fixture.logs())
    return report
