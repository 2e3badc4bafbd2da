"""An application with settings, whose workers write down what is announced to them, for test_settings."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from actorq import ActorQ, signals
from actorq.dispatch import Signal

app = ActorQ("tests.integration.announced_tasks")
app.conf.update(worker_concurrency=3, task_default_queue="mine", result_serializer="json", task_time_limit=50)
_LOG = os.environ.get("ACTORQ_TEST_SIGNALS", "")


def note(signal: Signal, sender: Any, **named: Any) -> None:
    """Append a line to the log."""
    known = {name: str(named[name]) for name in ("sig", "how", "state", "exitcode", "task_id") if name in named}
    with open(_LOG, "a") as log:
        log.write(json.dumps([signal.name, str(getattr(sender, "name", sender)), known]) + "\n")


if _LOG:
    for each in list(vars(signals).values()):
        if isinstance(each, Signal) and each.name not in ("heartbeat_sent", "setup_logging"):
            each.connect(note)
    app.on_after_finalize.connect(note)


@signals.celeryd_init.connect
def configure(conf: Any, **_: Any) -> None:
    """What is set here holds for the worker."""
    conf.worker_log_format = "CONFIGURED %(message)s"


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def nap(seconds: float) -> None:
    time.sleep(seconds)
