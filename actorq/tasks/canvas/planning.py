"""Making a plan: what the mesh gets of a workflow. It knows calls and what follows them, and nothing of signatures.

A canvas adds its calls one after another and says what each comes after; so its size on the wire grows with the number
of its calls, however they are nested.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from actorq.errors import ImproperlyConfigured
from actorq.wire.builtin import COLLECT, KEEP
from actorq.wire.records import CAUSE, NOTHING, PLAN_LIMIT, VALUE, VALUES, Call, CallSpec, Node, Plan


class Maker(Protocol):
    """Makes calls that are not sent yet."""

    def spec_of(
        self, task: str, options: Mapping[str, Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> CallSpec:
        """What calls of a task with these options have in common. Other options than those of a task are left out."""

    def spec_of_map(self, kind: str, task: str, options: Mapping[str, Any]) -> CallSpec:
        """As `spec_of`, for calls that run a task for each of many items; `kind` is MAP or STARMAP."""

    def check_arguments(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError if these are not the task's, as far as it is known here."""

    def make_call(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Call:
        """The call, with the options of `apply_async` that belong to one call; ``task_id`` is among them."""


@dataclass(slots=True, eq=False)
class Step:
    """A call of the plan, and what follows it. As what comes before another one: it gives its value."""

    call: Call
    takes: int
    spec: CallSpec
    needs: int = 0
    then: list[tuple[Step, int]] = field(default_factory=list)
    catch: list[Step] = field(default_factory=list)
    place: int = 0
    missing: int = 0
    """While the plan is put in order: how many before it have no place yet."""


@dataclass(slots=True, eq=False)
class Many:
    """What comes before a call that takes a list of values, one of each."""

    flows: list[Step | Many]


@dataclass(slots=True, eq=False)
class Failed:
    """What comes before an errback: the first of these calls that fails itself, and not with one before it."""

    steps: list[Step]
    errbacks: list[Step] = field(default_factory=list)
    """Those that start with it."""

    def extend(self, steps: Sequence[Step]) -> None:
        """The failure of these counts, too."""
        for each in steps:
            each.catch.extend(self.errbacks)
        for errback in self.errbacks:
            errback.needs += len(steps)


Flow = Step | Many
"""What a part of a canvas ends with."""
Before = Step | Many | Failed | None
"""What comes before a part of a canvas. None: it starts at once."""


class Planner:
    """Collects the calls of one plan. `root` is what they go back to, `parent` the call that submits them; `new_id`
    gives ids to those that no canvas names.
    """

    def __init__(self, maker: Maker, new_id: Callable[[], str], root: str, parent: str = "") -> None:
        self._maker = maker
        self._root = root
        self._parent = parent
        self._new_id = new_id
        self._ids: set[object] = set()
        self._steps: list[Step] = []
        self._members: list[Step] = []
        """Those whose failure is one of the canvas: not callbacks."""
        self._caught: list[tuple[Any, Failed]] = []
        """The errbacks of what runs one after another here, as they were given, and what each is for."""

    def add(
        self,
        task: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        before: Before,
        immutable: bool = False,
        mapped: str = "",
    ) -> Step:
        """A call that starts when `before` has ended. Raises TypeError for wrong arguments, and EncodeError.

        mapped: the task that it runs for each of many items.
        """
        takes, sources = self._takes(before)
        if immutable:
            takes = NOTHING
        if takes != CAUSE:
            self._maker.check_arguments(task, args if takes == NOTHING else (None, *args), kwargs)
        parent = sources[-1].call.id if sources else self._parent
        maker = self._maker
        spec = maker.spec_of_map(task, mapped, options) if mapped else maker.spec_of(task, options, args, kwargs)
        call = self._maker.make_call(spec, args, kwargs, {"root_id": self._root, "parent_id": parent, **options})
        step = Step(call, takes, spec, len(sources))
        if isinstance(before, Failed):
            before.errbacks.append(step)
            for source in sources:
                source.catch.append(step)
        else:
            for place, source in enumerate(sources):
                source.then.append((step, place))
        if call.id in self._ids:
            raise ImproperlyConfigured(
                f"two calls of a workflow have the task_id {call.id!r}: give each its own, or none"
            )
        self._ids.add(call.id)
        self._steps.append(step)
        self._members.append(step)
        return step

    def one(self, flow: Flow, task_id: str = "") -> Step:
        """A flow as one call: where it is many, one that has all their values as its own (with the id, if given)."""
        if isinstance(flow, Step):
            return flow
        serializers = {each.spec.serializer for each in self._ones(flow)}
        options = {"task_id": task_id or self._new_id()}
        if len(serializers) == 1:
            options["serializer"] = serializers.pop()
        return self.add(COLLECT, (), {}, options, flow)

    def empty_list(self, before: Before) -> Flow:
        """The value of a group without members, when `before` has ended."""
        if before is None:
            return Many([])
        return self.add(COLLECT, ([],), {}, {"task_id": self._new_id()}, before, immutable=True)

    def has(self, task_id: object) -> bool:
        """Whether a call of the plan has this id."""
        return task_id in self._ids

    def members_since(self, mark: int) -> list[Step]:
        """The calls that were added since `mark`, without callbacks."""
        return self._members[mark:]

    @property
    def mark(self) -> int:
        return len(self._members)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is added meanwhile is no part of what the canvas fails with."""
        mark = self.mark
        yield
        del self._members[mark:]

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """What is added meanwhile runs beside others. Only of what runs one after another, an errback runs once that
        several have: else it runs for each that fails.
        """
        outer, self._caught = self._caught, []
        yield
        self._caught = outer

    def caught(self, errback: Any, steps: Sequence[Step]) -> Failed | None:
        """What comes before an errback of these calls; None if it is in the plan already."""
        for known, failed in self._caught:
            if known == errback:
                failed.extend(steps)
                return None
        failed = Failed(list(steps))
        self._caught.append((errback, failed))
        return failed

    def finish(self, waited: set[str], last: Step | None = None) -> tuple[list[CallSpec], Plan]:
        """The plan, and its calls' specs: `call.spec` is the place in there, from 1.

        waited: ids whose outcomes the client wants to be told. last: to be the last in the plan.
        """
        if last is not None and (last.then or last.catch):
            task_id, last.call.id = last.call.id, self._new_id()  # Nothing may come after the last one.
            self._ids.remove(task_id)
            last = self.add(KEEP, (), {}, {"task_id": task_id, "serializer": last.spec.serializer}, last)
        steps = self._steps
        if len(steps) > PLAN_LIMIT:
            raise ImproperlyConfigured(
                f"a workflow has at most {PLAN_LIMIT:,} calls, this one has {len(steps):,}: let each call do more, "
                f"with task.chunks()"
            )
        steps = _ordered(steps)
        if last is not None:
            steps.remove(last)
            steps.append(last)
        numbers: dict[CallSpec, int] = {}
        for step in steps:
            if step.spec.ignore_result and any(each.takes in (VALUE, VALUES) for each, _ in step.then):
                step.spec = msgspec.structs.replace(step.spec, ignore_result=False)  # What follows needs it.
        for place, step in enumerate(steps):
            step.place = place
            step.call.spec = numbers.setdefault(step.spec, len(numbers) + 1)
        return list(numbers), Plan(self._root, [_node(step, waited) for step in steps])

    def ignored(self) -> set[str]:
        """The ids of calls whose values nobody wants. After `finish`."""
        return {step.call.id for step in self._steps if step.spec.ignore_result}

    def _takes(self, before: Before) -> tuple[int, list[Step]]:
        if before is None:
            return NOTHING, []
        if isinstance(before, Step):
            return VALUE, [before]
        if isinstance(before, Failed):
            return CAUSE, before.steps
        return VALUES, self._ones(before)

    def _ones(self, many: Many) -> list[Step]:
        steps = [self.one(flow) for flow in many.flows]
        many.flows = [*steps]  # So the next one that comes after it finds the same.
        return steps


def _ordered(steps: Sequence[Step]) -> list[Step]:
    """What follows a call comes after it; else in the order in which they were added."""
    for step in steps:
        step.missing = step.needs
    ready = deque(step for step in steps if not step.needs)
    ordered: list[Step] = []
    while ready:
        step = ready.popleft()
        ordered.append(step)
        for each in (*[target for target, _ in step.then], *step.catch):
            each.missing -= 1
            if not each.missing:
                ready.append(each)
    return ordered


def _node(step: Step, waited: set[str]) -> Node:
    return Node(
        step.call,
        step.takes,
        step.needs,
        [(each.place, value) for each, value in step.then],
        [each.place for each in step.catch],
        step.call.id in waited and not step.spec.ignore_result,
    )
