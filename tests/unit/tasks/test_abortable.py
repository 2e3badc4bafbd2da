"""Tasks that look whether they are to end, under Celery's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actorq import ActorQ
from actorq.contrib.abortable import AbortableAsyncResult, AbortableTask
from actorq.errors import TaskRevokedError
from actorq.testing import Mesh, mesh


@pytest.fixture
def running() -> Iterator[Mesh]:
    app = ActorQ("tasks", url="tcp://127.0.0.1:1")

    @app.task(name="stop", bind=True, base=AbortableTask)
    def stop(self: Any) -> list[bool]:
        before = self.is_aborted()
        self.AsyncResult(self.request.id).abort()
        app.control.inspect().queues()  # After the order to end, on the same way.
        return [before, self.is_aborted()]

    with mesh(app) as running:
        yield running


def test_a_running_task_hears_that_it_is_to_end_and_ends_as_it_likes(running: Mesh) -> None:
    result = running.app.tasks["stop"].delay()
    assert isinstance(result, AbortableAsyncResult) and not result.has_aborted
    assert result.get() == [False, True] and result.state == "SUCCESS"


def test_a_call_that_waits_never_starts(running: Mesh) -> None:
    stop: Any = running.app.tasks["stop"]
    result = stop.apply_async(countdown=60)
    assert not result.is_aborted()
    result.abort()
    assert result.is_aborted()
    with pytest.raises(TaskRevokedError):
        result.get()
    assert stop.AsyncResult(result.id).is_aborted()
