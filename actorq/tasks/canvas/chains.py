"""One after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actorq.tasks.canvas.algebra import folded
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.parts import OfTasks, signatures_of
from actorq.tasks.canvas.planning import Before, Flow, Planner, Step
from actorq.tasks.canvas.sending import send_workflow
from actorq.tasks.canvas.signature import LINKS, Signature

FIRST = frozenset({"countdown", "eta", "parent_id"})
"""Options of a chain that are for the first of its tasks only."""
OWN = frozenset({"task_id", "retry", "retry_policy", "publish_timeout", *LINKS})
"""Options of a chain, group or chord that are not for each of its tasks."""


@Signature.register_type("chain")
class chain(OfTasks):  # noqa: N801 - Celery's name
    """Signatures that run one after another: ``chain(a, b, c)``, or ``a | b | c``.

    The value of each is the first argument of the next. When one fails, those after it fail with it. Its result is that of
    the last; what it is called with goes to the first. Options are those of the first, and of the others where they have
    none of their own; `link` is for the last, `link_error` for all.
    """

    def __init__(self, *tasks: Any, app: Any = None, **options: Any) -> None:
        parts = signatures_of(tasks, app)
        super().__init__("actorq.chain", (), {"tasks": folded(parts)}, options, "chain", app=app)

    def _adopt_parts(self) -> None:
        self.tasks = folded(each.clone() for each in signatures_of(self.kwargs["tasks"], self._app))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def unchain_tasks(self) -> list[Signature[Any]]:
        """Copies of its tasks, which have its own arguments and links."""
        tasks = [each.clone() for each in self.tasks]
        if tasks:
            if self.args:
                tasks[0] = tasks[0].clone(self.args)
            for callback in self.linked("link"):
                tasks[-1].link(callback)
            for errback in self.linked("link_error"):
                for each in tasks:
                    each.link_error(errback)
        return tasks

    def steps(self) -> list[Signature[Any]]:
        return self.unchain_tasks()

    # -- see Signature ---------------------------------------------------------------------------------------------

    def bound(
        self,
        args: Iterable[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        defaults: Mapping[str, Any] = {},
    ) -> Signature[Any]:
        own = {name: value for name, value in {**defaults, **self.options, **options}.items() if name in OWN}
        defaults = {**defaults, **self.options}
        of_rest = {name: value for name, value in {**defaults, **options}.items() if name not in FIRST | OWN}
        tasks: list[Signature[Any]] = []
        for task in self.tasks:
            if tasks:
                tasks.append(task.bound(None, None, {}, of_rest))
            else:
                tasks.append(task.bound(self._merge(args)[0], kwargs, _others(options), _others(defaults)))
        return self.made(tasks, own)

    def made(self, tasks: list[Signature[Any]], options: dict[str, Any]) -> chain:
        """A chain of these very signatures."""
        made = chain(app=self.own_app(), **options)
        made.tasks = tasks
        return made

    def apply(self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        return super().apply(args, kwargs, **options) if self.tasks else None

    def send(self) -> Any:
        if not self.tasks:
            return None
        if len(self.tasks) == 1 and self.is_plain():
            task = self.tasks[0]
            if self.id is not None:
                task.options["task_id"] = self.id
            return task.send()
        return send_workflow(self)

    def give_ids(
        self, naming: Naming, parent: Any, group: tuple[str, int] | None = None, chosen: str | None = None
    ) -> Any:
        result, tasks = parent, self.tasks
        for task in tasks[:-1]:
            result = task.give_ids(naming, result)
        if tasks:
            result = tasks[-1].give_ids(naming, result, group, chosen or self.id)
            self._name_links(naming, result)
        return result

    def plan_calls(self, planner: Planner, before: Before, also: Sequence[Step]) -> Flow | None:
        flow: Flow | None = None
        for task in self.tasks:
            flow = task.plan(planner, before, also)
            before, also = flow, ()
        return flow

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks))


def _others(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in OWN}
