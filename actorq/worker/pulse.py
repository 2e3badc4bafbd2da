"""Signs of life, from a node's process to its supervisor.

A task that keeps the interpreter's lock, in C code that does not look for signals, silences its whole process, the
watchdog's thread included. Nothing within the process can end it; only another process can tell, and kill it.
"""

from __future__ import annotations

import os
from pathlib import Path


class Pulse:
    """The supervisor's side of one process: a pipe into which the node writes a byte now and then."""

    def __init__(self) -> None:
        self._own_fd, self.node_fd = os.pipe()
        for fd in (self._own_fd, self.node_fd):
            os.set_blocking(fd, False)
        self._heard_s = 0.0

    def started(self) -> None:
        """The process has `node_fd`."""
        os.close(self.node_fd)

    def silence_s(self, now_s: float) -> float:
        """For how long nothing has come, as of now; 0.0 as long as nothing ever has."""
        try:
            while os.read(self._own_fd, 65536):
                self._heard_s = now_s
        except BlockingIOError:
            pass
        return now_s - self._heard_s if self._heard_s else 0.0

    def is_heard(self, now_s: float) -> bool:
        """Whether anything has come yet."""
        self.silence_s(now_s)
        return self._heard_s > 0

    def excuse(self, now_s: float) -> None:
        """There is a reason for the silence up to now."""
        if self._heard_s:
            self._heard_s = now_s

    def close(self) -> None:
        """The process has ended."""
        os.close(self._own_fd)


def is_stopped(pid: int) -> bool:
    """Whether a process does not run because somebody has stopped it, with a signal or with a debugger."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
