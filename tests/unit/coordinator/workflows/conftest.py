"""A second bench for tests of workflows: with a journal."""

from __future__ import annotations

import pytest

from actorq.stores.memory import Shelf
from tests.unit.coordinator.support import Bench


@pytest.fixture
def kept(bench: Bench) -> Bench:
    """With a journal."""
    return Bench(twice=bench.twice, shelf=Shelf())
