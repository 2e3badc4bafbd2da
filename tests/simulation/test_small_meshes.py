"""Small meshes, where hypothesis says what breaks and when: what it finds, it makes as short as it can.

One or two coordinators, two workers, two clients, three calls. The nodes, the network and the oracle are the simulation's;
what is on its way in one direction waits there until a rule lets it go, so messages come in any order that is possible.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from actorq.client.core import Order
from actorq.config import ClientSettings, CoordinatorSettings, LivenessSettings, WorkerSettings
from actorq.coordinator.core.checks import check
from actorq.wire import frames
from actorq.wire.records import Call, CallSpec
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.mesh import Mesh
from tests.simulation.nodes import ClientProcess, CoordinatorProcess
from tests.simulation.options import Options, draw
from tests.simulation.oracle import Record
from tests.simulation.process import Machine
from tests.simulation.workload import TASKS

OFTEN = CallSpec(TASKS[0], queue="default", max_deliveries=100)
ONCE = CallSpec(TASKS[0], queue="default", acks_late=False)
CALLS = {"one": OFTEN, "two": OFTEN, "once": ONCE}
LIVENESS = LivenessSettings(grace_s=0.5)
TIMES_S = (0.001, 0.01, 0.3, 1.0, 6.0, 20.0)
"""A message's way; the next turn; a call; a grace; silence; the end of a lease."""
calls, picks, times_s = st.sampled_from(sorted(CALLS)), st.integers(0, 5), st.sampled_from(TIMES_S)


def small(coordinators: int, is_durable: bool, repeats: bool) -> Options:
    """A mesh in which nothing breaks by itself."""
    drawn = draw(Random(1))
    return replace(
        drawn,
        coordinators=coordinators,
        is_durable=is_durable,
        faults=("lost link", "failing disk"),
        chaos_s=0.0,
        workers=2,
        clients=2,
        calls=0,
        call_s=0.3,
        delay_s=0.0005,
        latency_s=0.0,
        batch=1000,
        disk_s=0.01,
        duplicate_share=1.0 if repeats else 0.0,
        late_share=0.0,
        unseen_share=0.0,
        shares=dict.fromkeys(drawn.shares, 0.0),
        coordinator=CoordinatorSettings(liveness=LIVENESS, durable=is_durable),
        worker=WorkerSettings(liveness=LIVENESS, concurrency=1),
        client=ClientSettings(),
    )


class SmallMesh(RuleBasedStateMachine):
    """What may happen to it."""

    @initialize(coordinators=st.integers(1, 2), is_durable=st.booleans(), repeats=st.booleans())
    def begin(self, coordinators: int, is_durable: bool, repeats: bool) -> None:
        self.mesh = Mesh(1, options=small(coordinators, is_durable, repeats))
        self.faults = Faults(self.mesh)
        self.mesh.start()
        self.mesh.loop.run_until(1.0)

    def _machine(self, pick: int) -> Machine:
        machines = [*self.mesh.machines.values()]
        return machines[pick % len(machines)]

    def _client(self, pick: int) -> ClientProcess | None:
        process = self.mesh.client_machines[pick % 2].process
        return process if isinstance(process, ClientProcess) else None

    # -- what users do ---------------------------------------------------------------------------------------------

    @rule(name=calls, pick=picks)
    def submit(self, name: str, pick: int) -> None:
        """For the first time, or again by the other client."""
        client, spec, records = self._client(pick), CALLS[name], self.mesh.oracle.records
        known = records.get(name)
        if client is None or (known is not None and (spec is ONCE or client.epoch in known.waiting)):
            return
        if known is None:
            body = f"arguments of {name}".encode()
            records[name] = Record(name, spec, body, "plain", 0.3, 0.0, 0.0, client.epoch)
        call = Call(name, 0, frames.body_of(records[name].body))
        client.submit([(name, spec, call)], is_chosen=spec is OFTEN)

    @rule(name=calls, pick=picks, terminate=st.booleans())
    def revoke(self, name: str, pick: int, terminate: bool) -> None:
        client = self._client(pick)
        if client is not None:
            order = Order(len(client.orders) + 1, "revoke", {"ids": [name], "terminate": terminate}, (), 1.0)
            client.request(order)

    # -- what happens to them --------------------------------------------------------------------------------------

    @rule(time_s=times_s)
    def wait(self, time_s: float) -> None:
        self.mesh.loop.run_until(self.mesh.loop.now_s + time_s)

    @rule(source=picks, other=picks)
    def hold_up(self, source: int, other: int) -> None:
        """What goes in this direction waits, until it is let go or given up."""
        names = self._machine(source).name, self._machine(other).name
        if names[0] != names[1]:
            self.mesh.network.block(*names)

    @rule(pick=picks)
    def let_go(self, pick: int) -> None:
        blocked = list(self.mesh.network.blocked)
        if blocked:
            self.mesh.network.unblock(*blocked[pick % len(blocked)])

    @rule(pick=st.integers(0, 30))
    def lose_link(self, pick: int) -> None:
        pairs = self.mesh.network.pairs()
        if pairs:
            self.mesh.network.cut(pairs[pick % len(pairs)][0])

    @rule(pick=picks, silently=st.booleans())
    def crash(self, pick: int, silently: bool) -> None:
        self._machine(pick).kill(silently)

    @rule(pick=picks)
    def crash_with_its_disk(self, pick: int) -> None:
        machine = self._machine(pick)
        machine.kill()
        machine.disk = Disk(machine.disk.rng)

    @rule(pick=picks)
    def start(self, pick: int) -> None:
        self._machine(pick).start()

    @rule(pick=picks)
    def stand_still(self, pick: int) -> None:
        process = self._machine(pick).process
        if process is not None:
            process.resume() if process.is_paused else process.pause()

    @rule(pick=picks)
    def leave(self, pick: int) -> None:
        """A coordinator is to leave the mesh, if another one is there."""
        process = self._machine(pick).process
        if isinstance(process, CoordinatorProcess) and not process.is_paused and process.core.mesh.heirs():
            process.drain()

    @rule(pick=picks, share=st.sampled_from((0.0, 0.5, 1.0)))
    def disk_fails(self, pick: int, share: float) -> None:
        self._machine(pick).disk.failing_share = share

    # -- what always holds, beside all that the oracle sees --------------------------------------------------------

    @invariant()
    def indexes_agree(self) -> None:
        for coordinator in self.mesh.coordinator_processes():
            check(coordinator.core)

    @invariant()
    def at_most_once_means_once(self) -> None:
        record = self.mesh.oracle.records.get("once")
        assert record is None or record.starts_count <= 1

    @invariant()
    def what_a_coordinator_accepted_it_has_or_has_settled_or_handed_over(self) -> None:
        for coordinator in self.mesh.coordinator_processes():
            state = coordinator.core.state
            for record in self.mesh.oracle.records.values():
                has = record.id in state.calls or state.epoch in record.settled or state.is_leaving
                assert state.epoch not in record.accepted or has, f"{state.epoch} has lost {record.id}"

    def teardown(self) -> None:
        if hasattr(self, "mesh"):
            self.mesh.settle(self.faults)


PROFILE = settings(
    max_examples=200,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_whatever_happens_to_a_small_mesh_every_promise_is_kept() -> None:
    run_state_machine_as_test(SmallMesh, settings=PROFILE)
