"""Tasks that look whether they are to end, under Celery's names. Here every task can: see `Task.is_cancelled`.

@app.task(bind=True, base=AbortableTask)
def count(self):
    while not self.is_aborted():
        ...

result = count.delay()
result.abort()
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from actorq.states import REVOKED
from actorq.tasks.result import AsyncResult
from actorq.tasks.task import Task

__all__ = ["AbortableAsyncResult", "AbortableTask"]

P = ParamSpec("P")
R = TypeVar("R")


class AbortableAsyncResult(AsyncResult[R], gc=False, eq=False):
    """The result of a call of an AbortableTask."""

    has_aborted: bool = False

    def abort(self) -> str:
        """Ask the task to end. A call that has not started never will; one that runs goes on until it looks. Returns at
        once.
        """
        self.has_aborted = True
        return self.revoke()

    def is_aborted(self) -> bool:
        """Whether it was asked to, through this object; or has not run for that reason."""
        return self.has_aborted or self.state == REVOKED


class AbortableTask(Task[P, R]):
    """The class of such tasks: ``@app.task(bind=True, base=AbortableTask)``."""

    def is_aborted(self, **ignored: Any) -> bool:
        """For the running task: whether it is to end."""
        return self.is_cancelled()

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AbortableAsyncResult[R]:
        return _abortable(super().delay(*args, **kwargs))

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AbortableAsyncResult[R]:
        return _abortable(super().apply_async(args, kwargs, **options))

    def AsyncResult(self, task_id: str) -> AbortableAsyncResult[R]:  # noqa: N802 - Celery's name
        return _abortable(super().AsyncResult(task_id))


def _abortable(result: AsyncResult[R]) -> AbortableAsyncResult[R]:
    """Another handle to the same call."""
    return AbortableAsyncResult(
        result.id, None, result.outcome, mesh=result.mesh, ignored=result.ignored, is_bare=result.is_bare
    )
