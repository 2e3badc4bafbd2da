"""The results of what a task has submitted, as coordinators name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actorq.tasks.result import AsyncResult
from actorq.tasks.result_set import GroupResult

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh


def children_in(replies: Mapping[str, Any], task_id: str, mesh: Mesh) -> list[AsyncResult[Any] | GroupResult]:
    """What coordinators have answered to the command ``call_children``. Those of a group are one result, in its order."""
    groups: dict[str, list[tuple[int, str]]] = {}
    order: dict[str, bool] = {}
    """Ids of calls and groups, with whether it is a group's."""
    for reply in replies.values():
        for child_id, group_id, place in reply.get(task_id, ()) if isinstance(reply, Mapping) else ():
            order[group_id or child_id] = bool(group_id)
            if group_id:
                groups.setdefault(group_id, []).append((place, child_id))
    return [
        _group(each, groups[each], mesh) if is_group else mesh.result_from_tuple(each)
        for each, is_group in order.items()
    ]


def _group(group_id: str, members: list[tuple[int, str]], mesh: Mesh) -> GroupResult:
    ids = dict.fromkeys(child_id for _, child_id in sorted(members))
    return GroupResult(group_id, [mesh.result_from_tuple(child_id) for child_id in ids], mesh=mesh)
