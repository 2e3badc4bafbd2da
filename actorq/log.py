"""The log of node processes: one line per event, as users of Celery know it."""

from __future__ import annotations

import logging


def configure(level: str, node: str) -> None:
    """Log to standard error from `level` (DEBUG, INFO, WARNING, …) on, under the name of this node."""
    logging.basicConfig(level=level.upper(), format=f"[%(asctime)s: %(levelname)s/{node}] %(message)s")


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
