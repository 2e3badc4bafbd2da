"""The bench that most tests of the coordinator's core are made on."""

from __future__ import annotations

import pytest

from actorq.stores.memory import Shelf
from tests.unit.coordinator.support import Bench, CoordinatorParty


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def twice(request: pytest.FixtureRequest) -> bool:
    """Whether handlers see each message twice: what is specified holds in both cases."""
    return bool(request.param)


@pytest.fixture
def bench(twice: bool) -> Bench:
    """A coordinator that keeps nothing."""
    return Bench(twice=twice)


@pytest.fixture
def kept(twice: bool) -> Bench:
    """A coordinator with a store."""
    return Bench(twice=twice, shelf=Shelf())


@pytest.fixture
def other(bench: Bench) -> CoordinatorParty:
    """Another coordinator of the mesh, met and welcomed."""
    return bench.coordinator("zoe")
