"""The coordinator as a child process, for commands that run a whole mesh on this host."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 5.0
"""Before a coordinator that has died is started again: doubled each time."""
STEADY_S = 10.0
"""One that ran for so long was all right: the next pause is the shortest again."""
END_S = 5.0
"""How long it has to end when it is told to."""

logger = logging.getLogger("actorq.cli.coordinator")


class CoordinatorChild:
    """Runs a coordinator, and another one in its place if it dies, until `close`.

    It is in a session of its own, so that Ctrl-C in a terminal does not come to it; and it ends when this process does,
    however that ends.
    """

    def __init__(
        self,
        listen: str,
        name: str,
        loglevel: str,
        data: str | None = None,
        transient: Sequence[str] = (),
        key: str = "",
        insecure: bool = False,
        result_expires_s: float | None = None,
    ) -> None:
        self.address = listen
        """Where it listens; the real one after `wait_ready`."""
        self._command = [sys.executable, "-m", "actorq.coordinator.node", "--name", name, "--loglevel", loglevel]
        self._command += ["--key", key, *(["--insecure"] if insecure else [])]
        if data is not None:
            self._command += ["--data", data]
        if result_expires_s is not None:
            self._command += ["--result-expires", str(result_expires_s)]
        self._command += [f"--transient={queue}" for queue in transient]
        self._parent_fd, self._own_fd = os.pipe()
        self._lock = threading.Lock()
        self._is_closed = False
        self._process, self._ready = self._start()

    def wait_ready(self) -> int:
        """Wait until it listens. Returns 0, or its exit status if it could not; it has said why then."""
        if not self._listens():
            return self._process.wait() or 1
        threading.Thread(target=self._keep, name="coordinator", daemon=True).start()
        return 0

    def close(self) -> None:
        """Have it end, and wait for that."""
        with self._lock:
            self._is_closed = True
            self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._own_fd)
        os.close(self._parent_fd)

    def _start(self) -> tuple[subprocess.Popen[bytes], TextIO]:
        ready, written = os.pipe()
        fds = (written, self._parent_fd)
        command = [*self._command, "--listen", self.address, "--ready-fd", str(fds[0]), "--parent-fd", str(fds[1])]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=fds, start_new_session=True)
        os.close(written)
        return process, open(ready)

    def _listens(self) -> bool:
        with self._ready:
            address = self._ready.readline().strip()
        self.address = address or self.address
        return bool(address)

    def _keep(self) -> None:
        """Start another one whenever it dies; if that cannot listen, end all."""
        pause_s, is_listening = PAUSE_MIN_S, True
        while is_listening:
            started_s = time.monotonic()
            status = self._process.wait()
            pause_s = PAUSE_MIN_S if time.monotonic() - started_s >= STEADY_S else min(2 * pause_s, PAUSE_MAX_S)
            if self._is_closed:
                return
            logger.error("the coordinator has ended with status %d; another one starts in %.1f s", status, pause_s)
            time.sleep(pause_s)
            with self._lock:
                if self._is_closed:
                    return
                try:
                    self._process, self._ready = self._start()
                except OSError as error:
                    logger.error("the coordinator cannot be started (%s); tried again", error)
                    continue
            is_listening = self._listens()
        os.kill(os.getpid(), signal.SIGTERM)
