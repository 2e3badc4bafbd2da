"""The result of a call that is part of a workflow: it knows what came before it and what follows."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from actorq.tasks.result import AsyncResult

R = TypeVar("R")


class LinkedResult(AsyncResult[R], Generic[R], gc=False, eq=False):
    """An AsyncResult with `parent` and `children`.

    Of the children it has the ids only, in the form of `outline`: nothing that the garbage collector does not look at may
    lead back to itself.
    """

    parent: Any = None
    following: list[Any] | None = None

    def followers(self) -> list[Any]:
        return [self.mesh.result_from_tuple(each) for each in self.following or ()]

    def follow(self, result: Any) -> None:
        """`result` is that of something that follows it."""
        if self.following is None:
            self.following = []
        self.following.append(result.outline())

    def __reduce__(self) -> Any:
        return (_linked_result_of, (self.id, self.mesh, self.parent, self.following))


def _linked_result_of(task_id: str, mesh: Any, parent: Any, following: list[Any] | None) -> LinkedResult[Any]:
    return LinkedResult(task_id, None, mesh=mesh, parent=parent, following=following)
