"""In which order a worker starts what it has at hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorq.wire import messages as m
from actorq.wire.records import Call, CallSpec
from tests.unit.worker.core_support import Bench

FIRST = 10
"""Number of the spec with the lowest priority; the others follow."""


def bench_with_priorities() -> Bench:
    bench = Bench(concurrency=100)
    bench.hear(m.Define([(FIRST + each, CallSpec("add", priority=each)) for each in range(10)], []))
    return bench


def deliver(bench: Bench, seq: int, *calls: tuple[str, int]) -> None:
    """Calls, with their priorities."""
    bench.hear(m.Deliver(seq, [Call(task_id, FIRST + priority, b"", attempt=1) for task_id, priority in calls]))


def waiting(bench: Bench) -> list[str]:
    return [call.id for call, _ in bench.core.ready]


def test_an_urgent_call_goes_before_what_a_worker_has_at_hand() -> None:
    """Pain 14: what a worker has fetched in advance defeats priorities."""
    bench = bench_with_priorities()
    deliver(bench, 1, ("a", 4), ("b", 4), ("c", 4))
    deliver(bench, 2, ("urgent", 9))
    deliver(bench, 3, ("d", 4))
    assert waiting(bench) == ["urgent", "a", "b", "c", "d"]


def test_when_nothing_waits_any_more_nothing_is_sorted() -> None:
    bench = bench_with_priorities()
    deliver(bench, 1, ("low", 0))
    bench.core.ready.clear()
    deliver(bench, 2, ("a", 4))
    assert bench.core.leases.lowest == 4


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), max_size=8))
def test_by_priority_and_within_one_first_come_first_served(deliveries: list[list[int]]) -> None:
    bench = bench_with_priorities()
    ranks = []
    for seq, priorities in enumerate(deliveries, start=1):
        calls = [(f"{seq}.{number}", priority) for number, priority in enumerate(priorities)]
        ranks += [(-priority, seq, number) for number, priority in enumerate(priorities)]
        deliver(bench, seq, *calls)
    assert waiting(bench) == [f"{seq}.{number}" for _, seq, number in sorted(ranks)]
