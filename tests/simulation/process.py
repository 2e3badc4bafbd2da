"""Machines, the processes that run on them one after another, and the threads of these."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation.disk import Disk
from tests.simulation.network import End, address_of

if TYPE_CHECKING:
    from tests.simulation.mesh import Mesh

Step = Callable[[list[Any]], "float | None"]
IDLE_STEPS_PER_S = 500
"""How often a thread may wake up with nothing to do within one second. (Between calls, a worker shares its slots between
coordinators every 5 ms; one that does not wait at all wakes up 10,000 times.)"""


class Machine:
    """Where one node runs. It keeps its disk when the process dies."""

    def __init__(self, mesh: Mesh, name: str, make: Callable[[Machine], Process]) -> None:
        self.mesh = mesh
        self.name = name
        self.wall_offset_s = 0.0
        self.starts = 0
        self.process: Process | None = None
        self.rng = mesh.stream(name)
        self.disk = Disk(mesh.stream(f"disk of {name}"))
        """Outlives the processes."""
        self._make = make

    @property
    def address(self) -> str:
        """Where its node is to be called."""
        return address_of(self.name)

    def start(self) -> None:
        """Start a process, unless one is there."""
        if self.process is None:
            self.starts += 1
            self.process = self._make(self)
            self.process.begin()

    def kill(self, silently: bool = False) -> None:
        """The process dies at once. `silently`: with the machine, so that nobody hears of it."""
        process, self.process = self.process, None
        if process is not None:
            process.is_alive = False
            process.end()
            self.mesh.note(f"{self.name} dies")
            self.mesh.network.close(process, silently)


class Process:
    """One incarnation of a node. Its monotonic clock has a zero of its own."""

    listens: Any = None
    """The thread that gets what comes to the machine's address."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.mesh = machine.mesh
        self.rng = machine.rng
        self.epoch = f"{machine.name}/{machine.starts}"
        self.is_alive = True
        self.is_paused = False
        self.pauses = 0
        self.ends: dict[int, End] = {}
        self.strands: list[Strand] = []
        self._offset_s = self.rng.uniform(0.0, 1e5)

    def begin(self) -> None:
        """The process runs from now on."""

    def end(self) -> None:
        """The process is dead from now on."""

    @property
    def now_s(self) -> float:
        return self.mesh.loop.now_s + self._offset_s

    @property
    def wall_s(self) -> float:
        return self.mesh.wall_s + self.machine.wall_offset_s

    def pause(self) -> None:
        """It stands still, and its clocks go on (SIGSTOP)."""
        if not self.is_paused:
            self.is_paused = True
            self.pauses += 1
            self.mesh.network.watch_pause(self)

    def resume(self) -> None:
        if self.is_paused:
            self.is_paused = False
            for strand in self.strands:
                strand.wake()


class Strand:
    """A thread: takes what came, some at a time, and what its timer brings."""

    def __init__(self, process: Process, step: Step) -> None:
        self.process = process
        self.busy_until_s = 0.0
        """It is busy with something else until then."""
        self._step = step
        self._inbox: list[Any] = []
        self._is_woken = False
        self._due_s = float("inf")
        self._idle_since_s = 0.0
        self._idle_steps = 0
        process.strands.append(self)

    def put(self, item: Any) -> None:
        self._inbox.append(item)
        self.wake()

    def wake(self) -> None:
        """Have a step soon."""
        if not self._is_woken:
            self._is_woken = True
            mesh = self.process.mesh
            mesh.loop.after(self.process.rng.random() * mesh.options.latency_s, self._run)

    def stall(self, duration_s: float) -> None:
        """Something keeps the thread busy."""
        self.busy_until_s = max(self.busy_until_s, self.process.mesh.loop.now_s + duration_s)

    def unstall(self) -> None:
        """It is free again."""
        if self.busy_until_s > self.process.mesh.loop.now_s:
            self.busy_until_s = self.process.mesh.loop.now_s
            self.process.mesh.loop.after(0.0, self._run)

    def _run(self) -> None:
        process = self.process
        loop = process.mesh.loop
        self._is_woken = False
        if not process.is_alive or process.is_paused:
            return
        if self.busy_until_s > loop.now_s:
            self._is_woken = True
            loop.at(self.busy_until_s, self._run)
            return
        items, self._inbox = self._inbox, []
        limit = process.mesh.options.batch
        if len(items) > limit:
            items, self._inbox = items[:limit], items[limit:]
            self.wake()
        if not items:
            self._count_idle(loop.now_s)
        wait_s = self._step(items)
        self._due_s = float("inf")
        if process.is_alive and wait_s is not None:
            self._arm(wait_s)

    def _arm(self, wait_s: float) -> None:
        loop = self.process.mesh.loop
        due_s = loop.now_s + max(wait_s, 0.0001)  # Timers are no better than this.
        self._due_s = due_s
        loop.at(due_s, partial(self._ring, due_s))

    def _ring(self, due_s: float) -> None:
        if due_s == self._due_s and not self._is_woken:
            self._run()

    def _count_idle(self, now_s: float) -> None:
        if now_s - self._idle_since_s >= 1.0:
            self._idle_since_s, self._idle_steps = now_s, 0
        self._idle_steps += 1
        if self._idle_steps > IDLE_STEPS_PER_S:
            name = self.process.machine.name
            self.process.mesh.oracle.fail("busy loop", f"{name} wakes up again and again with nothing to do")
