"""One run: a mesh, its workload and its faults, from one seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from actorq.testing.loop import Loop
from actorq.wire.records import BY_VALUE
from tests.simulation import ending
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.network import Network
from tests.simulation.nodes import ClientProcess, CoordinatorProcess, WorkerProcess
from tests.simulation.options import Options, draw
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.process import Machine, Process
from tests.simulation.workload import LATE_TASK, QUEUES, TASKS, Workload

SETTLING_S = 600.0
"""Virtual time after the faults within which everything must have settled."""
DISK_LIMIT_S = 10.0
LULL_S = 12.0
"""After that, for the last questions and timers."""


@dataclass(slots=True)
class Result:
    """What came out of a run."""

    seed: int
    digest: int = 0
    """Of all that happened: equal for equal runs."""
    events: int = 0
    virtual_s: float = 0.0
    calls: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Faults by kind."""
    kinds: list[str] = field(default_factory=list)
    """Of all that could happen."""
    violation: Violation | None = None
    story: list[str] = field(default_factory=list)


class Mesh:
    """Machines, network, disk, and the oracle that watches them."""

    def __init__(self, seed: int, is_traced: bool = False, options: Options | None = None) -> None:
        """`options`: if they are not to be drawn from the seed."""
        self.seed = seed
        self.options = options or draw(Random(seed))
        self.rng = self.stream("mesh")
        self.loop = Loop()
        self.oracle = Oracle(self)
        self.disk_factor = 1.0
        self.counts: Counter[str] = Counter()
        self.trace: list[tuple[float, str, tuple[str, ...]]] | None = [] if is_traced else None
        self.machines: dict[str, Machine] = {}
        self.network = Network(self.loop, self.stream("network"), self.machines)
        self.network.delay_s = self.options.delay_s
        self.network.late_share = self.options.late_share
        self.network.unseen_share = self.options.unseen_share
        self.workload = Workload(self)
        self._late_s = self.rng.uniform(0.0, self.options.chaos_s)
        self.coordinators = [
            self._machine(f"coordinator-{number}", CoordinatorProcess)
            for number in range(1, self.options.coordinators + 1)
        ]
        self.workers = [self._worker_machine(number) for number in range(1, self.options.workers + 1)]
        self.client_machines = [
            self._machine(f"client-{number}", ClientProcess) for number in range(1, self.options.clients + 1)
        ]

    def stream(self, name: str) -> Random:
        """A random source of its own: who draws from it changes nothing for others."""
        return Random(f"{self.seed} {name}")

    # -- who is there --------------------------------------------------------------------------------------------

    def _machine(self, name: str, make: type[CoordinatorProcess] | type[ClientProcess]) -> Machine:
        machine = self.machines[name] = Machine(self, name, make)
        return machine

    def _worker_machine(self, number: int) -> Machine:
        """The first serves everything, the others maybe less."""
        name = f"worker-{number}"
        queues = list(QUEUES) if number == 1 else self.rng.sample(QUEUES, self.rng.randint(1, len(QUEUES)))
        offers = [*TASKS, BY_VALUE] if number == 1 else self.rng.sample([*TASKS, BY_VALUE], self.rng.randint(1, 3))

        def make(machine: Machine) -> Process:
            late = [LATE_TASK] if self.loop.now_s >= self._late_s else []
            return WorkerProcess(machine, queues, offers + late)

        machine = self.machines[name] = Machine(self, name, make)
        return machine

    def coordinator_processes(self) -> list[CoordinatorProcess]:
        """The coordinators that run."""
        return [each.process for each in self.coordinators if isinstance(each.process, CoordinatorProcess)]

    def coordinator(self, epoch: str) -> CoordinatorProcess | None:
        """That incarnation of a coordinator, if it lives."""
        process = self.process(epoch.partition("/")[0])
        return process if isinstance(process, CoordinatorProcess) and process.epoch == epoch else None

    def coordinators_with(self, task_id: str) -> list[CoordinatorProcess]:
        """Those that have a call which has not ended."""
        return [each for each in self.coordinator_processes() if task_id in each.core.state.calls]

    def disk_of(self, epoch: str) -> Disk:
        """The disk of a coordinator's machine."""
        return self.machines[epoch.partition("/")[0]].disk

    def seeds(self, rng: Random) -> list[str]:
        """Addresses of coordinators that a node is told of: one at least."""
        addresses = [machine.address for machine in self.coordinators]
        return rng.sample(addresses, rng.randint(1, len(addresses)))

    def process(self, name: str) -> Process | None:
        """The process that runs on a machine."""
        return self.machines[name].process

    def worker(self, epoch: str) -> WorkerProcess | None:
        """That incarnation of a worker, if it lives."""
        process = self.process(epoch.partition("/")[0])
        return process if isinstance(process, WorkerProcess) and process.epoch == epoch else None

    def worker_processes(self) -> list[WorkerProcess]:
        return [each.process for each in self.workers if isinstance(each.process, WorkerProcess)]

    def clients(self) -> list[ClientProcess]:
        return [each.process for each in self.client_machines if isinstance(each.process, ClientProcess)]

    @property
    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.loop.now_s

    def disk_s(self, rng: Random) -> float:
        """How long the next write takes."""
        return min(rng.expovariate(1 / self.options.disk_s) * self.disk_factor, DISK_LIMIT_S)

    def note(self, text: str, *ids: str) -> None:
        """For the story of a run that failed."""
        if self.trace is not None:
            self.trace.append((self.loop.now_s, text, ids))

    def crash(self, machine: Machine) -> None:
        """The process dies; another one starts some time later."""
        rng = machine.rng
        machine.kill(silently=rng.random() < 0.2)
        mean_s = rng.choice((0.1, 1.0, 5.0)) if self.loop.now_s < self.options.chaos_s else 0.1
        self.loop.after(rng.expovariate(1 / mean_s), machine.start)

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Chaos, then peace. Raises Violation."""
        self.start()
        self.workload.schedule()
        faults = Faults(self)
        faults.begin()
        self.loop.run_until(self.options.chaos_s)
        self.settle(faults)

    def start(self) -> None:
        """Start all nodes."""
        for machine in self.machines.values():
            machine.start()

    def settle(self, faults: Faults) -> None:
        """Repair all that is broken, and see that everything comes to its end. Raises Violation."""
        faults.heal()
        self.note("nothing breaks any more")
        self._renew_workers()
        end_s = self.loop.now_s + SETTLING_S
        while not ending.is_settled(self):
            if self.loop.now_s >= end_s:
                ending.explain_unsettled(self)
            self.loop.run_until(self.loop.now_s + 0.5)
        self.loop.run_until(self.loop.now_s + LULL_S)
        ending.check_all(self)

    def _renew_workers(self) -> None:
        """Have all tasks offered."""
        for worker in self.worker_processes():
            if LATE_TASK not in worker.core.offers or worker.core.draining:
                worker.drain()
                self._restart_later(worker.machine, worker)

    def _restart_later(self, machine: Machine, old: WorkerProcess) -> None:
        if machine.process is old:
            self.loop.after(1.0, lambda: self._restart_later(machine, old))
        else:
            machine.start()


def run_seed(seed: int, is_traced: bool = False, without: Collection[str] = ()) -> Result:
    """Run one seed. The result says what was violated, if anything; run it traced to have the story.

    `without`: kinds of what may happen (`Options.kinds`) that are drawn and then not carried out.
    """
    mesh = Mesh(seed, is_traced, draw(Random(seed)).without(without))
    result = Result(seed)
    try:
        mesh.run()
    except Violation as violation:
        result.violation = violation
        if mesh.trace is not None:
            result.story = mesh.oracle.story(violation.ids, mesh.trace)
    result.digest = mesh.network.digest ^ mesh.loop.events
    result.events = mesh.loop.events
    result.virtual_s = mesh.loop.now_s
    result.calls = len(mesh.oracle.records)
    result.counts = mesh.counts + mesh.network.counts
    result.kinds = mesh.options.kinds()
    return result


def first_violation(seeds: Sequence[int]) -> Result | None:
    """The first of these seeds in which something is violated."""
    for seed in seeds:
        result = run_seed(seed)
        if result.violation is not None:
            return result
    return None
