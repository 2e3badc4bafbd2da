"""The supervisor of `actorq worker`: starts the nodes' processes, and others in place of those that die.

It imports neither gevent nor the user's code, so there is little that can go wrong in it. The nodes run in sessions of
their own: Ctrl-C in a terminal comes to the supervisor only, which hands it on once.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from actorq import log
from actorq.worker.options import EXIT_CONFIG, EXIT_RECYCLED, EXIT_REPLACE, EXIT_TOLD, WorkerOptions, remapped
from actorq.worker.pulse import Pulse, is_stopped

PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 30.0
"""Before a process that has died is started again: doubled each time, from the first to the second."""
STEADY_S = 10.0
"""A process that ran for so long was all right: the next pause is the shortest again."""
REPLACEMENTS = 5
"""Within STEADY_S, replacements are started at once; beyond, after a pause as well."""
KILL_MARGIN_S = 10.0
"""What is left so long after the time to drain is killed."""
READY_S = 30.0
"""In a restart of all, the next process waits so long at the most until the one before it is back."""
LOOK_AGAIN_S = 0.05
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

logger = logging.getLogger("actorq.worker.supervisor")


@dataclass(slots=True)
class _Child:
    """One of the processes, through all its lives."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    pulse: Pulse | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    """When to start it (again); 0: it runs, or has ended for good."""
    is_restarting: bool = False
    """It was told to end so that another one starts, or that one has not said anything yet."""
    deaths: int = 0
    """In a row."""
    replaced_s: deque[float] = field(default_factory=lambda: deque(maxlen=REPLACEMENTS))


def run_supervisor(options: WorkerOptions) -> int:
    """Run `options.processes` nodes until they are told to end. Returns an exit status. On the main thread.

    SIGTERM and SIGINT: have the nodes drain; the second time, have them end what runs. SIGQUIT: that at once. What has
    not ended `drain_s` and a few seconds later, or at the third signal, is killed. SIGHUP, unless this is a terminal's:
    have one node after the other start anew. SIGUSR1: have them write what they do to the log.

    Returns 0 if all nodes ended as they were told, EXIT_CONFIG if one of them cannot run as it is told to (then all are
    ended), and 1 if some had to be killed.
    """
    log.configure(options.loglevel, "supervisor")
    return Supervisor(options).run()


def start_node(options: WorkerOptions, number: int, parent_fd: int, pulse_fd: int) -> subprocess.Popen[bytes]:
    """Start the process of node `number`. It drains and ends when the other end of the pipe `parent_fd` is closed.

    Its signs of life go to `pulse_fd`.
    """
    of_process = options.of_process(number, parent_fd, pulse_fd)
    command = [sys.executable, "-m", "actorq.worker.main", of_process.to_json()]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(parent_fd, pulse_fd), start_new_session=True)


class Supervisor:
    """The nodes of one worker."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._children = [_Child(number) for number in range(1, options.processes + 1)]
        self._status = 0
        self._stops = 0
        self._to_restart: deque[_Child] = deque()
        self._restarting: _Child | None = None
        self._kill_at_s = 0.0
        self._look_s = options.silence_s / 4
        """How often it looks for signs of life."""
        self._looked_s = time.monotonic()

    def run(self) -> int:
        """Start all, and go on until all have ended. Returns an exit status."""
        parent_fd, own_fd = os.pipe()  # The nodes have the one, we keep the other: it closes when we die, however.
        heard, bell = os.pipe()
        for end in (heard, bell):
            os.set_blocking(end, False)
        previous_bell = signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        heeded = (*STOP_SIGNALS, signal.SIGCHLD, signal.SIGUSR1, *([] if _has_terminal() else [signal.SIGHUP]))
        previous = {number: signal.signal(number, _note) for number in heeded}
        try:
            for child in self._children:
                self._start(child, parent_fd)
            while any(child.process is not None or child.start_at_s for child in self._children):
                for number in self._wait(heard):
                    self._heed(signal.Signals(number))
                self._look_after(parent_fd)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_bell)
            for end in (heard, bell, parent_fd, own_fd):
                os.close(end)
        return self._status

    def _heed(self, number: signal.Signals) -> None:
        if number in STOP_SIGNALS:
            self._hand_on(remapped(number))
        elif number == signal.SIGHUP and not self._stops:
            logger.warning("told to restart: one process after the other starts anew")
            self._to_restart = deque(self._children)
        elif number == signal.SIGUSR1:
            for child in self._children:
                if child.process is not None:
                    child.process.send_signal(number)

    def _wait(self, heard: int) -> bytes:
        """Sleep until a signal comes or something is due. Returns the numbers of the signals."""
        due_s = [child.start_at_s for child in self._children if child.start_at_s]
        due_s.append(self._looked_s + self._look_s)
        if self._kill_at_s:
            due_s.append(self._kill_at_s)
        if self._to_restart or self._restarting is not None:
            due_s.append(time.monotonic() + LOOK_AGAIN_S)
        timeout_s = max(min(due_s) - time.monotonic(), 0.0)
        readable, _, _ = select.select([heard], [], [], timeout_s)
        return os.read(heard, 4096) if readable else b""

    def _look_after(self, parent_fd: int) -> None:
        now_s = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child, child.process.returncode, now_s)
            if child.start_at_s and now_s >= child.start_at_s:
                self._start(child, parent_fd)
            if child.is_restarting and child.started_s and child.pulse is not None and child.pulse.is_heard(now_s):
                child.is_restarting = False
        if self._to_restart or self._restarting is not None:
            self._restart_next(now_s)
        if now_s >= self._looked_s + self._look_s:
            self._listen(now_s)
        if self._kill_at_s and now_s >= self._kill_at_s:
            self._kill_at_s = 0.0
            for child in self._children:
                if child.process is not None:
                    logger.error("worker process %d did not end in time and is killed", child.process.pid)
                    self._status = self._status or 1
                    child.process.kill()

    def _restart_next(self, now_s: float) -> None:
        """One process after the other ends in good order, and is back before it is the next one's turn."""
        child = self._restarting
        if child is not None and child.is_restarting and (not child.started_s or now_s < child.started_s + READY_S):
            return
        self._restarting = child = self._to_restart.popleft() if self._to_restart else None
        if child is None or (child.process is None and not child.start_at_s):
            return
        child.is_restarting = True
        child.started_s = 0.0
        if child.process is not None:
            child.process.send_signal(signal.SIGHUP)
        else:
            child.start_at_s = now_s

    def _listen(self, now_s: float) -> None:
        """Kill the processes that have fallen silent; another one takes the place of each."""
        was_away = now_s >= self._looked_s + 2 * self._look_s  # We did not run for a while; so, maybe, did nobody.
        self._looked_s = now_s
        for child in self._children:
            if child.process is None or child.pulse is None:
                continue
            if child.pulse.silence_s(now_s) < self._options.silence_s:
                continue
            if was_away or is_stopped(child.process.pid):
                child.pulse.excuse(now_s)
                continue
            logger.error(
                "worker process %d has given no sign of life for %g s and is killed: a task keeps it from running "
                "anything else, in C code that does not let go of the interpreter",
                child.process.pid,
                self._options.silence_s,
            )
            child.process.kill()

    def _start(self, child: _Child, parent_fd: int) -> None:
        child.start_at_s = 0.0
        child.started_s = time.monotonic()
        try:
            pulse = Pulse()
        except OSError as error:
            self._start_later(child, error)
            return
        try:
            child.process = start_node(self._options, child.number, parent_fd, pulse.node_fd)
            child.pulse = pulse
        except OSError as error:
            pulse.close()
            self._start_later(child, error)
        finally:
            pulse.started()

    def _start_later(self, child: _Child, error: OSError) -> None:
        """There is no memory, process or descriptor left just now."""
        now_s = time.monotonic()
        pause_s = self._pause_s(child, 1, now_s)
        child.start_at_s = now_s + pause_s
        logger.error("a worker process cannot be started (%s); tried again in %.1f s", error, pause_s)

    def _ended(self, child: _Child, status: int, now_s: float) -> None:
        assert child.process is not None
        pid, child.process = child.process.pid, None
        if child.pulse is not None:
            child.pulse.close()
            child.pulse = None
        if status == EXIT_CONFIG and child.is_restarting and not self._stops:
            self._keep_the_others(child, now_s)
        elif status == EXIT_CONFIG:
            self._status = EXIT_CONFIG
            self._hand_on(signal.SIGTERM)
        elif not self._stops and (status != EXIT_TOLD or child.is_restarting):
            pause_s = self._pause_s(child, status, now_s)
            child.start_at_s = now_s + pause_s
            level = logging.INFO if status == EXIT_RECYCLED else logging.WARNING
            logger.log(level, "worker process %d %s; another one starts in %.1f s", pid, _how(status), pause_s)

    def _keep_the_others(self, child: _Child, now_s: float) -> None:
        """The new code cannot be run: it is tried again now and then, and the others go on with what they have."""
        self._to_restart.clear()
        self._restarting = None
        child.start_at_s = now_s + PAUSE_MAX_S
        logger.error(
            "a process cannot be started anew, as said above: the others are not restarted. Put it right, and send "
            "SIGHUP again; it is tried again in %.0f s",
            PAUSE_MAX_S,
        )

    def _pause_s(self, child: _Child, status: int, now_s: float) -> float:
        if now_s - child.started_s >= STEADY_S:
            child.deaths = 0
        if status == EXIT_RECYCLED:
            return 0.0
        if status == EXIT_REPLACE:
            child.replaced_s.append(now_s)
            if len(child.replaced_s) < REPLACEMENTS or now_s - child.replaced_s[0] > STEADY_S:
                return 0.0
        child.deaths += 1
        return min(PAUSE_MIN_S * 2.0 ** (child.deaths - 1), PAUSE_MAX_S)

    def _hand_on(self, number: signal.Signals) -> None:
        self._stops += 1
        if self._stops > 2:
            self._kill_at_s = time.monotonic()
            return
        wait_s = self._options.drain_s if self._stops == 1 and number != signal.SIGQUIT else 0.0
        self._kill_at_s = time.monotonic() + wait_s + KILL_MARGIN_S
        for child in self._children:
            child.start_at_s = 0.0
            if child.process is not None:
                child.process.send_signal(number)


def _has_terminal() -> bool:
    """Whether SIGHUP may mean that the terminal is gone: then it ends the worker, as it does every program."""
    return sys.stdin is not None and sys.stdin.isatty()


def _note(number: int, frame: object) -> None:
    """A handler, so that the signal is not ignored; its number comes through the wake-up descriptor."""


def _how(status: int) -> str:
    if status == EXIT_RECYCLED:
        return "has done its share"
    if status == EXIT_REPLACE:
        return "has to be replaced"
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
