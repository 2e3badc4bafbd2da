"""Runs a scenario: load, faults from a seed, an end in which all must settle; and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from tests.cluster import history
from tests.cluster.checker import History, judge
from tests.cluster.cluster import Cluster, coordinator_options, wait_until_s
from tests.cluster.hosts import Hosts, reason_not_here
from tests.cluster.plan import Fault, draw
from tests.cluster.report import Report
from tests.cluster.scenarios import Scenario, Size
from tests.support import Nodes, eventually

START_S = 60.0
STALL_S = 40.0
"""If nothing more happens for so long after the last fault, what has not settled is lost."""
QUIET_S = 4.0
"""The same where clients have left and coordinators hold nothing any more; longer than a grace."""
SAMPLE_S = 1.0
IDLE_S = 40.0
"""So long after the last call has settled, no coordinator may hold anything any more."""


Say = Callable[[str], None]


def _silent(text: str) -> None:
    pass


def reason_not_to_run(scenario: Scenario) -> str:
    """Why the scenario cannot run here or now; an empty string if it can."""
    reason = reason_not_here()
    missing = [] if reason else [option for option in scenario.needs if option not in coordinator_options()]
    return reason or (f"`actorq coordinator` has no {' and no '.join(missing)} yet" if missing else "")


def run(scenario: Scenario, size: Size, seed: int, directory: Path, say: Say = _silent) -> Report:
    """Run it. `directory` is for histories, journals and logs."""
    faults = draw(
        Random(seed), scenario.kinds, size.faults, size.timing, scenario.coordinators, scenario.workers,
        scenario.host_count,
    )  # fmt: skip
    lasts_s = faults[-1].until_s + size.timing.tail_s if faults else 0.0
    with _cluster(scenario, size, lasts_s, directory) as cluster:
        cluster.hosts.lose(scenario.loss)
        cluster.hosts.shape(scenario.delay_ms, scenario.rate_mbit)
        cluster.start()
        observer = _Observer(cluster, scenario, say)
        eventually(observer.has_begun, START_S, "the first call that runs")
        began_s = time.monotonic()
        done = [fault for fault in faults if observer.inflict(fault, began_s)]
        healed_s = time.monotonic()
        observer.wait_for_the_end()
        observer.wait_until_idle()
        observer.look()
        past = History(
            **{
                kind: history.read(directory, kind)[0]
                for kind in ("attempted", "accepted", "executed", "unknown", "wrong")
            },
            settled=history.read(directory, observer.settled)[0],
        )
        return Report(
            scenario=scenario,
            size=size,
            seed=seed,
            verdict=judge(past),
            faults=done,
            planned=len(faults),
            began_s=began_s,
            healed_s=healed_s,
            settled_s=history.read(directory, observer.settled)[1],
            memory=observer.memory,
            failures=observer.failures,
            logs={member.name: member.output() for member in cluster.members},
        )


@contextmanager
def _cluster(scenario: Scenario, size: Size, lasts_s: float, directory: Path) -> Iterator[Cluster]:
    """`lasts_s`: for how long there should be work."""
    with Hosts(scenario.host_count) as hosts, Nodes(directory) as nodes:
        cluster = Cluster(hosts, nodes, directory)
        cluster.add_coordinators(scenario.coordinators, scenario.has_data, scenario.joins)
        cluster.add_workers(scenario.workers, scenario.worker_hosts, scenario.slots)
        duration_s, work_s = lasts_s if scenario.is_paced else 0.0, size.work_s
        if scenario.leaves and scenario.is_paced:
            duration_s, work_s = 0.0, work_s or lasts_s * scenario.workers * scenario.slots / size.calls
        for index in range(scenario.clients):
            first, end = (size.calls * each // scenario.clients for each in (index, index + 1))
            options = {"first": first, "count": end - first, "duration": duration_s, "work": work_s}
            flags = ["--leave"] if scenario.leaves else []
            cluster.add_client(*[f"--{name}={value}" for name, value in options.items()], *flags)
        yield cluster


@dataclass
class _Observer:
    """Lets time pass, and looks on."""

    cluster: Cluster
    scenario: Scenario
    say: Say
    memory: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    """For each process: seconds of the clock, calls that had settled, and bytes."""
    failures: list[str] = field(default_factory=list)
    _sampled_s: float = 0.0

    @property
    def settled(self) -> str:
        """The kind of record that says that a call has settled. Of clients that leave, nobody hears more."""
        return "executed" if self.scenario.leaves else "settled"

    def has_begun(self) -> bool:
        self.look()
        return self._count("executed") > 0

    def inflict(self, fault: Fault, began_s: float) -> bool:
        """Wait for the fault's time, and have it happen and end. False if the load was over before."""
        while not wait_until_s(began_s + fault.at_s):
            self.look()
            if self._is_over():
                return False
        self.say(str(fault))
        self.cluster.begin(fault)
        while not wait_until_s(began_s + fault.until_s):
            self.look()
        self.cluster.end(fault)
        return True

    def wait_for_the_end(self) -> None:
        """Until all has settled, or nothing more will."""
        moved_s, before = time.monotonic(), -1
        while not self._is_over():
            now = self._count("accepted") + self._count(self.settled)
            still_s = time.monotonic() - moved_s
            if now != before:
                moved_s, before = time.monotonic(), now
            elif still_s > STALL_S or (still_s > QUIET_S and self._is_idle()):
                self.failures.append(f"calls have not settled, and for {still_s:.0f} s nothing has happened any more")
                return
            wait_until_s(time.monotonic() + SAMPLE_S, 0.3)
            self.look()

    def wait_until_idle(self) -> None:
        """Until no coordinator holds a call or a lease any more."""
        try:
            eventually(lambda: not self.cluster.left_over(), IDLE_S, "coordinators that hold nothing any more")
        except AssertionError as error:
            self.failures.append(str(error))

    def _is_idle(self) -> bool:
        """Whether there is nothing left from which a call could still settle."""
        try:
            return self.cluster.clients_are_done() and not self.cluster.left_over()
        except AssertionError:
            return False

    def look(self) -> None:
        """Note who has ended and, now and then, who needs how much memory."""
        self.failures.extend(self.cluster.failures())
        now_s = time.monotonic()
        if now_s - self._sampled_s < SAMPLE_S:
            return
        self._sampled_s = now_s
        settled = self._count(self.settled)
        for name, memory_bytes in self.cluster.memory_bytes().items():
            self.memory.setdefault(name, []).append((now_s, settled, memory_bytes))

    def _is_over(self) -> bool:
        if not self.cluster.clients_are_done():
            return False
        if not self.scenario.leaves:
            return True
        if self._count("executed") < self._count("accepted"):
            return False
        accepted, executed = (history.read(self.cluster.history, kind)[0] for kind in ("accepted", "executed"))
        return bool(np.isin(accepted, executed).all())

    def _count(self, kind: str) -> int:
        return history.count(self.cluster.history, kind)
