"""The way to the mesh of tasks whose calls need something done before they are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actorq.tasks.keys import keys_of
from actorq.wire.records import CallSpec

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh
    from actorq.tasks.result import AsyncResult
    from actorq.tasks.task import Task

Arguments = Callable[[Sequence[Any], Mapping[str, Any]], tuple[Sequence[Any], dict[str, Any]]]


class Prepared:
    """Stands between a task and its mesh: puts its arguments into the form that is sent, adds the options that each
    of its calls has, and names the call for people. Other tasks talk to the mesh itself.
    """

    def __init__(self, task: Task[Any, Any], mesh: Mesh, arguments: Arguments | None) -> None:
        self._task, self._mesh, self._arguments = task, mesh, arguments

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mesh, name)

    def send_plain(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        """As `Mesh.send_plain`."""
        return task.send(tuple(args), kwargs, {})

    def send(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """As `Mesh.send`."""
        args, kwargs, options = self.prepare(args, kwargs, options)
        return self._mesh.send(spec, args, kwargs, options)

    def prepare(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
        """What is sent for a call with these arguments and options."""
        options = dict(options)
        if self._task.expires is not None:
            options.setdefault("expires", self._task.expires)
        for name, value in keys_of(self._task).items():
            options.setdefault(name, value)
        shadow = self._task.shadow_name(args, kwargs, options)
        if shadow is not None:
            options.setdefault("shadow", shadow)
        if self._arguments is not None:
            args, kwargs = self._arguments(args, kwargs)
        return args, kwargs, options
