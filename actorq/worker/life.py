"""What a worker's process announces of its own life, as signals."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from typing import Any

from gevent import spawn

from actorq import log, signals
from actorq.dispatch import Signal
from actorq.settings import Settings
from actorq.wire.records import Call, CallSpec
from actorq.worker.announcing import CallRequest
from actorq.worker.options import WorkerOptions

FAREWELL_S = 5.0
"""How long those may take who hear that the worker is told to end, once it has nothing else to do."""


class Life:
    """One worker, as receivers of signals know it: their `sender`, or `instance`."""

    def __init__(self, name: str, app: Any, options: WorkerOptions) -> None:
        self.name = self.hostname = name
        self.app = app
        self.options = options
        self.pid = os.getpid()
        self._is_ready = False
        self._farewell: Any = None

    def __repr__(self) -> str:
        return f"<worker {self.name}>"

    # -- before the node runs --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The application is imported, and nothing else."""
        signals.celeryd_init.send(self.name, instance=self, conf=self.app.conf, options=asdict(self.options))

    def set_up_logging(self, level: str, settings: Settings) -> None:
        """Log as the settings say, unless somebody is connected who does it instead."""
        line = settings.worker_log_format or log.line_format(self.name)
        how = {"loglevel": logging.getLevelName(level), "logfile": None, "colorize": False}
        if signals.setup_logging.send(None, format=line, **how):
            return
        log.configure(level, self.name, settings.worker_log_format)
        signals.after_setup_logger.send(None, logger=logging.getLogger(), format=line, **how)
        tasks = log.configure_tasks(settings.worker_task_log_format)
        signals.after_setup_task_logger.send(None, logger=tasks, format=settings.worker_task_log_format or line, **how)

    def set_up(self) -> None:
        """All is imported, and nothing connected yet."""
        signals.worker_init.send(self)
        signals.celeryd_after_setup.send(self.name, instance=self, conf=self.app.conf)
        signals.worker_process_init.send(self)

    # -- while it runs: receivers may wait, and the hub must not -----------------------------------------------------

    def ready(self) -> None:
        """A coordinator has let it in."""
        if not self._is_ready:
            self._is_ready = True
            _announce(signals.worker_ready, self)

    def received(self, spec: CallSpec, call: Call) -> None:
        """A call came. Asked only where somebody listens."""
        _announce(signals.task_received, self, request=CallRequest(call, spec, self.name))

    def beat(self) -> None:
        """A heartbeat was sent."""
        _announce(signals.heartbeat_sent, self)

    def ending(self, signal_name: str, is_cold: bool) -> None:
        """It has been told to end."""
        if self._farewell is None:
            how = "Cold" if is_cold else "Warm"
            self._farewell = spawn(signals.worker_shutting_down.send, self.name, sig=signal_name, how=how, exitcode=0)

    # -- after that --------------------------------------------------------------------------------------------------

    def ended(self, status: int) -> None:
        """Nothing runs any more."""
        if self._farewell is not None:
            self._farewell.join(FAREWELL_S)
        signals.worker_process_shutdown.send(self, pid=self.pid, exitcode=status)
        signals.worker_shutdown.send(self)


def _announce(signal: Signal, sender: Any, **named: Any) -> None:
    if signal.receivers:
        spawn(signal.send, sender, **named)
