"""A mesh inside one program, ``local://``: a coordinator and workers as child processes, while the program lives.

The program starts one process, the *keeper* (`actorq.cli.keeper`), which starts the others and looks after them. When
the program ends, however it does, the keeper ends, and with it all the others. The coordinator listens on a path that
only this user can reach.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import site
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from actorq import native
from actorq.config import DEFAULT_QUEUE, CoordinatorSettings, WorkerSettings
from actorq.errors import ImproperlyConfigured, OperationalError, nearest

if TYPE_CHECKING:  # The keeper has no session.
    from actorq.client.session import Session

KEEPER = "actorq.cli.keeper"
READY_FD, PARENT_FD = 3, 4
"""In the keeper: where to write the coordinator's address, and the pipe that ends with the program."""
SURROUNDING_VARIABLE = "ACTORQ_SURROUNDING_MESH"
"""In the workers' environment: the keeper's process id and the coordinator's address."""
START_S = 15.0
"""How long the coordinator may take until it listens, and the workers until they come. It takes some tenths of a second."""
END_S = 3.0
"""How long the keeper may take to end all before it is killed."""
LOOK_AGAIN_S = 0.005
FEWEST_PROCESSES = 2
"""So that two calls run at the same time even where there is one CPU."""


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """What ``local://?processes=4&concurrency=10&queues=default,fast`` says."""

    processes: int
    concurrency: int
    queues: list[str]
    result_expires: float
    """How long results are kept, in seconds."""


def read_options(options: Mapping[str, str], queues: Iterable[str] = ()) -> EmbeddedOptions:
    """The options of a ``local://`` URL; `queues` are served besides. Raises ImproperlyConfigured.

    processes: default one for each CPU, and at least two. concurrency: calls that run at once in each of them, default
    100. queues: with commas between, default ``default``. result_expires: how long results are kept, in seconds.
    """
    known = EmbeddedOptions.__slots__
    for name in options:
        if name not in known:
            hint = nearest(name, known) or f"known are {', '.join(known)}"
            raise ImproperlyConfigured(f"local:// has no option {name!r}: {hint}")
    named = [queue.strip() for queue in options.get("queues", DEFAULT_QUEUE).split(",")]
    return EmbeddedOptions(
        _count(options, "processes", max(cpu_count(), FEWEST_PROCESSES)),
        _count(options, "concurrency", WorkerSettings().concurrency),
        [queue for queue in dict.fromkeys([*named, *queues]) if queue],
        _seconds(options, "result_expires", CoordinatorSettings().outcome_age_s),
    )


@dataclass(frozen=True, slots=True)
class EmbeddedProgram:
    """What the workers of an embedded mesh are to know of its program. All are plain values: they travel as JSON."""

    app: str = ""
    """Where the application is imported from, as ``module:attribute``; empty: it cannot be."""
    include: Sequence[str] = ()
    """Modules with tasks of it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Its settings, as far as they are plain values."""
    declares: Sequence[Any] = ()
    """What the mesh has to know of its queues."""


def surrounding_mesh() -> str:
    """The address of the embedded mesh of which this process is a worker; empty if it is none.

    What such a worker calls by ``local://`` goes to the mesh that it is part of. Other programs that it starts inherit
    the variable, but are no children of the keeper: they get a mesh of their own.
    """
    keeper, _, address = os.environ.get(SURROUNDING_VARIABLE, "").partition(" ")
    return address if keeper == str(os.getppid()) else ""


class EmbeddedMesh:
    """A coordinator and workers for this program. Made when it listens; workers come soon, calls wait for them.

    Blocks the thread for some tenths of a second, in a gevent program too. Raises ImproperlyConfigured,
    OperationalError.
    """

    def __init__(
        self, options: Mapping[str, str], queues: Iterable[str] = (), program: EmbeddedProgram | None = None
    ) -> None:
        self.options = read_options(options, queues)
        self._owner = os.getpid()
        self._is_whole = False
        self._whole_at_s = time.monotonic() + START_S
        ready, ready_in_keeper = os.pipe()
        parent, self._life = os.pipe()
        try:
            self._keeper = _start_keeper(self.options, program or EmbeddedProgram(), ready_in_keeper, parent)
        finally:
            _close(ready_in_keeper)
            _close(parent)
        try:
            self.address = _read_line(ready, START_S)
        finally:
            _close(ready)
        if not self.address:
            self.close()
            raise OperationalError("the embedded mesh did not start; its processes have said why on standard error")

    def check_queue(self, name: str) -> None:
        """Raise ImproperlyConfigured if no worker takes calls of this queue, so that they would wait for ever."""
        if name not in self.options.queues:
            raise ImproperlyConfigured(
                f"the embedded mesh was started for the queues {', '.join(self.options.queues)}, and not for {name!r}: "
                f"register its tasks before the first call, or write local://?queues=default,{name}"
            )

    def wait_for_workers(self, session: Session) -> None:
        """Return when all its workers have come, so that what is meant for each reaches each; if one does not come, when
        the time for that is over. Asks through `session`.
        """
        while not self._is_whole:
            counted = [len(names) for names in session.order("consumers", {}, (), 1.0).replies.values()]
            self._is_whole = sum(counted) >= self.options.processes or time.monotonic() >= self._whole_at_s
            if not self._is_whole:
                session.new_bell().wait(LOOK_AGAIN_S)

    def close(self) -> None:
        """End all its processes; calls that still run are ended. Returns when they are gone.

        In a process that was forked off, and the second time, it does nothing.
        """
        if os.getpid() != self._owner or self._life < 0:
            return
        _close(self._life)
        self._life = -1
        deadline_s = time.monotonic() + END_S
        if _runs(self._keeper):
            os.kill(self._keeper, signal.SIGTERM)  # A process that was forked off may still hold our end of the pipe.
        while _runs(self._keeper):
            if time.monotonic() >= deadline_s:
                os.kill(self._keeper, signal.SIGKILL)  # The others end when it does.
            native.sleep(LOOK_AGAIN_S)


def _close(fd: int) -> None:
    """Now: what gevent has put in the place of `os.close` does it when the hub runs."""
    native.original("os", "close")(fd)


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ImproperlyConfigured(f"local://?{name}={text}: it takes a whole number from 1 on")
    return int(text)


def _seconds(options: Mapping[str, str], name: str, default_s: float) -> float:
    text = options.get(name, str(default_s))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ImproperlyConfigured(f"local://?{name}={text}: it takes a number of seconds")
    return seconds


def _start_keeper(options: EmbeddedOptions, program: EmbeddedProgram, ready: int, parent: int) -> int:
    """Start the keeper with these two descriptors. Returns its process id.

    Not by `subprocess`: in a program that gevent has patched, that one works in greenlets of the main thread only.
    """
    if not sys.executable:
        raise ImproperlyConfigured("local:// starts Python, and sys.executable does not say where it is")
    arguments = json.dumps({**asdict(options), "program": asdict(program), "parent": os.getpid()})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_paths_of_program())}
    fds = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PARENT_FD + 1) for fd in (ready, parent)]
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", KEEPER, arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, fds[0], READY_FD),
                (os.POSIX_SPAWN_DUP2, fds[1], PARENT_FD),
            ],
            setpgroup=0,  # Ctrl-C in a terminal is for the program.
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM),
        )
    finally:
        for fd in fds:
            _close(fd)


def _paths_of_program() -> list[str]:
    """What `sys.path` has here and not in any Python: where the program's own modules are."""
    stdlib, platform = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")
    archive = os.path.join(os.path.dirname(stdlib), "python{}{}.zip".format(*sys.version_info))
    usual = {stdlib, platform, archive, os.path.join(platform, "lib-dynload")}
    usual |= {*site.getsitepackages(), site.getusersitepackages()}
    return [os.path.abspath(path) for path in sys.path if isinstance(path, str) and path not in usual]


def _read_line(fd: int, timeout_s: float) -> str:
    """The line that comes; empty if there is none before the end of the pipe or of the time."""
    poll = native.original("select", "poll")()
    poll.register(fd, select.POLLIN)
    line = b""
    deadline_s = time.monotonic() + timeout_s
    while not line.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            return ""
        data = os.read(fd, 4096)
        if not data:
            return ""
        line += data
    return line.decode().strip()


def _runs(pid: int) -> bool:
    """Whether our child still runs. If somebody else has taken note of its end, it does not."""
    try:
        ended, _ = native.original("os", "waitpid")(pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return bool(ended == 0)
