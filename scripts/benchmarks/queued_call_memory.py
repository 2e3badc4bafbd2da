"""How much memory a queued no-op call takes in the coordinator."""

from __future__ import annotations

from collections.abc import Callable

from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, actorq_mesh
from scripts.benchmarks.processes import Node
from scripts.benchmarks.tasks import NOBODYS_QUEUE, app, left_alone

WARM_UP_CALLS = 2_000


def measure(quick: bool) -> Figure:
    """Bytes per call, by the growth of the coordinator's resident memory; beside the ceiling's."""
    calls = 50_000 if quick else 200_000
    with ceiling_mesh(workers=0) as ceiling:

        def queue_in_ceiling(count: int) -> None:
            for number in range(count):
                ceiling.client.submit("add", number, 1)

        reference_bytes = _growth(ceiling.coordinator, queue_in_ceiling, calls) / calls
    with actorq_mesh(workers=0) as mesh:
        used_bytes = _growth(mesh.coordinator, queue_calls, calls) / calls
        queued = queued_count()
    if queued != calls + WARM_UP_CALLS:
        raise BenchmarkError(f"{queued:,} calls are queued; {calls + WARM_UP_CALLS:,} were submitted")
    return Figure(
        "queued_call_memory",
        used_bytes,
        "bytes",
        reference_bytes,
        1024,
        Rule.VALUE_AT_MOST,
        (f"{calls:,} calls in a queue that nobody consumes; reference: the ceiling's coordinator without workers",),
    )


def queue_calls(count: int) -> None:
    """Submit so many calls to a queue that nobody consumes. Returns when all are accepted."""
    for number in range(count):
        left_alone.delay(number, 1)
    if not app.session.flush(RESULT_S):
        raise BenchmarkError(f"{count:,} calls were not accepted within {RESULT_S:g} s")


def queued_count() -> int:
    """How many calls wait in that queue, as the coordinator says."""
    queues = app.control.inspect(timeout=10).queues()
    return sum(int(sizes[NOBODYS_QUEUE]) for sizes in queues.values())


def _growth(coordinator: Node, queue: Callable[[int], None], calls: int) -> int:
    queue(WARM_UP_CALLS)
    coordinator.wait_until_idle()
    before_bytes = coordinator.rss_bytes()
    queue(calls)
    coordinator.wait_until_idle()
    return coordinator.rss_bytes() - before_bytes
