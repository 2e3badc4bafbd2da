"""What the settings say of a mesh inside the program."""

from __future__ import annotations

import math

from actorq.settings.table import Settings


def embedded_options(settings: Settings) -> dict[str, str]:
    """As a ``local://`` URL says it."""
    expires_s = math.inf if settings.result_expires is None else settings.result_expires
    options = {
        "processes": settings.worker_processes,
        "concurrency": settings.worker_concurrency,
        "result_expires": expires_s,
    }
    return {name: str(value) for name, value in options.items() if value is not None}
