"""Whether a call costs more while a million are queued, or ten thousand workers are there."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import Mesh, actorq_mesh
from scripts.benchmarks.noop_throughput import actorq_rate
from scripts.benchmarks.processes import REPOSITORY
from scripts.benchmarks.queued_call_memory import queue_calls

FEW_QUEUED, FEW_WORKERS = 1_000, 2
CASE_S = 180.0
"""A case that takes longer is given up."""


def measure(quick: bool) -> Figure:
    """The largest cost of a call in the coordinator's core, beside the cost with few queued and few workers."""
    many_queued, many_workers, calls = (100_000, 1_000, 100_000) if quick else (1_000_000, 10_000, 1_000_000)
    cases = {
        "few": partial(_run_core, FEW_QUEUED, FEW_WORKERS, calls),
        f"{many_queued:,} queued": partial(_run_core, many_queued, FEW_WORKERS, calls),
        f"{many_workers:,} workers": partial(_run_core, FEW_QUEUED, many_workers, calls),
    }
    found = alternate(3, cases)
    core_us = medians({name: [core for core, _ in runs] for name, runs in found.items()})
    whole_us = medians({name: [core + wire for core, wire in runs] for name, runs in found.items()})
    few_us = core_us.pop("few")
    worst = max(core_us, key=core_us.__getitem__)
    return Figure(
        "million_queued",
        core_us[worst],
        "µs/call",
        few_us,
        1.3,
        Rule.RATIO_AT_MOST,
        (
            f"CPU of the core to submit, dispatch, settle; reference: {FEW_QUEUED:,} queued, {FEW_WORKERS} workers",
            "core: " + _ratios({name: each / few_us for name, each in core_us.items()}),
            "with messages decoded, encoded: " + _ratios({name: whole_us[name] / whole_us["few"] for name in core_us}),
            _mesh_note(many_queued, quick),
        ),
    )


def _ratios(ratios: dict[str, float]) -> str:
    return ", ".join(f"{name} × {ratio:.2f}" for name, ratio in ratios.items())


def _run_core(queued: int, workers: int, calls: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "scripts.benchmarks.core_load", *map(str, (queued, workers, calls))]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=CASE_S, check=True)
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"the load on the core failed:\n{error.stderr}") from None
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"the load on the core took longer than {CASE_S:g} s") from None
    figures = json.loads(done.stdout)
    return figures["core_us"], figures["wire_us"]


def _mesh_note(many_queued: int, quick: bool) -> str:
    """What a real mesh does beside so many calls that nobody consumes."""
    calls = 10_000 if quick else 50_000
    with actorq_mesh(FEW_WORKERS) as few, actorq_mesh(FEW_WORKERS) as many:
        for mesh, queued in ((few, FEW_QUEUED), (many, many_queued)):
            mesh.use()
            queue_calls(queued)
            mesh.coordinator.wait_until_idle()
        contenders = {"few": partial(_rate, few, calls), "many": partial(_rate, many, calls)}
        alternate(1, contenders)
        rates = medians(alternate(3 if quick else 7, contenders))
    return "real mesh, no-op calls end to end: " + _ratios({f"{many_queued:,} queued": rates["few"] / rates["many"]})


def _rate(mesh: Mesh, calls: int) -> float:
    mesh.use()
    return actorq_rate(mesh, calls)
