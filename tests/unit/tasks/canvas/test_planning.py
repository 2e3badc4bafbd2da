"""What goes to the mesh of a workflow."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actorq import chain, chord, group
from actorq.errors import ImproperlyConfigured
from actorq.tasks.result_set import GroupResult
from actorq.wire.builtin import COLLECT, KEEP
from actorq.wire.plans import why_unsound
from actorq.wire.records import CAUSE, NOTHING, VALUE, VALUES, Plan
from tests.unit.tasks.canvas.support import Bench, shown


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_call_of_a_chain_takes_the_value_of_the_one_before_it(bench: Bench) -> None:
    result, specs, plan = bench.compiled(chain(bench.add.s(1, 1), bench.add.s(2), bench.add.si(3, 3)))
    assert shown(specs, plan) == [("add", [1, 1]), ("add", [2]), ("add", [3, 3])]
    assert [node.takes for node in plan.nodes] == [NOTHING, VALUE, NOTHING]
    assert [node.needs for node in plan.nodes] == [0, 1, 1]
    assert [node.then for node in plan.nodes] == [[(1, 0)], [(2, 0)], []]
    assert len(specs) == 1
    assert plan.nodes[2].call.id == result.id and plan.nodes[0].call.id == result.parent.parent.id


def test_only_what_its_caller_waits_for_is_told_to_him(bench: Bench) -> None:
    def replying(canvas: Any) -> list[str]:
        _, specs, plan = bench.compiled(canvas)
        return [specs[node.call.spec - 1].task for node in plan.nodes if node.replies]

    assert replying(chain(bench.add.s(1, 1), bench.total.s())) == ["total"]
    assert replying(chord([bench.add.s(1, 1), bench.add.s(2, 2)], bench.total.s())) == ["total"]
    assert replying(chain(bench.total.s([1]), group(bench.add.s(1), bench.add.s(2)))) == ["add", "add"]
    assert replying(bench.add.s(1, 1).on_error(bench.errback.s()).set(link=[bench.total.s()])) == ["add"]


def test_a_body_takes_the_values_of_the_header_in_order(bench: Bench) -> None:
    result, _, plan = bench.compiled(group(bench.add.s(i, i) for i in range(3)) | bench.total.s())
    assert [node.then for node in plan.nodes] == [[(3, 0)], [(3, 1)], [(3, 2)], []]
    assert plan.nodes[3].takes == VALUES and plan.nodes[3].needs == 3
    assert [each.id for each in result.parent] == [node.call.id for node in plan.nodes[:3]]


def test_a_group_is_one_value_for_what_takes_several(bench: Bench) -> None:
    inner = chain(bench.add.s(1, 1), group(bench.add.s(1), bench.add.s(2)))
    _, specs, plan = bench.compiled(chord([inner, bench.add.s(0, 0)], bench.total.s()))
    tasks = [task for task, _ in shown(specs, plan)]
    collect, body = plan.nodes[tasks.index(COLLECT)], plan.nodes[-1]
    assert collect.takes == VALUES and collect.needs == 2 and collect.then == [(len(tasks) - 1, 0)]
    assert body.takes == VALUES and body.needs == 2


def test_a_group_after_a_group_costs_as_much_as_both(bench: Bench) -> None:
    many = [bench.step.s(tag=i) for i in range(100)]
    _, _, plan = bench.compiled(group(many) | group(many))
    assert len(plan.nodes) == 201
    assert sum(len(node.then) for node in plan.nodes) == 200


def test_calls_say_where_they_belong_to(bench: Bench) -> None:
    result, _, plan = bench.compiled(chain(bench.total.s([1]), group(bench.add.s(1), bench.add.s(2))))
    extras: list[Any] = [node.call.extra for node in plan.nodes]
    root = plan.nodes[0].call.id
    assert {each.root for each in extras} == {root}
    assert [each.parent for each in extras] == ["", root, root]
    assert [(each.group, each.group_index) for each in extras] == [("", 0), (result.id, 0), (result.id, 1)]
    assert isinstance(result, GroupResult)


def test_the_errback_of_a_chain_is_one_call_for_all_of_it(bench: Bench) -> None:
    flow = chain(bench.add.s(1, 1), bench.add.s(2), bench.add.s(3)).on_error(bench.errback.s())
    plan = bench.compiled(flow).plan
    assert [node.catch for node in plan.nodes] == [[3], [3], [3], []]
    assert plan.nodes[3].takes == CAUSE and plan.nodes[3].needs == 3


def test_the_same_errback_on_several_tasks_of_a_chain_is_one_call(bench: Bench) -> None:
    flow = chain(bench.add.s(1, 1), chord([bench.add.s(1), bench.add.s(2)], bench.total.s()))
    _, specs, plan = bench.compiled(flow.on_error(bench.errback.s()) | bench.add.s(3))
    assert [task for task, _ in shown(specs, plan)].count("errback") == 1


def test_each_of_a_group_has_an_errback_of_its_own(bench: Bench) -> None:
    flow = group(bench.add.s(1, 1), bench.add.s(2, 2))
    flow.link_error(bench.errback.s())
    _, specs, plan = bench.compiled(flow)
    assert [task for task, _ in shown(specs, plan)].count("errback") == 2


def test_options_of_a_workflow_reach_its_calls(bench: Bench) -> None:
    flow = chain(bench.add.s(1, 1).set(queue="own"), bench.add.s(2).set(queue="own"), bench.add.s(3))
    result, specs, plan = bench.compiled(flow, queue="q", priority=7, countdown=60, task_id="chosen")
    assert [specs[node.call.spec - 1].queue for node in plan.nodes] == ["q", "own", "q"]
    assert {spec.priority for spec in specs} == {7}
    assert result.id == plan.nodes[-1].call.id == "chosen"


def test_a_value_that_is_needed_is_kept_although_its_task_ignores_results(bench: Bench) -> None:
    quiet = bench.add.s(1, 1).set(ignore_result=True)
    _, specs, plan = bench.compiled(quiet | bench.add.s(2).set(ignore_result=True))
    assert [specs[node.call.spec - 1].ignore_result for node in plan.nodes] == [False, True]
    assert not plan.nodes[-1].replies


def test_wrong_arguments_of_any_task_are_found_before_anything_is_sent(bench: Bench) -> None:
    with pytest.raises(TypeError, match="add"):
        bench.compiled(chain(bench.add.s(1, 1), bench.add.s(2, 3)))
    with pytest.raises(TypeError, match="total"):
        bench.compiled(chord([bench.add.s(1, 1)], bench.total.s(1)))


def test_one_id_for_two_calls_is_refused(bench: Bench) -> None:
    frozen = bench.add.s(1)
    frozen.freeze()
    with pytest.raises(ImproperlyConfigured, match="two calls of a workflow have the task_id"):
        bench.compiled(chain(bench.add.s(1, 1), frozen, frozen))


@pytest.mark.parametrize("ends_with_links", [False, True])
def test_a_call_is_replaced_by_a_plan_whose_last_call_has_its_id_and_gives_its_value(
    bench: Bench, ends_with_links: bool
) -> None:
    last = bench.add.s(3)
    if ends_with_links:
        last.link(bench.total.s())
    many = group(bench.add.s(1, 1), bench.add.s(2, 2))
    for flow, task in [
        (bench.add.s(1, 1), "add"),
        (many, COLLECT),
        (bench.add.s(1, 1) | last, "add"),
        (many | last, "add"),
    ]:
        specs, plan = flow.compile_as("mine")
        assert why_unsound(plan) == "" and plan.nodes[-1].call.id == "mine"
        assert specs[plan.nodes[-1].call.spec - 1].task in (task, KEEP)
    assert chain().compile_as("mine")[1].nodes == []


def test_an_empty_group_is_replaced_by_an_empty_list(bench: Bench) -> None:
    specs, plan = group([], app=bench.app).compile_as("mine")
    assert shown(specs, plan) == [(COLLECT, [])]
    assert plan.nodes[0].takes == VALUES and plan.nodes[0].needs == 0 and plan.nodes[0].call.id == "mine"


def test_a_body_without_a_header_waits_for_what_comes_before(bench: Bench) -> None:
    _, specs, plan = bench.compiled(chain(bench.add.s(1, 1), chord([], bench.total.s())))
    assert shown(specs, plan) == [("add", [1, 1]), (COLLECT, [[]]), ("total", [])]
    assert [node.needs for node in plan.nodes] == [0, 1, 1]


def size(plan: Plan) -> int:
    return len(msgspec.msgpack.encode(plan))


def test_messages_of_nested_workflows_do_not_blow_up(bench: Bench) -> None:
    """A chain of 1,000, and 10 × 10 × 10 chords of chords: their size grows with the number of calls."""

    def of_chain(length: int) -> int:
        return size(bench.compiled(chain(bench.step.s(tag=0) for _ in range(length))).plan)

    assert of_chain(1000) < of_chain(500) * 2.1

    def nested(depth: int) -> Any:
        if depth == 0:
            return bench.step.s(tag=0)
        return chord([nested(depth - 1) for _ in range(10)], bench.step.s(tag=depth).on_error(bench.errback.s()))

    assert size(bench.compiled(nested(3)).plan) < size(bench.compiled(nested(2)).plan) * 10.5
