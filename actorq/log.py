"""The log of node processes: one line per event, as users of Celery know it."""

from __future__ import annotations

import logging


def configure(level: str, node: str) -> None:
    """Log to standard error from `level` (DEBUG, INFO, WARNING, …) on, under the name of this node."""
    logging.basicConfig(level=level.upper(), format=f"[%(asctime)s: %(levelname)s/{node}] %(message)s")
