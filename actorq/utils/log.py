"""Loggers under the name that programs written for Celery import: ``from actorq.utils.log import get_task_logger``."""

from __future__ import annotations

from actorq.tasks.logger import get_task_logger

__all__ = ["get_task_logger"]
