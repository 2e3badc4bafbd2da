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

LIMITED = [
    app.task(name=f"limited_{priority}", rate_limit="100000000/s", priority=priority, track_started=True)(work.add)
    for priority in (2, 4, 6)
]
"""With a rate limit that is never reached."""
started_at = app.task(work.started_at)
much_later = app.task(name="much_later", ignore_result=True)(work.add)
"""Called with an ETA that nobody waits for."""
