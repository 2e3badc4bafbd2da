"""Celery's names for the fixtures of `actorq.testing.plugin`. In a `conftest.py`:

    pytest_plugins = ("actorq.contrib.pytest",)

What overrides `celery_config`, `celery_parameters`, `celery_includes`, `celery_worker_parameters` or `celery_app` in a test
suite for Celery does so here. `celery_worker_pool` and `celery_enable_logging` have nothing to set, and are there so that
nothing has to be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from actorq.testing.plugin import marked, new_app, started

if TYPE_CHECKING:
    from actorq.app import ActorQ
    from actorq.testing.worker import StartedWorker


def pytest_configure(config: pytest.Config) -> None:
    """Make Celery's marker known."""
    config.addinivalue_line("markers", "celery(**settings): settings of the application, for this test")


@pytest.fixture(scope="session")
def celery_config() -> dict[str, Any]:
    """Settings of the application. Override it."""
    return {}


@pytest.fixture(scope="session")
def celery_parameters() -> dict[str, Any]:
    """Arguments of the application. Override it."""
    return {}


@pytest.fixture(scope="session")
def celery_includes() -> list[str]:
    """Modules that are imported before the application is used. Override it."""
    return []


@pytest.fixture(scope="session")
def celery_worker_parameters() -> dict[str, Any]:
    """Arguments of `start_worker`. Override it."""
    return {}


@pytest.fixture(scope="session")
def celery_worker_pool() -> str:
    """Has no effect: workers are processes."""
    return "solo"


@pytest.fixture(scope="session")
def celery_enable_logging() -> bool:
    """Has no effect: worker processes log to standard error."""
    return False


@pytest.fixture(scope="session")
def use_celery_app_trap() -> bool:
    """Has no effect: there is no application that is used unnoticed."""
    return False


@pytest.fixture(scope="session")
def celery_class_tasks() -> list[Any]:
    """Tasks to be registered with `celery_session_app`. Override it."""
    return []


@pytest.fixture
def celery_app(celery_parameters: dict[str, Any]) -> ActorQ:
    """A new application."""
    return new_app(celery_parameters)


@pytest.fixture(scope="session")
def celery_session_app(celery_parameters: dict[str, Any], celery_class_tasks: list[Any]) -> ActorQ:
    """The application that `celery_session_worker` runs."""
    app: Any = new_app(celery_parameters)
    for task in celery_class_tasks:
        app.register_task(task)
    return app  # type: ignore[no-any-return]


@pytest.fixture
def depends_on_current_app(celery_app: ActorQ) -> None:
    """Have `celery_app` be the current application."""
    set_current = getattr(celery_app, "set_current", None)
    if set_current is not None:
        set_current()


@pytest.fixture
def celery_worker(
    request: pytest.FixtureRequest,
    celery_app: ActorQ,
    celery_config: dict[str, Any],
    celery_includes: list[str],
    celery_worker_parameters: dict[str, Any],
) -> Iterator[StartedWorker]:
    """`celery_app` with a worker process for this test."""
    settings = {**celery_config, **marked(request, "celery")}
    yield from started(celery_app, settings, celery_includes, celery_worker_parameters)


@pytest.fixture(scope="session")
def celery_session_worker(
    celery_session_app: ActorQ,
    celery_config: dict[str, Any],
    celery_includes: list[str],
    celery_worker_parameters: dict[str, Any],
) -> Iterator[StartedWorker]:
    """`celery_session_app` with a worker process for all tests of the run."""
    yield from started(celery_session_app, celery_config, celery_includes, celery_worker_parameters)
