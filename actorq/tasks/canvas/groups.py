"""Side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from actorq.tasks.canvas.chains import OWN
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.parts import OfTasks, signatures_of
from actorq.tasks.canvas.planning import Before, Flow, Many, Planner, Step
from actorq.tasks.canvas.sending import send_workflow
from actorq.tasks.canvas.signature import Signature
from actorq.tasks.result_set import GroupResult


@Signature.register_type("group")
class group(OfTasks):  # noqa: N801 - Celery's name
    """Signatures that run side by side: ``group(a, b)``, or of a list or generator.

    Its result is a GroupResult, whose value is the list of their values. A group in a group is part of it. What it is
    called with goes to each; so do its options.
    """

    def __init__(self, *tasks: Any, app: Any = None, **options: Any) -> None:
        only = tasks[0] if len(tasks) == 1 else None
        parts = only.tasks if isinstance(only, group) else signatures_of(tasks, app)
        super().__init__("actorq.group", (), {"tasks": list(parts)}, options, "group", app=app)

    def _adopt_parts(self) -> None:
        self.tasks = [each.clone() for each in signatures_of(self.kwargs["tasks"], self._app)]

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.apply_async(args, **options)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """As `Signature.apply_async`. Raises TypeError for `link` and `link_error`."""
        if options.get("link") is not None:
            raise TypeError("Cannot add link to group: use a chord")
        if options.get("link_error") is not None:
            raise TypeError("Cannot add link_error to group: do that on individual tasks")
        return super().apply_async(args, kwargs, **options)

    def link(self, callback: Any) -> Any:
        """Link it to the first task, immutably: it gets no value, and does not wait for the others. Use a chord."""
        return self.tasks[0].link(callback.clone().set(immutable=True))

    def link_error(self, errback: Any) -> Any:
        """Link it to each task: it runs once for each that fails."""
        return tuple(each.link_error(errback.clone()) for each in self.tasks)

    def set_immutable(self, immutable: bool) -> None:
        for each in self.tasks:
            each.set_immutable(immutable)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group:
        """Let its tasks start one after another: the countdowns go from `start` up to `stop` seconds, and stay there."""
        for number, each in zip(itertools.count(), self.tasks, strict=False):
            countdown = start + number * step
            each.set(countdown=countdown if stop is None else min(countdown, stop))
        return self

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, key: Any) -> Any:
        return self.tasks[key] if isinstance(key, (int, slice)) else super().__getitem__(key)

    # -- see Signature ---------------------------------------------------------------------------------------------

    def bound(
        self,
        args: Iterable[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        defaults: Mapping[str, Any] = {},
    ) -> Signature[Any]:
        defaults = {**defaults, **self.options}
        own = {name: value for name, value in {**defaults, **options}.items() if name in OWN}
        for_each = {name: value for name, value in options.items() if name not in OWN}
        otherwise = {name: value for name, value in defaults.items() if name not in OWN}
        made = group(app=self._given_app(), **own)
        made.tasks = _unrolled(each.bound(self._merge(args)[0], kwargs, for_each, otherwise) for each in self.tasks)
        return made

    def send(self) -> Any:
        if not self.tasks:
            return self.give_ids(Naming(), None)
        if all(each.subtask_type is None and each.is_plain() for each in self.tasks):
            return self._send_calls()
        return send_workflow(self)

    def _send_calls(self) -> GroupResult:
        """The fast way, for calls that nothing follows."""
        naming, mesh = Naming(), self.app
        group_id: str = self.id or naming.new_id()
        return GroupResult(group_id, mesh.send_group(group_id, self.tasks), None, mesh)

    def give_ids(
        self, naming: Naming, parent: Any, group: tuple[str, int] | None = None, chosen: str | None = None
    ) -> Any:
        self.tasks = tasks = _unrolled(self.tasks)
        group_id: str = chosen or self.id or naming.new_id()
        self.options["task_id"] = group_id
        results = [each.give_ids(naming, parent, (group_id, place)) for place, each in enumerate(tasks)]
        if len(results) == 1 and isinstance(results[0], GroupResult):
            return results[0]
        return GroupResult(group_id, results, parent, self.own_app())

    def plan_calls(self, planner: Planner, before: Before, also: Sequence[Step]) -> Flow | None:
        if not self.tasks:
            return planner.empty_list(before)
        if isinstance(before, Many) and len(self.tasks) > 1:
            before = planner.one(before)  # Else each call of the one group would be tied to each of the other.
            also = [before]
        flows = []
        for each in self.tasks:
            with planner.side_by_side():
                flows.append(each.plan(planner, before, also))
        return Many([flow for flow in flows if flow is not None])

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})"


def _unrolled(tasks: Iterable[Signature[Any]]) -> list[Signature[Any]]:
    """With the members of groups in their places."""
    return list(_members(tasks))


def _members(tasks: Iterable[Signature[Any]]) -> Iterator[Signature[Any]]:
    for each in tasks:
        if isinstance(each, group):
            yield from _members(each.tasks)
        else:
            yield each
