"""Processes that a benchmark starts, watches, and ends: its own and no other."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import psutil

from scripts.benchmarks.figure import BenchmarkError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
START_S = 20.0
"""Within this time a node is ready, or it is given up."""
STOP_S = 5.0
POLL_S = 0.002


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
    """Return when `condition()` is true. Raises BenchmarkError when the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise BenchmarkError(f"{what}: not within {timeout_s:g} s")
        time.sleep(POLL_S)


def free_address() -> str:
    """A loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"


class Node:
    """A Python process that runs a module, and the file with what it writes."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._what = " ".join(command)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end them.
            )
        self.process = psutil.Process(self._process.pid)

    def wait_for_output(self, pattern: str) -> re.Match[str]:
        """Wait until it has written what `pattern` finds. Raises BenchmarkError if it ends before, or takes long."""
        found: list[re.Match[str]] = []

        def is_written() -> bool:
            self.check()
            match = re.search(pattern, self._log.read_text(errors="replace"))
            found.extend([match] if match else [])
            return bool(found)

        wait_until(is_written, f"{pattern!r} in the output of {self._what}")
        return found[0]

    def check(self) -> None:
        """Raises BenchmarkError, with the end of its log, if it has ended."""
        status = self._process.poll()
        if status is not None:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise BenchmarkError(f"{self._what} ended with {status}:\n{tail}")

    def tree(self) -> list[psutil.Process]:
        """It and all processes below it."""
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def rss_bytes(self) -> int:
        """Memory that it (alone) keeps resident."""
        self.check()
        return int(self.process.memory_info().rss)

    def wait_until_idle(self, quiet_s: float = 0.3, timeout_s: float = 120.0) -> None:
        """Wait until it has used next to no CPU for `quiet_s`."""
        deadline_s = time.monotonic() + timeout_s
        last_s, since_s = -1.0, time.monotonic()
        while time.monotonic() - since_s < quiet_s:
            self.check()
            times = self.process.cpu_times()
            used_s = times.user + times.system
            if used_s - last_s > 0.02:
                last_s, since_s = used_s, time.monotonic()
            if time.monotonic() > deadline_s:
                raise BenchmarkError(f"{self._what} is still busy after {timeout_s:g} s")
            time.sleep(0.02)

    def reap(self) -> None:
        """Collect its exit status, once it has been told to end."""
        self._process.wait(STOP_S)


class Nodes:
    """A context manager: starts nodes, and ends them with all that they started when the context ends."""

    def __init__(self) -> None:
        self._started: list[Node] = []
        self._directory = tempfile.TemporaryDirectory(prefix="actorq-bench-")

    def start(self, *command: str, environment: Mapping[str, str] | None = None) -> Node:
        """Run ``python -m command…`` from the repository."""
        log = Path(self._directory.name) / f"{len(self._started)}.log"
        node = Node(list(command), log, {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"})
        self._started.append(node)
        return node

    @property
    def directory(self) -> Path:
        """Where their files are, until the context ends."""
        return Path(self._directory.name)

    def check(self) -> None:
        """Raises BenchmarkError if one of them has ended."""
        for node in self._started:
            node.check()

    def stop(self) -> None:
        """Ask all to end, those started last first; kill what has not ended soon."""
        processes = [process for node in reversed(self._started) for process in node.tree()]
        _signal_all(processes, signal.SIGTERM)
        _, alive = psutil.wait_procs(processes, STOP_S)
        _signal_all(alive, signal.SIGKILL)
        for node in self._started:
            node.reap()
        self._started.clear()

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._directory.cleanup()


def _signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
