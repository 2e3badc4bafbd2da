"""The processes of a scenario on their hosts: started, harmed and started again with the same arguments."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from actorq.config import URL_VARIABLE
from tests.cluster import tasks
from tests.cluster.hosts import Host, Hosts
from tests.cluster.plan import CUTS, KILLS, Fault
from tests.support import REPOSITORY, NodeProcess, Nodes

PORT = 5570
TRUSTING = {"ACTORQ_INSECURE": "1"}
"""The hosts reach nobody else, so no key is needed there. One that ACTORQ_KEY names is used all the same."""
STATUS_S = 20.0


class Member:
    """A command that runs on a host. It ends when it is killed, and with it the processes that it has started."""

    def __init__(self, nodes: Nodes, host: Host, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.host = host
        self._nodes = nodes
        self._command = host.command(sys.executable, "-m", *command)
        self._env = {**TRUSTING, **env}
        self.process: NodeProcess | None = None
        self.logs: list[Path] = []
        """Of each of its lives, the last one last."""

    def start(self) -> None:
        """Start it (again)."""
        self.process = self._nodes.start_command(*self._command, env=self._env)
        self.logs.append(self.process.log)

    def kill(self) -> None:
        """Have the kernel end all of it at once (kill -9), and wait for that."""
        if self.process is None:
            return
        processes = self._suspended()
        for process in processes:
            process.kill()
        self.process.wait()
        psutil.wait_procs(processes, timeout=20)
        self.process = None

    def stop(self) -> None:
        """Have all of it stand still (SIGSTOP)."""
        self._suspended()

    def resume(self) -> None:
        """Have all of it go on."""
        for process in self.processes():
            process.resume()

    def processes(self) -> list[psutil.Process]:
        """Itself and its children; nothing if it does not run."""
        if self.process is None:
            return []
        try:
            itself = psutil.Process(self.process.pid)
            return [itself, *itself.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def ended(self) -> int | None:
        """The status with which it has ended by itself; None if it has not."""
        return None if self.process is None else self.process.process.poll()

    def output(self) -> str:
        """All that it has written, in all its lives."""
        return "".join(log.read_text(errors="replace") for log in self.logs)

    def _suspended(self) -> list[psutil.Process]:
        """All its processes, stopped: first the one that could start others."""
        for process in self.processes()[:1]:
            process.suspend()
        processes = self.processes()
        for process in processes[1:]:
            process.suspend()
        return processes


@dataclass
class Cluster:
    """All members, on hosts in this order: one for each coordinator, those of the workers, one for the clients."""

    hosts: Hosts
    nodes: Nodes
    history: Path
    """The directory for the files of `tests.cluster.ledger`."""
    coordinators: list[Member] = field(default_factory=list)
    workers: list[Member] = field(default_factory=list)
    clients: list[Member] = field(default_factory=list)
    _down: set[str] = field(default_factory=set)

    def add_coordinators(self, count: int, has_data: bool, joins: bool) -> None:
        """Coordinators on the first hosts. has_data: with a journal. joins: they form a mesh."""
        for index in range(count):
            host = self.hosts[index]
            options = ["--listen", _address(host), "--name", f"coordinator-{index + 1}", "--insecure"]
            if has_data:
                options += ["--data", str(self.history / f"coordinator-{index + 1}.data")]
            if joins and count > 1:
                options += ["--join", _address(self.hosts[(index + 1) % count])]
            command = ["actorq", "coordinator", *options]
            self.coordinators.append(Member(self.nodes, host, f"coordinator-{index + 1}", command, {}))

    def add_workers(self, count: int, hosts: int, slots: int) -> None:
        """Worker nodes, spread over so many hosts after those of the coordinators."""
        first = len(self.coordinators)
        env = {tasks.HISTORY_VARIABLE: str(self.history)}
        for index in range(count):
            name = f"worker-{index + 1}"
            command = ["actorq", "worker", "-A", tasks.__name__, "-u", self.url, "-n", name, "-c", str(slots)]
            self.workers.append(Member(self.nodes, self.hosts[first + index % hosts], name, command, env))

    def add_client(self, *options: str) -> None:
        """A client with these options of `tests.cluster.load`, on the last host."""
        name = f"client-{len(self.clients) + 1}"
        command = ["tests.cluster.load", name, "--history", str(self.history), *options]
        host = self.hosts[len(self.hosts) - 1]
        self.clients.append(Member(self.nodes, host, name, command, {URL_VARIABLE: self.url}))

    @property
    def url(self) -> str:
        return ",".join(_address(member.host) for member in self.coordinators)

    @property
    def members(self) -> list[Member]:
        return [*self.coordinators, *self.workers, *self.clients]

    def start(self) -> None:
        for member in self.members:
            member.start()

    # -- faults --------------------------------------------------------------------------------------------------

    def begin(self, fault: Fault) -> None:
        """Do what the fault says."""
        if fault.kind in CUTS:
            self.hosts.cut_all((self.hosts[source], self.hosts[target]) for source, target in fault.cuts)
        elif fault.kind in KILLS:
            self._target(fault).kill()
        else:
            self._target(fault).stop()

    def end(self, fault: Fault) -> None:
        """Undo it."""
        if fault.kind in CUTS:
            self.hosts.heal()
        elif fault.kind in KILLS:
            self._target(fault).start()
        else:
            self._target(fault).resume()

    def _target(self, fault: Fault) -> Member:
        return (self.coordinators if fault.kind.endswith("coordinator") else self.workers)[fault.target]

    # -- looking -------------------------------------------------------------------------------------------------

    def failures(self) -> Iterator[str]:
        """Names those that have ended although nobody has killed them, once each, and starts them again."""
        for member in (*self.coordinators, *self.workers):
            status = member.ended()
            if status is not None and member.process is not None:
                yield f"{member.name} has ended by itself with status {status}:\n{member.process.tail(20)}"
                member.start()
        for client in self.clients:
            if client.ended() and client.name not in self._down and client.process is not None:
                self._down.add(client.name)
                yield f"{client.name} has failed with status {client.ended()}:\n{client.process.tail(20)}"

    def clients_are_done(self) -> bool:
        return all(client.ended() is not None for client in self.clients)

    def memory_bytes(self) -> dict[str, int]:
        """What each process holds in memory, by its member's name and its id."""
        found = {}
        for member in self.members:
            for process in member.processes():
                try:
                    found[f"{member.name} {process.pid}"] = process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        return found

    def left_over(self) -> dict[str, int]:
        """How many calls coordinators still hold, by their names. Nothing if all has settled.

        Raises AssertionError if one does not answer.
        """
        left: dict[str, int] = {}
        for member in self.coordinators:
            for name, stats in self._status(member)["coordinators"].items():
                if stats["calls"]:  # Those that are held back after a restart stand in no queue.
                    left[name] = stats["calls"]
        return left

    def _status(self, coordinator: Member) -> dict[str, Any]:
        command = [sys.executable, "-m", "actorq", "-u", _address(coordinator.host), "status", "--json"]
        host = self.hosts[len(self.hosts) - 1]
        done = subprocess.run(
            host.command(*command),
            cwd=REPOSITORY,
            env={**os.environ, **TRUSTING},
            capture_output=True,
            text=True,
            timeout=STATUS_S,
        )
        assert done.returncode == 0, f"{coordinator.name} does not answer: {done.stderr}"
        status: dict[str, Any] = json.loads(done.stdout)
        return status


@functools.cache
def coordinator_options() -> str:
    """What `actorq coordinator --help` says: an option that is not in there is not built yet."""
    return subprocess.run(
        [sys.executable, "-m", "actorq", "coordinator", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=STATUS_S,
    ).stdout


def wait_until_s(moment_s: float, longest_s: float = 0.05) -> bool:
    """Sleep towards a moment of the monotonic clock, for `longest_s` at the most. Whether it has come."""
    left_s = moment_s - time.monotonic()
    if left_s > 0:
        time.sleep(min(left_s, longest_s))
    return time.monotonic() >= moment_s


def _address(host: Host) -> str:
    return f"tcp://{host.address}:{PORT}"
