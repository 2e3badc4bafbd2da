"""Groups that the mesh keeps: of which calls they consist, under their ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actorq.tasks.result_set import GroupResult, ResultSet
from actorq.wire.builtin import KEEP

__all__ = ["GroupResult", "GroupResults", "ResultSet", "delete", "restore", "save"]

PATIENCE_S = 30.0
"""For how long a group is waited for that is being saved."""


class GroupResults:
    """GroupResult for one application: ``app.GroupResult``."""

    def __init__(self, mesh: Any) -> None:
        self._mesh = mesh

    def __call__(self, id: str, results: Iterable[Any] = (), parent: Any = None) -> GroupResult:
        return GroupResult(id, results, parent, self._mesh)

    def restore(self, id: str) -> GroupResult | None:
        """The one that was saved under this id; None if there is none."""
        return GroupResult.restore(id, app=self._mesh)


def save(mesh: Any, group_id: str, form: Any) -> None:
    """Keep what a group consists of, as the value of a call that has an id made of the group's."""
    mesh.send_task(KEEP, (form,), task_id=_place_of(group_id)).get(timeout=PATIENCE_S)


def restore(mesh: Any, group_id: str) -> Any:
    """What was saved; None if nothing was."""
    kept = mesh.AsyncResult(_place_of(group_id))
    return kept.get(timeout=PATIENCE_S) if kept.exists() else None


def delete(mesh: Any, group_id: str) -> None:
    """Drop what was saved."""
    mesh.AsyncResult(_place_of(group_id)).forget()


def _place_of(group_id: str) -> str:
    return f"{group_id}.members"
