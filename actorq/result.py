"""Results under the names that programs written for Celery import: ``from actorq.result import AsyncResult``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorq.shared import current_app
from actorq.tasks import result
from actorq.tasks.eager import EagerResult
from actorq.tasks.result_set import GroupResult, ResultSet

__all__ = [
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultSet",
    "allow_join_result",
    "denied_join_result",
    "result_from_tuple",
]


class _Handles(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, result.AsyncResult)


class AsyncResult(metaclass=_Handles):
    """A handle to a call by its id, made as Celery's is: ``AsyncResult(id, app=app)``, by default of the current application.

    What is made is what `app.AsyncResult(id)` gives. The other parameters are Celery's and change nothing.
    """

    def __new__(  # type: ignore[misc]
        cls, id: str, backend: Any = None, task_name: str | None = None, app: Any = None, parent: Any = None
    ) -> result.AsyncResult[Any]:
        return (current_app if app is None else app).AsyncResult(id)


def result_from_tuple(r: Any, app: Any = None) -> Any:
    """The result of which `as_tuple` has made `r`; of the current application, if none is given."""
    return (current_app if app is None else app).result_from_tuple(r)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Celery's, and needless: a task that waits for results leaves its slot to other calls, so it may always do so."""
    yield


denied_join_result = allow_join_result
