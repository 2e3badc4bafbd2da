"""Workflows of any shape."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from actorq.wire.records import CAUSE, NOTHING, VALUE, VALUES, Call, Node, Plan

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle, Record


def random_plan(plan_id: str, calls: list[Call], oracle: Oracle, rng: Random) -> Plan:
    """A workflow of these calls; the oracle's records say what each needs."""
    nodes = [Node(call) for call in calls]
    for index, node in enumerate(nodes):
        record = oracle.record(node.call.id)
        record.plan = plan_id
        shape = rng.choice(("alone", "chain", "chain", "chord", "after", "errback")) if index else "alone"
        count = min(rng.randint(2, 5), index) if shape in ("chord", "errback") else 1
        before = sorted(rng.sample(range(index), count)) if shape != "alone" else []
        if shape == "errback":
            _make_errback(nodes, index, before, record)
        else:
            node.takes = {"chain": VALUE, "chord": VALUES}.get(shape, NOTHING)
            _make_follower(nodes, index, before, record)
        records = [oracle.record(nodes[each].call.id) for each in before]
        record.is_optional = bool(record.causes) or any(each.is_optional for each in records)
        node.replies = not record.spec.ignore_result and not record.is_optional and rng.random() < 0.7
    return Plan(plan_id, nodes)


def _make_errback(nodes: list[Node], index: int, before: list[int], record: Record) -> None:
    for each in before:
        nodes[each].catch.append(index)
    nodes[index].takes, nodes[index].needs = CAUSE, len(before)
    record.causes = [nodes[each].call.id for each in before]


def _make_follower(nodes: list[Node], index: int, before: list[int], record: Record) -> None:
    for place, each in enumerate(before):
        nodes[each].then.append((index, place))
    nodes[index].needs = len(before)
    record.before = [nodes[each].call.id for each in before]
    record.takes = nodes[index].takes
