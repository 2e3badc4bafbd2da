"""The settings of an application: one table (`Settings`), and `app.conf` (`Conf`), which says what is in force.

Bounds and periods of nodes and sessions, which hardly anybody changes, are in `actorq.config`.
"""

from __future__ import annotations

from actorq.settings.conf import Conf
from actorq.settings.table import Settings

__all__ = ["Conf", "Settings"]
