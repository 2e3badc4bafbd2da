"""Results as tuples, and back: what `as_tuple` gives."""

from __future__ import annotations

from typing import Any

from actorq.tasks.linked import LinkedResult
from actorq.tasks.result import AsyncResult
from actorq.tasks.result_set import GroupResult, ResultSet


def result_from_tuple(form: Any, mesh: Any) -> Any:
    """The result that ``form`` is: ``((id, parent), None)``, or of a group ``((id, parent), members)``; or an id."""
    if isinstance(form, (AsyncResult, ResultSet)):
        return form
    if isinstance(form, str):
        return mesh.AsyncResult(form)
    (task_id, parent_form), members = form
    parent = None if parent_form is None else result_from_tuple(parent_form, mesh)
    if members is not None:
        return GroupResult(task_id, [result_from_tuple(each, mesh) for each in members], parent, mesh)
    if parent is None:
        return mesh.AsyncResult(task_id)
    return LinkedResult(task_id, None, mesh=mesh, is_bare=True, parent=parent)
