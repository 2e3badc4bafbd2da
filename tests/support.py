"""What tests share: waiting for a condition, free ports, and nodes as real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout_s: float = 10.0, what: str = "") -> T:
    """Call `condition` until what it returns is true, and return that.

    An AssertionError in `condition` counts as not true yet. After `timeout_s` it raises AssertionError, with `what` was
    awaited and what the condition gave last.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        last: object
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline_s:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{name}: not within {timeout_s:g} s; it was {last!r} in the end")
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def free_address() -> str:
    """A loopback address for a coordinator to listen on."""
    return f"tcp://127.0.0.1:{free_port()}"


class NodeProcess:
    """A command of actorq's that runs as a process of its own, and the file with what it writes."""

    def __init__(self, command: list[str], log: Path, env: Mapping[str, str]) -> None:
        self.command = command
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def __repr__(self) -> str:
        state = "runs" if self.process.poll() is None else f"ended with {self.process.returncode}"
        return f"{' '.join(self.command[1:])} (process {self.pid}, {state})"

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        """All that it has written up to now."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 40) -> str:
        """The last `lines` of what it has written."""
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_for_output(self, text: str, timeout_s: float = 20.0) -> None:
        """Wait until it has written `text`. Raises AssertionError if it ends before, or takes longer."""

        def written() -> bool:
            ended = self.process.poll() is not None
            if text in self.output():
                return True
            if ended:
                raise EOFError
            return False

        try:
            eventually(written, timeout_s)
        except (AssertionError, EOFError):
            raise AssertionError(f"no {text!r} in the output of {self!r}:\n{self.tail()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this one process; its children do not get it."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait until it has ended. Returns its exit status (the signal as a negative number, if one ended it)."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self!r} did not end within {timeout_s:g} s:\n{self.tail()}") from None

    def terminate(self, timeout_s: float = 20.0) -> int:
        """Ask it to end (SIGTERM: a worker drains) and wait. Returns its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)


class Nodes:
    """Starts nodes, and at the end kills them with everything that they started, and nothing else.

    Use it as a context manager, or through the fixture `nodes`. What was started is known by a mark in its environment,
    which children inherit: so a worker whose supervisor was killed is found, and a process that got a dead node's id
    is not.
    """

    MARK = "ACTORQ_TEST_NODES"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[NodeProcess] = []
        self._mark = f"{os.getpid()}-{os.urandom(8).hex()}"

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> NodeProcess:
        """Run `python -m actorq` with these arguments, with `env` added to this process's environment."""
        return self.start_command(sys.executable, "-m", "actorq", *arguments, env=env)

    def start_command(self, *command: str, env: Mapping[str, str] | None = None) -> NodeProcess:
        """Run any program, in the repository's directory, and log what it writes."""
        log = self.directory / f"node-{len(self.started) + 1}.log"
        full_env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {}), self.MARK: self._mark}
        node = NodeProcess(list(command), log, full_env)
        self.started.append(node)
        return node

    def logs(self) -> Iterator[tuple[str, str]]:
        """For each node a title and the end of what it wrote."""
        for node in self.started:
            yield repr(node), node.tail()

    def alive(self) -> list[psutil.Process]:
        """The processes that still run, of all that were started here and their children."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def kill_all(self) -> None:
        """End all that were started here, with their children. Returns when they are gone."""

        def gone() -> bool:
            alive = self.alive()
            for process in alive:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    pass
            return not alive

        eventually(gone, what="the end of all nodes")
        for node in self.started:
            node.wait()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(self.MARK) == self._mark
        except (psutil.Error, OSError):
            return False
