"""The benchmarks' tasks, for workers (``-A scripts.benchmarks.tasks``) and for the client. Default options."""

from __future__ import annotations

from actorq import ActorQ
from scripts.benchmarks import work

NOBODYS_QUEUE = "nobodys"
"""No worker consumes it."""

app = ActorQ("benchmarks")

add = app.task(work.add)
echo = app.task(work.echo)
spin = app.task(work.spin)
left_alone = app.task(name="left_alone", queue=NOBODYS_QUEUE, ignore_result=True)(work.add)
