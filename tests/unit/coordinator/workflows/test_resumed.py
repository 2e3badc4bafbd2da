"""A workflow that was nearly done when its coordinator was killed: whoever comes back first, nothing of it runs again."""

from __future__ import annotations

from itertools import permutations

import pytest

from actorq.stores.memory import Shelf
from actorq.wire.records import NOTHING, VALUES, Call, Node
from tests.unit.coordinator.support import Bench, WorkerParty

COMES_BACK = ("client", "first", "second", "first reports", "second reports")
ORDERS = [
    order
    for order in permutations(COMES_BACK)
    if all(order.index(name) < order.index(f"{name} reports") for name in ("first", "second"))
]
HEADERS = ("a", "b", "c", "d")


def two_chords_and_their_total() -> list[Node]:
    """The body of a and b, that of c and d, and what takes the values of both."""

    def node(task_id: str, needs: int, *then: tuple[int, int]) -> Node:
        return Node(Call(task_id, 1, b""), VALUES if needs else NOTHING, needs, list(then))

    first = [node("a", 0, (2, 0)), node("b", 0, (2, 1)), node("body 1", 2, (6, 0))]
    second = [node("c", 0, (5, 0)), node("d", 0, (5, 1)), node("body 2", 2, (6, 1))]
    return [*first, *second, node("total", 2)]


def run_all_but_the_total(workers: dict[str, WorkerParty]) -> dict[str, list[str]]:
    """Which worker has run what, in order. The total is delivered, and runs."""
    ran: dict[str, list[str]] = {name: [] for name in workers}
    for _ in ("headers", "bodies"):
        for name, worker in workers.items():
            worker.delivered()
            for task_id in [each for each in worker.calls if each not in (*ran[name], "total")]:
                worker.report(task_id)
                ran[name].append(task_id)
    for worker in workers.values():
        worker.delivered()
    return ran


@pytest.mark.parametrize("written", ["all", "the plan", "nothing"])
@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_nothing_of_a_workflow_runs_again_in_whatever_order_they_come_back(order: list[str], written: str) -> None:
    # Given a workflow whose total runs, and a coordinator that was killed before it had written this or that
    bench = Bench(shelf=Shelf())
    client, first = bench.client(), bench.worker("first", slots=3)
    bench.is_slow = written == "nothing"
    client.submit_plan("p", *two_chords_and_their_total())
    bench.is_slow = written != "all"
    workers = {"first": first, "second": bench.worker("second", slots=10)}
    ran = run_all_but_the_total(workers)
    assert {*ran["first"], *ran["second"]} == {*HEADERS, "body 1", "body 2"} and all(ran.values())
    held = {name: [(each, 1) for each in worker.calls] for name, worker in workers.items()}
    bench.start()
    bench.is_slow = False
    # When they come back within the grace
    for event in order:
        name, _, reports = event.partition(" ")
        if name == "client":
            bench.client().submit_plan("p", *two_chords_and_their_total(), resent=True)
        elif reports:
            workers[name].report(*ran[name], attempt=1)
        else:
            workers[name] = bench.worker(name, slots=10, held=held[name], coordinator="epoch-1")
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    # Then nothing starts
    assert [worker.delivered() for worker in workers.values()] == [[], []]
    # And when the total has ended, all has
    runs_total = next(name for name, calls in held.items() if ("total", 1) in calls)
    workers[runs_total].report("total", attempt=1)
    state = bench.core.state
    assert bench.state_of("total") == "SUCCESS"
    assert not (state.ledger.entries or state.ledger.members or state.ledger.waiting_count or state.calls)
    assert not state.body_bytes
