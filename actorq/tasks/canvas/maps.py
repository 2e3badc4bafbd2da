"""Many arguments for one task: all in one call, or in a call for each n of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from actorq.tasks.canvas.groups import group
from actorq.tasks.canvas.planning import Before, Flow, Planner, Step
from actorq.tasks.canvas.sending import send_workflow
from actorq.tasks.canvas.signature import LINKS, Signature, maybe_signature
from actorq.wire.builtin import MAP, STARMAP


class _Map(Signature[Any]):
    NAME: ClassVar[str]
    """That of the task, which every worker offers, that calls the one that is given to it."""

    def __init__(self, task: Any, it: Iterable[Any], app: Any = None, **options: Any) -> None:
        super().__init__(
            self.NAME, (), {"task": _signature(task), "it": list(it)}, options, type(self).__name__, True, app
        )

    def _parts(self) -> Iterable[Signature[Any]]:
        return [self.kwargs["task"]]

    def _adopt_parts(self) -> None:
        self.kwargs["task"] = maybe_signature(self.kwargs["task"], self._app)

    def send(self) -> Any:
        return send_workflow(self)

    def plan_calls(self, planner: Planner, before: Before, also: Sequence[Step]) -> Flow:
        options = {name: value for name, value in self.options.items() if name not in LINKS}
        mapped = self.kwargs["task"].task
        return planner.add(self.task, self.args, self.kwargs, options, before, self.immutable, mapped)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kwargs['task'].task}, {_shortened(self.kwargs['it'])})"


@Signature.register_type()
class xmap(_Map):  # noqa: N801 - Celery's name
    """One call that runs the task for each item, one after another, and returns the list: ``task.map(items)``."""

    NAME = MAP


@Signature.register_type()
class xstarmap(_Map):  # noqa: N801
    """As `xmap`, of lists of arguments: ``task.starmap([(1, 2), (3, 4)])``."""

    NAME = STARMAP


@Signature.register_type()
class chunks(Signature[Any]):  # noqa: N801
    """A group of starmaps, of `n` lists of arguments each: ``task.chunks(arguments, n)``."""

    def __init__(self, task: Any, it: Iterable[Any], n: int, app: Any = None, **options: Any) -> None:
        parts = {"task": _signature(task), "it": list(it), "n": n}
        super().__init__("actorq.chunks", (), parts, options, "chunks", True, app)

    def _parts(self) -> Iterable[Signature[Any]]:
        return [self.kwargs["task"]]

    def _adopt_parts(self) -> None:
        self.kwargs["task"] = maybe_signature(self.kwargs["task"], self._app)

    def __call__(self, **options: Any) -> Any:
        return self.apply_async(**options)

    def group(self) -> group:
        """The group that it is."""
        task, n = self.kwargs["task"], self.kwargs["n"]
        return group([xstarmap(task, part) for part in _cut(self.kwargs["it"], n)], app=self.own_app())

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: Any = None) -> Any:
        """``chunks(task, it, n)()``."""
        return cls(task, it, n, app)()

    def bound(
        self,
        args: Iterable[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        defaults: Mapping[str, Any] = {},
    ) -> Signature[Any]:
        return self.group().bound(args, kwargs, options, {**defaults, **self.options})

    def __repr__(self) -> str:
        return f"chunks({self.kwargs['task'].task}, {_shortened(self.kwargs['it'])}, {self.kwargs['n']})"


def _signature(task: Any) -> Any:
    return task if isinstance(task, Signature) else maybe_signature(task) if isinstance(task, dict) else Signature(task)


def _cut(items: Iterable[Any], n: int) -> Iterator[list[Any]]:
    left = iter(items)
    while part := list(itertools.islice(left, n)):
        yield part


def _shortened(items: list[Any]) -> str:
    text = repr(items)
    return text if len(text) <= 100 else f"{text[:97]}…"
