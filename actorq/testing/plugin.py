"""The pytest plugin: fixtures for tests of programs that use actorq. Nothing is imported before one of them is used.

`actorq_mesh` is the mesh in the test's process (`actorq.testing.mesh`), `actorq_worker` has real processes
(`actorq.testing.worker.start_worker`); `actorq_session_worker` has them for the whole run. All run the application that
the fixture `actorq_app` (or `actorq_session_app`) returns. Override that one to test an application of your own:

    @pytest.fixture
    def actorq_app():
        from proj.tasks import app
        return app

`actorq_config` holds settings, as does the marker ``@pytest.mark.actorq(task_always_eager=True)`` for one test; the
fixtures whose names end in `parameters` hold arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from actorq.app import ActorQ
    from actorq.testing.inprocess import Mesh
    from actorq.testing.worker import StartedWorker

MARKER = "actorq"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{MARKER}(**settings): settings of the application, for this test")


# -- what tests override -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def actorq_config() -> dict[str, Any]:
    """Settings of the application. Override it."""
    return {}


@pytest.fixture(scope="session")
def actorq_parameters() -> dict[str, Any]:
    """Arguments of `ActorQ`, for the applications that are made here. Override it."""
    return {}


@pytest.fixture(scope="session")
def actorq_includes() -> list[str]:
    """Modules that are imported before the application is used. Override it."""
    return []


@pytest.fixture(scope="session")
def actorq_mesh_parameters() -> dict[str, Any]:
    """Arguments of `actorq.testing.mesh`: workers, concurrency and so on. Override it."""
    return {}


@pytest.fixture(scope="session")
def actorq_worker_parameters() -> dict[str, Any]:
    """Arguments of `actorq.testing.worker.start_worker`: concurrency, processes and so on. Override it."""
    return {}


# -- applications ------------------------------------------------------------------------------------------------


@pytest.fixture
def actorq_app(actorq_parameters: dict[str, Any]) -> ActorQ:
    """The application that the test is about: a new one, unless the test suite overrides this."""
    return new_app(actorq_parameters)


@pytest.fixture(scope="session")
def actorq_session_app(actorq_parameters: dict[str, Any]) -> ActorQ:
    """The application that `actorq_session_worker` runs."""
    return new_app(actorq_parameters)


# -- where it runs -----------------------------------------------------------------------------------------------


@pytest.fixture
def actorq_mesh(
    request: pytest.FixtureRequest,
    actorq_app: ActorQ,
    actorq_config: dict[str, Any],
    actorq_includes: list[str],
    actorq_mesh_parameters: dict[str, Any],
) -> Iterator[Mesh]:
    """`actorq_app` on a mesh in this process, with a clock that the test moves."""
    from actorq.testing.inprocess import mesh

    settings = {**actorq_config, **marked(request)}
    with _set_up(actorq_app, settings, actorq_includes), mesh(actorq_app, **actorq_mesh_parameters) as running:
        yield running


@pytest.fixture
def actorq_worker(
    request: pytest.FixtureRequest,
    actorq_app: ActorQ,
    actorq_config: dict[str, Any],
    actorq_includes: list[str],
    actorq_worker_parameters: dict[str, Any],
) -> Iterator[StartedWorker]:
    """`actorq_app` with worker processes for this test."""
    settings = {**actorq_config, **marked(request)}
    yield from started(actorq_app, settings, actorq_includes, actorq_worker_parameters)


@pytest.fixture(scope="session")
def actorq_session_worker(
    actorq_session_app: ActorQ,
    actorq_config: dict[str, Any],
    actorq_includes: list[str],
    actorq_worker_parameters: dict[str, Any],
) -> Iterator[StartedWorker]:
    """`actorq_session_app` with worker processes for all tests of the run."""
    yield from started(actorq_session_app, actorq_config, actorq_includes, actorq_worker_parameters)


# -- shared with actorq.contrib.pytest --------------------------------------------------------------------------------


def new_app(parameters: Mapping[str, Any]) -> ActorQ:
    """An application for a test."""
    from actorq.app import ActorQ

    return ActorQ(**{"main": "actorq.tests", **parameters})


def marked(request: pytest.FixtureRequest, name: str = MARKER) -> dict[str, Any]:
    """The settings of all markers of the test; the nearest one counts."""
    settings: dict[str, Any] = {}
    for marker in request.node.iter_markers(name):
        settings = {**marker.kwargs, **settings}
    return settings


def started(
    app: ActorQ, settings: Mapping[str, Any], includes: list[str], parameters: Mapping[str, Any]
) -> Iterator[StartedWorker]:
    """Run an application with worker processes."""
    from actorq.testing.worker import start_worker

    with _set_up(app, settings, includes), start_worker(app, **parameters) as worker:
        yield worker


@contextmanager
def _set_up(app: Any, settings: Mapping[str, Any], includes: list[str]) -> Iterator[None]:
    """Have these settings in force, and these modules imported."""
    for module in includes:
        import_module(module)
    if not settings:
        yield
        return
    before = {name: app.conf[name] for name in settings}
    app.conf.update(settings)
    try:
        yield
    finally:
        app.conf.update(before)
