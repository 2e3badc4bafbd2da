"""The log of node processes: one line per event, as users of Celery know it."""

from __future__ import annotations

import logging

TASKS = "actorq.task"
"""Above the loggers of tasks."""


def configure(level: str, node: str, line: str | None = None) -> None:
    """Log to standard error from `level` (DEBUG, INFO, WARNING, …) on, under the name of this node.

    line: the format of a line, as `logging.Formatter` takes it.
    """
    logging.basicConfig(level=level.upper(), format=line or line_format(node))


def line_format(node: str) -> str:
    """How lines look where nobody says anything else."""
    return f"[%(asctime)s: %(levelname)s/{node}] %(message)s"


def configure_tasks(line: str | None) -> logging.Logger:
    """Have the loggers of tasks write their lines in a format of their own; None: like all others. Returns their parent."""
    logger = logging.getLogger(TASKS)
    if line is not None:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(line))
        logger.addHandler(handler)
        logger.propagate = False
    return logger


class Sparse:
    """Warnings that peers bring about, and so must not fill the disk: each once in a period, and only a few in all."""

    def __init__(self, logger: logging.Logger, burst: int = 10, period_s: float = 60.0) -> None:
        self._logger = logger
        self._burst, self._period_s = burst, period_s
        self._since_s = -period_s
        self._logged: set[str] = set()
        self._left_out = 0

    def warning(self, now_s: float, text: str, *arguments: object) -> None:
        """As `Logger.warning`, at the (monotonic) time `now_s`."""
        if now_s - self._since_s >= self._period_s:
            if self._left_out:
                self._logger.warning("%d more such warnings were left out", self._left_out)
            self._since_s = now_s
            self._logged.clear()
            self._left_out = 0
        line = text % arguments
        if line in self._logged or len(self._logged) >= self._burst:
            self._left_out += 1
        else:
            self._logged.add(line)
            self._logger.warning("%s", line)
