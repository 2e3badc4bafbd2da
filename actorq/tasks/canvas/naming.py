"""How the calls of a canvas get their ids, and the results that stand for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorq import ids
from actorq.policies.numbering import numbered_ids
from actorq.tasks.linked import LinkedResult


class Naming:
    """The ids of one workflow: neighbours, so that the mesh keeps them together."""

    def __init__(
        self, result_class: type[LinkedResult[Any]] = LinkedResult, new_id: Callable[[], str] | None = None
    ) -> None:
        self.new_id = new_id or numbered_ids(ids.random_id())
        self._result_class = result_class

    def result(self, task_id: str, mesh: Any, parent: Any) -> LinkedResult[Any]:
        """The result of a call; of one that follows `parent`, if there is one."""
        result = self._result_class(task_id, None, mesh=mesh, parent=parent)
        if isinstance(parent, LinkedResult):
            parent.follow(result)
        return result
