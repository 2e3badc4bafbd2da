"""Sending a canvas: one call as a call, a workflow as one plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from actorq.context import current
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.planning import Before, Flow, Maker, Planner, Step
from actorq.tasks.result import first_of
from actorq.wire.records import CallSpec, Plan


class Canvas(Protocol):
    """What is compiled: a signature that has taken in all arguments and options."""

    @property
    def app(self) -> Any: ...

    @property
    def options(self) -> dict[str, Any]: ...

    def own_app(self) -> Any: ...

    def give_ids(
        self, naming: Naming, parent: Any, group: tuple[str, int] | None = None, chosen: str | None = None
    ) -> Any: ...

    def plan(self, planner: Planner, before: Before, also: Sequence[Step] = ()) -> Flow | None: ...


class Compiled(NamedTuple):
    """A canvas, ready to be sent."""

    result: Any
    """What its caller gets."""
    specs: list[CallSpec]
    plan: Plan


def compiled(canvas: Canvas, maker: Maker, naming: Naming) -> Compiled:
    """The plan of a canvas. It goes back to the call that runs here, if one does, else to the first of its own."""
    result = canvas.give_ids(naming, None)
    running = current.get()
    call = None if running is None or not running.call.id else running.call
    if call is None:
        planner = Planner(maker, naming.new_id, first_of(result).id)
    else:
        planner = Planner(maker, naming.new_id, (call.extra and call.extra.root) or call.id, call.id)
    canvas.plan(planner, None)
    leaves = result.leaves()
    specs, plan = planner.finish({leaf.id for leaf in leaves})
    plan.id = naming.new_id()  # A call may send several workflows, which all go back to the same one.
    ignored = planner.ignored()
    for leaf in leaves:
        leaf.ignored = leaf.id in ignored
    return Compiled(result, specs, plan)


def compiled_as(canvas: Canvas, task_id: str) -> tuple[list[CallSpec], Plan]:
    """The plan of a canvas whose value is that of its last call, which has the id `task_id`."""
    naming, maker = Naming(), cast(Any, canvas.own_app())
    canvas.give_ids(naming, None, None, task_id)
    planner = Planner(maker, naming.new_id, task_id)
    flow = canvas.plan(planner, None)
    last = None if flow is None else planner.one(flow, task_id)
    return planner.finish({task_id}, last)


def send_workflow(canvas: Canvas) -> Any:
    """Submit it as one plan. Returns its result."""
    mesh = canvas.app
    result, specs, plan = compiled(canvas, mesh, Naming(new_id=mesh.session.new_id))
    mesh.send_plan(specs, plan, [leaf for leaf in result.leaves() if not leaf.ignored], canvas.options)
    return result


def send_call(mesh: Any, task: str, args: Iterable[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Submit one call. Returns its result."""
    known = mesh.tasks.get(task)
    if known is not None:
        return known.apply_async(args, kwargs, **options)
    return mesh.send_task(task, args, kwargs, **options)
