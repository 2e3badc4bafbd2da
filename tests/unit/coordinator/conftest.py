"""The bench that most tests of the coordinator's core are made on."""

from __future__ import annotations

import pytest

from tests.unit.coordinator.support import Bench, CoordinatorParty


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A coordinator whose handlers see each message once, or twice: what is specified holds in both cases."""
    return Bench(twice=request.param)


@pytest.fixture
def other(bench: Bench) -> CoordinatorParty:
    """Another coordinator of the mesh, met and welcomed."""
    return bench.coordinator("zoe")
