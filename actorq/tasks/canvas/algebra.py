"""What ``a | b`` is.

task | task            a chain
chain | chain          one chain of the parts of both
task | group           a chain that ends with the group
group | anything       a chord: what follows takes the list of the group's values
chord | anything       a chord whose body goes on with it
A group of one is the one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorq.tasks.canvas.signature import Signature


def join(left: Signature[Any], right: Signature[Any]) -> Signature[Any]:
    """`right` after `left`."""
    steps: list[Signature[Any]] = left.steps()
    for step in right.steps():
        _append(steps, _unrolled(step))
    if len(steps) == 1:
        return steps[0]
    chain: Any = left.TYPES["chain"]
    return chain(*steps, app=left.own_app())  # type: ignore[no-any-return]


def folded(parts: Iterable[Signature[Any]]) -> list[Signature[Any]]:
    """The parts of a chain, with what follows a group or a chord taken into a chord."""
    steps: list[Signature[Any]] = []
    for part in parts:
        for step in part.steps():
            _append(steps, _unrolled(step))
    return steps


def _unrolled(step: Any) -> Signature[Any]:
    return step.tasks[0] if step.subtask_type == "group" and len(step.tasks) == 1 else step  # type: ignore[no-any-return]


def _append(steps: list[Signature[Any]], step: Signature[Any]) -> None:
    last: Any = steps[-1] if steps else None
    kind = None if last is None else last.subtask_type
    if kind == "group":
        steps[-1] = last.TYPES["chord"](last, step)
    elif kind == "chord" and last.body is not None:
        steps[-1] = last.with_body(join(last.body, step))
    else:
        steps.append(step)
