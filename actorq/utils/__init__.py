"""What programs written for Celery import from its `utils`."""

from __future__ import annotations

from uuid import uuid4

__all__ = ["uuid"]


def uuid() -> str:
    """A new id for a call, such as may be given as its `task_id`; those that are given by themselves are shorter."""
    return str(uuid4())
