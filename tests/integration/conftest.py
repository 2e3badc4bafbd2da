"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actorq import ActorQ
from tests.integration.mesh import Mesh, wait_for_workers
from tests.support import Nodes, free_address


@pytest.fixture
def mesh(nodes: Nodes, address: str) -> Mesh:
    """Nothing is started yet."""
    return Mesh(nodes, address)


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorQ]:
    """The test application on a mesh that the tests of a module share: two nodes with four slots each."""
    directory: Path = tmp_path_factory.mktemp("mesh")
    with Nodes(directory) as nodes:
        mesh = Mesh(nodes, free_address())
        mesh.start_coordinator()
        mesh.start_worker("--processes", "2", "-c", "4")
        with mesh.client() as app:
            wait_for_workers(app, 2)
            yield app
