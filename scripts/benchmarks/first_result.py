"""How long it takes from ``local://`` to the first result: starting a mesh inside a program, and one call."""

from __future__ import annotations

import time

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.ceiling.mesh import ceiling_mesh
from scripts.benchmarks.figure import Figure, Rule
from scripts.benchmarks.processes import Nodes


def measure(quick: bool) -> Figure:
    """Seconds, beside those that the ceiling's processes need to start and to give a result."""
    imports_s: list[float] = []

    def run_actorq() -> float:
        with Nodes() as nodes:
            program = nodes.start("scripts.benchmarks.first_program")
            match = program.wait_for_output(r"first result after ([\d.]+) ms, import ([\d.]+) ms")
            imports_s.append(float(match[2]) / 1e3)
            return float(match[1]) / 1e3

    times_s = medians(alternate(3 if quick else 5, {"ceiling": _run_ceiling, "actorq": run_actorq}))
    return Figure(
        "first_result",
        times_s["actorq"],
        "s",
        times_s["ceiling"],
        0.5,
        Rule.VALUE_AT_MOST,
        (
            "reference: the ceiling's coordinator and two workers, from their start to a result",
            'from ActorQ(url="local://") to the value; its nodes start in that time, the program itself before it',
            f"before it the program imports actorq: {min(imports_s):.3f} s",
        ),
    )


def _run_ceiling() -> float:
    started_s = time.perf_counter()
    with ceiling_mesh() as ceiling:
        ceiling.client.submit("add", 1, 2).get()
        return time.perf_counter() - started_s
