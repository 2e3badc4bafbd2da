"""How much memory an idle node takes: a coordinator and a worker, after a first call."""

from __future__ import annotations

from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, actorq_mesh
from scripts.benchmarks.processes import Node
from scripts.benchmarks.tasks import add


def measure(quick: bool) -> Figure:
    """Resident MB of the largest node, beside that of the ceiling's."""
    with ceiling_mesh(1) as ceiling:
        ceiling.client.submit("add", 1, 2).get()
        reference_mb = max(map(_megabytes, [ceiling.coordinator, *ceiling.workers]))
    with actorq_mesh(1) as mesh:
        if add.delay(1, 2).get(timeout=RESULT_S) != 3:
            raise BenchmarkError("the result is wrong")
        nodes = {"coordinator": _megabytes(mesh.coordinator), "worker": _megabytes(mesh.workers[0])}
    return Figure(
        "idle_node_memory",
        max(nodes.values()),
        "MB",
        reference_mb,
        45,
        Rule.VALUE_AT_MOST,
        (
            "reference: the larger node of the ceiling, which has imported gevent, ZeroMQ and msgspec",
            ", ".join(f"{name} {megabytes:.1f} MB" for name, megabytes in nodes.items()),
        ),
    )


def _megabytes(node: Node) -> float:
    """Of the process, or of the largest below it: a supervisor is not the node."""
    node.wait_until_idle()
    node.check()
    return max(float(process.memory_info().rss) for process in node.tree()) / 1e6
