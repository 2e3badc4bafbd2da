"""An application with queues, exchanges and routes, for the tests of routing."""

from __future__ import annotations

import time
from typing import Any

from actorq import ActorQ, Broadcast, Exchange, Queue
from actorq.errors import Reject


def by_size(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
    """Large ones go to a queue of their own."""
    if name.endswith(".sized"):
        return "large" if args[0] > 10 else "small"
    return None


logs = Exchange("logs", "topic")
app = ActorQ("tests.integration.routed_tasks")
app.conf.task_queues = [
    Queue("default"),
    Queue("feeds"),
    Queue("small"),
    Queue("large"),
    Queue("errors", logs, "*.error"),
    Queue("all", logs, "#"),
    Broadcast("everybody"),
]
app.conf.task_routes = [{"tests.integration.routed_tasks.feed*": {"queue": "feeds"}}, by_size]
app.conf.task_create_missing_queues = False


@app.task(bind=True)
def where(self: Any) -> Any:
    """The queue that the call came by, and the worker."""
    return [self.request.queue, self.request.hostname]


@app.task(bind=True)
def feed_where(self: Any) -> Any:
    return [self.request.queue, self.request.hostname]


@app.task(bind=True)
def sized(self: Any, size: int) -> Any:
    return [self.request.queue, size]


@app.task
def rejecting() -> None:
    raise Reject("no good")


@app.task
def nap(seconds: float) -> None:
    time.sleep(seconds)
