"""How much memory a scheduled call takes: in the coordinator, and in a worker, which is to have nothing of it."""

from __future__ import annotations

import time

from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, actorq_mesh
from scripts.benchmarks.processes import Node
from scripts.benchmarks.tasks import app, much_later

WARM_UP_CALLS = 2_000
DAY_S = 86_400.0


def measure(quick: bool) -> Figure:
    """Bytes per call, by the growth of resident memory; beside a queued call in the ceiling's coordinator."""
    calls = 50_000 if quick else 1_000_000
    with ceiling_mesh(workers=0) as ceiling:
        before_bytes = _settled_rss(ceiling.coordinator)
        for number in range(calls):
            ceiling.client.submit("add", number, 1)
        reference_bytes = (_settled_rss(ceiling.coordinator) - before_bytes) / calls
    with actorq_mesh(workers=1) as mesh:
        nodes = [mesh.coordinator, *mesh.workers]
        schedule_calls(WARM_UP_CALLS)
        before = [_settled_rss(node) for node in nodes]
        schedule_calls(calls)
        grown = [_settled_rss(node) - earlier for node, earlier in zip(nodes, before, strict=True)]
        _check_places(calls + WARM_UP_CALLS)
    return Figure(
        "eta_memory",
        grown[0] / calls,
        "bytes",
        reference_bytes,
        1024,
        Rule.VALUE_AT_MOST,
        (
            f"{calls:,} calls with an ETA of tomorrow; reference: one that is queued in the ceiling's coordinator",
            f"a worker with free slots has none of them; it has grown by {grown[1] / calls:.2f} bytes per call",
        ),
    )


def schedule_calls(count: int) -> None:
    """Submit so many calls of tomorrow. Returns when all are accepted."""
    tomorrow_s = time.time() + DAY_S
    for number in range(count):
        much_later.apply_async((number, 1), eta=tomorrow_s)
    if not app.session.flush(RESULT_S):
        raise BenchmarkError(f"{count:,} calls were not accepted within {RESULT_S:g} s")


def _check_places(calls: int) -> None:
    """All are in the coordinator's schedule, and no worker has any."""
    (stats,) = app.control.inspect(timeout=10).coordinator().values()
    leases = sum(worker["leases"] for worker in stats["workers"])
    if stats["scheduled"] != calls or leases:
        raise BenchmarkError(f"{stats['scheduled']:,} of {calls:,} calls are scheduled, and workers have {leases:,}")


def _settled_rss(node: Node) -> int:
    node.wait_until_idle()
    return node.rss_bytes()
