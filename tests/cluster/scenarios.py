"""The scenarios: what each is made of, what happens to it, and how large it is in CI and by hand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tests.cluster.plan import CUTS, KINDS, Timing

SHORT = Timing(first_s=2.0, pause_s=(0.3, 0.7), down_s=(0.2, 0.8), stopped_s=(0.5, 1.5), cut_s=(0.5, 2.0), tail_s=2.0)
LONG = Timing(
    first_s=10.0, pause_s=(0.5, 2.5), down_s=(0.2, 1.5), stopped_s=(1.0, 20.0), cut_s=(1.0, 20.0), tail_s=15.0
)


@dataclass(frozen=True)
class Size:
    """How much there is of it."""

    calls: int
    faults: int
    work_s: float = 0.0
    """How long each call takes, without using the processor."""
    timing: Timing = SHORT


@dataclass(frozen=True)
class Scenario:
    """One of them."""

    name: str
    text: str
    small: Size
    full: Size
    kinds: tuple[str, ...] = ()
    coordinators: int = 1
    workers: int = 2
    worker_hosts: int = 2
    clients: int = 1
    slots: int = 100
    """Calls that run at once on each worker."""
    loss: float = 0.0
    """Share of the packets that are lost, at all hosts, all the time."""
    delay_ms: float = 0.0
    rate_mbit: float = 0.0
    """What hosts send takes so long, and is not faster; 0: no such limit."""
    has_data: bool = False
    joins: bool = False
    leaves: bool = False
    """Whether clients end when their calls are accepted, and do not wait for results."""
    is_paced: bool = True
    """Whether the load lasts as long as the faults do: because calls are submitted evenly over that time or, where
    clients leave, because each takes so long. Else they are submitted as fast as the mesh takes them.
    """
    may_run_twice: bool = True
    watches_memory: bool = False
    """Whether it is a failure if a process grows and grows."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Options that a coordinator has to know."""
        return ("--data",) * self.has_data + ("--join",) * self.joins

    @property
    def host_count(self) -> int:
        return self.coordinators + self.worker_hosts + 1


ALL = (
    Scenario(
        "workers",
        "Workers are killed, on a network that loses packets.",
        Size(calls=12_000, faults=3, work_s=0.02),
        Size(calls=500_000, faults=30, work_s=0.005, timing=LONG),
        kinds=("kill worker",),
        loss=0.05,
    ),
    Scenario(
        "partitions",
        "Hosts are cut off from each other, and processes stand still.",
        Size(calls=12_000, faults=5, work_s=0.02),
        Size(calls=500_000, faults=20, work_s=0.01, timing=LONG),
        kinds=(*CUTS, "stop worker", "stop coordinator"),
        clients=2,
    ),
    Scenario(
        "durable",
        "Clients leave when their calls are accepted; then the coordinator and the workers are killed again and again.",
        Size(calls=10_000, faults=4),
        Size(calls=1_000_000, faults=40, timing=dataclasses.replace(LONG, pause_s=(3.0, 9.0))),
        kinds=("kill coordinator", "kill worker"),
        has_data=True,
        leaves=True,
    ),
    Scenario(
        "restart",
        "The coordinator is killed while all slots run long calls; none of them runs twice.",
        Size(calls=200, faults=1, work_s=6.0),
        Size(calls=200, faults=1, work_s=60.0, timing=Timing(first_s=30.0)),
        kinds=("kill coordinator",),
        has_data=True,
        is_paced=False,
        may_run_twice=False,
    ),
    Scenario(
        "mesh",
        "Three coordinators, with every fault that there is, on a network that loses packets.",
        Size(calls=12_000, faults=7, work_s=0.02),
        Size(calls=500_000, faults=40, work_s=0.01, timing=LONG),
        kinds=KINDS,
        coordinators=3,
        workers=4,
        clients=4,
        loss=0.05,
        has_data=True,
        joins=True,
    ),
    Scenario(
        "soak",
        "Nothing happens, for long: memory stays flat.",
        Size(calls=30_000, faults=0),
        Size(calls=5_000_000, faults=0),
        is_paced=False,
        watches_memory=True,
    ),
)
BY_NAME = {scenario.name: scenario for scenario in ALL}
