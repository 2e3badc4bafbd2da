"""Found by a worker that is told of the package."""

from __future__ import annotations

from actorq import shared_task


@shared_task
def found() -> str:
    return "found"


@shared_task(name="shared_by_all")
def shared_by_all() -> str:
    return "shared"
