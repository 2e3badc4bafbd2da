"""Loggers for tasks: each record knows which task, and which call of it, has written it."""

from __future__ import annotations

import logging

from actorq import context

BASE = "actorq.task"


def get_task_logger(name: str) -> logging.Logger:
    """The logger of that name below ``actorq.task``. Its records have `task_name` and `task_id`; empty outside of tasks."""
    logger = logging.getLogger(name if name == BASE or name.startswith(f"{BASE}.") else f"{BASE}.{name}")
    if not any(isinstance(each, _CallFilter) for each in logger.filters):
        logger.addFilter(_CallFilter())
    return logger


class _CallFilter(logging.Filter):
    """Lets every record pass, and writes down whose it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        running = context.current.get()
        is_running = running is not None and bool(running.call.id)
        record.task_name = running.spec.task if running is not None and is_running else ""
        record.task_id = running.call.id if running is not None and is_running else ""
        return True
