"""How a worker is started: what the command line, the supervisor and the nodes themselves pass on."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import asdict, dataclass, replace
from typing import Any

from actorq.worker.kinds import GREEN

EXIT_CONFIG = 78
"""Exit status of a node that cannot run as it is told to (EX_CONFIG): starting it again would not help."""
EXIT_TOLD = 79
"""Exit status of a node that was told to end. Not 0, with which a task can end it, too: then another one is started."""
EXIT_RECYCLED = 80
"""Exit status of a node that has ended in good order for a fresh process to take its place at once."""
EXIT_REPLACE = 75
"""Exit status of a node that a fresh process is to replace at once (EX_TEMPFAIL)."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker, of one or several processes. All are plain values: they travel as JSON."""

    addresses: tuple[str, ...] = ()
    """Coordinators. A node talks to one of them, and to the next if that does not answer. Empty: as the settings say; so
    is what is None or empty below, where that is said."""
    app: str = ""
    """Module with the application: ``proj.tasks``, or ``proj.tasks:app``. Empty: only functions by value."""
    include: tuple[str, ...] = ()
    """More modules to import, for the tasks in them."""
    exclude_queues: tuple[str, ...] = ()
    """Of the application's, those that are left out."""
    config: str = ""
    """Module or TOML file with settings, beside those that the application has."""
    queues: tuple[str, ...] = ()
    """Empty: as the settings say."""
    concurrency: int | None = None
    """Calls that run at once in each process. None: as the settings say."""
    pool: str = GREEN
    """One of `actorq.worker.kinds.KINDS`."""
    processes: int = 1
    name: str = "worker-%i@%h"
    """Of each process. %h: host, %n: host without domain, %i: number of the process from 1, %p: its process id."""
    drain_s: float = 25.0
    """How long running calls may go on after the worker is told to end."""
    max_calls: int = 0
    """After so many a fresh process takes the place of a process; 0: never."""
    max_rss_bytes: int = 0
    """Resident memory beyond which the same happens; 0: no limit."""
    loglevel: str = "WARNING"
    banner: bool = True
    """Whether each node says at its start what it is and offers, as users of Celery know it."""
    key: str | None = None
    """Path of the cluster's key file; empty: none. None: as the settings say."""
    insecure: bool = False
    """Whether coordinators on other hosts are taken without a key. The settings may say so, too."""
    by_value: bool | None = None
    """Whether functions that come by value are run: whoever reaches the coordinator can run any code here then. None: as
    the settings say."""
    parent_fd: int | None = None
    """A pipe whose end means that the parent has died, and this process is to end too."""
    silence_s: float = 15.0
    """A process that gives the supervisor no sign of life for so long is killed and replaced: a task keeps even its
    native threads from running. Its leases are over by then (`LivenessSettings.lease_s`)."""
    pulse_fd: int | None = None
    """A pipe for those signs of life, a byte each."""
    program: dict[str, Any] | None = None
    """Of the program in which the mesh is embedded, its ``settings`` and what it ``declares``: they hold here, too. What
    cannot be imported then is left to the calls that need it. None: the mesh is not embedded."""

    def to_json(self) -> str:
        """For the command line of a node's process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerOptions:
        """From `to_json`."""
        values: Any = json.loads(text)
        for name in ("addresses", "include", "queues", "exclude_queues"):
            values[name] = tuple(values[name])
        return cls(**values)

    def of_process(self, number: int, parent_fd: int | None, pulse_fd: int | None = None) -> WorkerOptions:
        """The options of one process, counted from 1; its name stands for one process only."""
        name = self.name
        if self.processes > 1 and "%i" not in name:
            node, at, host = name.partition("@")
            name = f"{node}-%i{at}{host}"
        name = name.replace("%i", str(number))
        return replace(self, name=name, processes=1, parent_fd=parent_fd, pulse_fd=pulse_fd)


def remapped(number: signal.Signals) -> signal.Signals:
    """What a signal stands for: the environment may say ``REMAP_SIGTERM=SIGQUIT``, for platforms that send no other."""
    if number == signal.SIGTERM and os.environ.get("REMAP_SIGTERM") == "SIGQUIT":
        return signal.SIGQUIT
    return number


def expand_name(pattern: str, pid: int) -> str:
    """The name of a node, from a pattern as in `WorkerOptions.name`."""
    host = socket.gethostname()
    parts = {"%h": host, "%n": host.partition(".")[0], "%i": "1", "%p": str(pid), "%%": "%"}
    name, rest = "", pattern
    while rest:
        size = 2 if rest[:2] in parts else 1
        name += parts.get(rest[:2], rest[0])
        rest = rest[size:]
    return name
