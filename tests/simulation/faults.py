"""What breaks, and when: drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.nodes import CoordinatorProcess, WorkerProcess
from tests.simulation.process import Machine, Process

if TYPE_CHECKING:
    from tests.simulation.mesh import Mesh


class Faults:
    """Breaks something every now and then, until `heal`."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.rng = mesh.stream("faults")
        """What the present fault draws from: one of its own, so that leaving a fault out changes no other."""
        self._stream = self.rng
        self._is_over = False
        self._is_shaken = False
        """All nodes are being restarted: no more of that now."""
        self._breaks: dict[str, Callable[[], bool]] = {
            "coordinator crash": lambda: self._crash(self.mesh.coordinators),
            "coordinator drain": self._drain_coordinator,
            "worker crash": lambda: self._crash(self.mesh.workers),
            "worker stop": lambda: self._on_worker(WorkerProcess.stop),
            "worker drain": lambda: self._on_worker(WorkerProcess.drain),
            "client crash": lambda: self._crash(self.mesh.client_machines),
            "rolling restart": lambda: self._restart_all(self.rng.choice((self.mesh.coordinators, self.mesh.workers))),
            "swizzle": self._swizzle,
            "coordinator pause": lambda: self._pause(self.mesh.coordinators),
            "worker pause": lambda: self._pause(self.mesh.workers),
            "client pause": lambda: self._pause(self.mesh.client_machines),
            "busy hub": self._busy_hub,
            "stuck worker": self._stuck_worker,
            "lost link": self._lose_link,
            "half-open link": self._lose_half,
            "one-way partition": lambda: self._partition(self.rng.choice(("to", "from"))),
            "partition": lambda: self._partition("both"),
            "slow machine": self._slow_machine,
            "clock step": self._clock_step,
            "slow disk": self._slow_disk,
            "failing disk": self._failing_disk,
        }

    def begin(self) -> None:
        if self.mesh.options.faults:
            self._later()

    def _later(self) -> None:
        self.mesh.loop.after(self._stream.expovariate(1 / self.mesh.options.fault_every_s), self._break)

    def _break(self) -> None:
        if not self._is_over:
            kind = self._stream.choice(self.mesh.options.faults)
            self.rng = Random(self._stream.getrandbits(64))
            if kind not in self.mesh.options.left_out and self._breaks[kind]():
                self.mesh.counts[kind] += 1
            self._later()

    def heal(self) -> None:
        """From now on nothing breaks, and all that is broken is repaired."""
        self._is_over = True
        network = self.mesh.network
        for source, target in list(network.blocked):
            network.unblock(source, target)
        network.slow.clear()
        network.unseen_share = 0.0
        self.mesh.disk_factor = 1.0
        for machine in self.mesh.coordinators:
            machine.disk.failing_share = 0.0
        for machine in self.mesh.machines.values():
            if machine.process is not None:
                machine.process.resume()
                for strand in machine.process.strands:
                    strand.unstall()
            machine.start()

    # -- kinds ---------------------------------------------------------------------------------------------------

    def _process(self, machines: list[Machine]) -> Process | None:
        running = [each.process for each in machines if each.process is not None and not each.process.is_paused]
        return self.rng.choice(running) if running else None

    def _for_a_while(self, mean_s: float, undo: Callable[[], object]) -> None:
        self.mesh.loop.after(self.rng.expovariate(1 / mean_s), undo)

    def _crash(self, machines: list[Machine]) -> bool:
        process = self._process(machines)
        if process is None:
            return False
        self.mesh.crash(process.machine)
        return True

    def _drain_coordinator(self) -> bool:
        process = self._process(self.mesh.coordinators)
        if not isinstance(process, CoordinatorProcess) or not process.core.mesh.heirs():
            return False
        self.mesh.note(f"{process.epoch} is to leave the mesh")
        process.drain()
        return True

    def _on_worker(self, do: Callable[[WorkerProcess], None]) -> bool:
        process = self._process(self.mesh.workers)
        if not isinstance(process, WorkerProcess):
            return False
        self.mesh.note(f"{process.epoch} is to end")
        do(process)
        self._for_a_while(3.0, process.machine.start)
        return True

    def _restart_all(self, machines: list[Machine]) -> bool:
        """One after the other, each when the one before is there again. Workers may finish what runs."""
        if self._is_shaken:
            return False
        self._is_shaken = True
        self._restart_next(list(machines), self.rng)
        return True

    def _restart_next(self, machines: list[Machine], rng: Random) -> None:
        self._is_shaken = bool(machines)
        if self._is_over or not machines:
            return
        machine = machines.pop(0)
        self.mesh.note(f"{machine.name} is to be restarted")
        if isinstance(machine.process, WorkerProcess):
            machine.process.drain()
        else:
            machine.kill()
        self._start_again(machine, machine.process, partial(self._restart_next, machines, rng), rng)

    def _start_again(self, machine: Machine, old: Process | None, then: Callable[[], None], rng: Random) -> None:
        """Start another process when the old one has ended, and then go on."""

        def go_on() -> None:
            if old is not None and machine.process is old:
                self._start_again(machine, old, then, rng)
            else:
                machine.start()
                self.mesh.loop.after(rng.expovariate(2.0), then)

        self.mesh.loop.after(rng.expovariate(2.0), go_on)

    def _swizzle(self) -> bool:
        """Some nodes die one by one, and come back one by one in another order (after FoundationDB's simulation)."""
        if self._is_shaken:
            return False
        self._is_shaken = True
        machines = [*self.mesh.coordinators, *self.mesh.workers]
        chosen = self.rng.sample(machines, self.rng.randint(1, len(machines)))
        back = self.rng.sample(chosen, len(chosen))
        when_s = 0.0
        for machine in chosen:
            self.mesh.loop.after(when_s, partial(self._kill, machine))
            when_s += self.rng.expovariate(2.0)
        for machine in back:
            self.mesh.loop.after(when_s, machine.start)
            when_s += self.rng.expovariate(2.0)
        self.mesh.loop.after(when_s, self._calm_down)
        return True

    def _calm_down(self) -> None:
        self._is_shaken = False

    def _kill(self, machine: Machine) -> None:
        if not self._is_over:
            machine.kill()

    def _pause(self, machines: list[Machine]) -> bool:
        process = self._process(machines)
        if process is None:
            return False
        self.mesh.note(f"{process.epoch} stands still")
        process.pause()
        self._for_a_while(self.rng.choice((0.5, 3.0, 20.0)), partial(self._resume, process))
        return True

    def _resume(self, process: Process) -> None:
        self.mesh.note(f"{process.epoch} goes on")
        process.resume()

    def _busy_hub(self) -> bool:
        process = self._process(self.mesh.workers)
        if not isinstance(process, WorkerProcess):
            return False
        self.mesh.note(f"{process.epoch} has a busy hub")
        process.hub.stall(self.rng.expovariate(1 / self.rng.choice((0.2, 3.0, 10.0))))
        return True

    def _stuck_worker(self) -> bool:
        """Both of a worker's threads do nothing, as if C code held the interpreter, and its connections stay open."""
        process = self._process(self.mesh.workers)
        if not isinstance(process, WorkerProcess):
            return False
        self.mesh.note(f"{process.epoch} is stuck")
        duration_s = self.rng.expovariate(1 / self.rng.choice((1.0, 20.0)))
        process.hub.stall(duration_s)
        process.watchdog.stall(duration_s)
        return True

    def _lose_link(self) -> bool:
        pairs = self.mesh.network.pairs()
        if not pairs:
            return False
        for end, other in self.rng.sample(pairs, self.rng.randint(1, len(pairs))):
            self.mesh.note(f"the link {end.process.epoch} - {other.process.epoch} is lost")
            self.mesh.network.cut(end)
        return True

    def _lose_half(self) -> bool:
        """The coordinator knows at once that it has lost a worker's connection; the worker does not."""
        pairs = [pair for pair in self.mesh.network.pairs() if isinstance(pair[0].process, WorkerProcess)]
        if not pairs:
            return False
        for end, other in self.rng.sample(pairs, self.rng.randint(1, len(pairs))):
            self.mesh.note(f"the link {end.process.epoch} - {other.process.epoch} is half open")
            self.mesh.network.lose(other, 0.0)
            self.mesh.network.lose(end, self.rng.uniform(0.0, 8.0))
        return True

    def _partition(self, direction: str) -> bool:
        """One machine and some of the others do not hear each other, or only one way."""
        machines = sorted(self.mesh.machines)
        name = self.rng.choice(machines)
        others = [each for each in machines if each != name]
        for other in self.rng.sample(others, self.rng.randint(1, len(others))):
            ways = {"to": [(other, name)], "from": [(name, other)], "both": [(name, other), (other, name)]}
            for source, target in ways[direction]:
                self.mesh.note(f"nothing gets from {source} to {target}")
                self.mesh.network.block(source, target)
                self._for_a_while(self.rng.choice((1.0, 5.0, 20.0)), partial(self._unblock, source, target))
        return True

    def _unblock(self, source: str, target: str) -> None:
        self.mesh.note(f"messages get from {source} to {target} again")
        self.mesh.network.unblock(source, target)

    def _slow_machine(self) -> bool:
        name = self.rng.choice(sorted(self.mesh.machines))
        slow = self.mesh.network.slow
        slow[name] = self.rng.choice((10.0, 100.0))
        self._for_a_while(3.0, lambda: slow.pop(name, None) and None)
        return True

    def _clock_step(self) -> bool:
        machine = self.rng.choice([*self.mesh.coordinators, *self.mesh.workers, *self.mesh.client_machines])
        machine.wall_offset_s = self.rng.uniform(-10.0, 10.0)
        self.mesh.note(f"the clock of {machine.name} is off by {machine.wall_offset_s:.3f} s")
        return True

    def _slow_disk(self) -> bool:
        self.mesh.disk_factor = self.rng.choice((10.0, 100.0))
        self._for_a_while(3.0, self._quick_disk)
        return True

    def _failing_disk(self) -> bool:
        """Writes fail. Some of them have been done all the same."""
        machine = self.rng.choice(self.mesh.coordinators)
        self.mesh.note(f"the disk of {machine.name} fails")
        machine.disk.failing_share = self.rng.choice((0.3, 0.8, 1.0))
        self._for_a_while(2.0, partial(self._sound_disk, machine))
        return True

    def _sound_disk(self, machine: Machine) -> None:
        self.mesh.note(f"the disk of {machine.name} does not fail any more")
        machine.disk.failing_share = 0.0

    def _quick_disk(self) -> None:
        self.mesh.disk_factor = 1.0
