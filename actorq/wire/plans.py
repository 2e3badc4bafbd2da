"""Is a plan sound? Said once, for those who make plans and for those who take them from others."""

from __future__ import annotations

from collections import Counter

from actorq.wire.records import CAUSE, NOTHING, VALUE, VALUES, Plan


def why_unsound(plan: Plan) -> str:
    """What is wrong with the plan; empty if nothing is."""
    count = len(plan.nodes)
    if not count:
        return "it has no calls"
    if len({node.call.id for node in plan.nodes}) < count:
        return "two of its calls have the same id"
    values: Counter[int] = Counter()
    causes: Counter[int] = Counter()
    places: set[tuple[int, int]] = set()
    for index, node in enumerate(plan.nodes):
        if node.call.inputs is not None:
            return f"{node.call.id} has inputs already"
        targets = [target for target, _ in node.then] + node.catch
        if any(not index < target < count for target in targets):
            return f"what follows {node.call.id} does not come after it in the plan"
        places.update(node.then)
        values.update([target for target, _ in node.then])
        causes.update(node.catch)
    if len(places) < values.total():
        return "two calls give the same value of one that follows them"
    for index, node in enumerate(plan.nodes):
        why = _why_unsound_inputs(node.takes, node.needs, values[index], causes[index])
        if why:
            return f"{node.call.id} {why}"
    if any(not place < plan.nodes[target].needs for target, place in places):
        return "a call gives a value beyond those that the one after it needs"
    return ""


def _why_unsound_inputs(takes: int, needs: int, values: int, causes: int) -> str:
    if values + causes != needs:
        return f"needs {needs} calls, and follows {values + causes}"
    if values and causes:
        return "follows the success of some calls, and the failure of others"
    allowed = {
        NOTHING: True,
        VALUE: values == 1,
        VALUES: not causes,  # Of none, an empty list.
        CAUSE: causes > 0,
    }
    return "" if allowed[takes] else "does not follow what it takes its arguments from"


def spokesmen(plan: Plan) -> list[str]:
    """The calls whose refusal says that the plan is not taken: those that a client waits for, else the first."""
    return [node.call.id for node in plan.nodes if node.replies] or [node.call.id for node in plan.nodes[:1]]


def certain(plan: Plan) -> list[str]:
    """The calls that all have an outcome when the plan has ended. Errbacks, and what follows them, may never be needed."""
    optional: set[int] = set()
    for index, node in enumerate(plan.nodes):
        optional.update(node.catch)
        if index in optional:
            optional.update([target for target, _ in node.then])
    return [node.call.id for index, node in enumerate(plan.nodes) if index not in optional]


NODE_BYTES = 100
"""Of a call in a plan, about, beside its arguments."""


def size_of_plan(plan: Plan) -> int:
    """How many bytes it takes, about."""
    return sum([len(node.call.body) + NODE_BYTES for node in plan.nodes])
