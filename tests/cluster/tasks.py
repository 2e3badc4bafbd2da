"""The tasks of the scenarios. Each run is written down before anything else happens."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from actorq import ActorQ
from actorq.config import ClientSettings
from tests.cluster.ledger import RECORD, open_to_append

HISTORY_VARIABLE = "ACTORQ_CLUSTER_HISTORY"
"""The directory of the history's files."""
PUBLISH_TIMEOUT_S = 60.0
"""Longer than any fault lasts, so that a client rather waits than leaves calls out."""

app = ActorQ("tests.cluster.tasks", settings=ClientSettings(publish_timeout_s=PUBLISH_TIMEOUT_S))


def value_of(number: int) -> int:
    """What the task returns for this call."""
    return number * 3 + 1


@app.task
def work(number: int, seconds: float = 0.0) -> int:
    """Run call `number`, for so long."""
    os.write(_executed_file(), RECORD.pack(number, time.monotonic()))
    if seconds:
        time.sleep(seconds)
    return value_of(number)


@functools.cache
def _executed_file() -> int:
    return open_to_append(Path(os.environ[HISTORY_VARIABLE]) / f"worker-{os.getpid()}.executed")
