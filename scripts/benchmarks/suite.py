"""All benchmarks, by name."""

from __future__ import annotations

from scripts.benchmarks import (
    chain_step,
    durable_round_trip,
    durable_submit,
    durable_throughput,
    eta_lateness,
    eta_memory,
    first_result,
    idle_node_memory,
    limited_throughput,
    metg,
    million_queued,
    noop_throughput,
    payload,
    queued_call_memory,
    round_trip,
)
from scripts.benchmarks.figure import Measure

_MODULES = (
    noop_throughput,
    round_trip,
    payload,
    metg,
    idle_node_memory,
    queued_call_memory,
    first_result,
    million_queued,
    durable_throughput,
    durable_submit,
    durable_round_trip,
    chain_step,
    limited_throughput,
    eta_lateness,
    eta_memory,
)

BENCHMARKS: dict[str, Measure] = {module.__name__.rpartition(".")[2]: module.measure for module in _MODULES}
QUESTIONS: dict[str, str] = {
    module.__name__.rpartition(".")[2]: (module.__doc__ or "").partition("\n")[0] for module in _MODULES
}
