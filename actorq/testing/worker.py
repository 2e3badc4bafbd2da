"""A real worker for a test: a coordinator and worker processes of its own, for an application, as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from actorq.config import DEFAULT_QUEUE
from actorq.errors import ImproperlyConfigured, TimeoutError, nearest

if TYPE_CHECKING:
    from actorq.app import ActorQ

LOOK_AGAIN_S = 0.5
OF_CELERY = ("pool", "loglevel", "logfile", "hostname", "shutdown_timeout", "without_heartbeat", "without_mingle")
"""What Celery's `start_worker` takes, and has nothing to set here."""


@dataclass(frozen=True)
class StartedWorker:
    """Worker processes that run for a test."""

    app: ActorQ
    names: list[str]
    """Of the nodes that have answered."""

    def reload(self) -> None:
        """Nothing: functions travel to these workers, which so know of tasks that are registered later. (Celery's have to
        be told.)"""


@contextmanager
def start_worker(
    app: ActorQ,
    concurrency: int = 1,
    *,
    processes: int = 1,
    queues: Sequence[str] = (),
    perform_ping_check: bool = True,
    ping_task_timeout: float = 10.0,
    **of_celery: Any,
) -> Iterator[StartedWorker]:
    """Run `app` on a mesh of its own, with real processes: what ``local://`` starts. Its `url` is another one meanwhile.

        with start_worker(app, concurrency=4):
            assert add.delay(2, 3).get(timeout=10) == 5

    concurrency: calls that run at once in each of `processes`. queues: that they take calls from, by default those of
    the tasks and ``default``. perform_ping_check: begin the block when all have answered, within `ping_task_timeout`
    seconds. Other arguments of Celery's function of this name are taken and have no effect. `actorq.testing.mesh` is
    faster where a test is not about processes.

    Raises TimeoutError, ImproperlyConfigured, OperationalError.
    """
    for name in of_celery:
        if name not in OF_CELERY:
            known = (*OF_CELERY, "concurrency", "processes", "queues", "perform_ping_check", "ping_task_timeout")
            hint = nearest(name, known) or f"known are {', '.join(known)}"
            raise ImproperlyConfigured(f"start_worker() has no argument {name!r}: {hint}")
    if app.testbed is not None:
        raise ImproperlyConfigured("this application has a mesh in this process: end that first")
    app.close()
    named = ",".join(queues or [DEFAULT_QUEUE])
    options = urlencode({"processes": processes, "concurrency": concurrency, "queues": named}, safe=",")
    url, app.url = app.url, f"local://?{options}"
    app.forget_specs()
    try:
        names = _await_nodes(app, processes, ping_task_timeout) if perform_ping_check else []
        yield StartedWorker(app, names)
    finally:
        app.close()
        app.url = url
        app.forget_specs()


def _await_nodes(app: ActorQ, count: int, timeout_s: float) -> list[str]:
    deadline_s = app.now_s() + timeout_s
    while True:
        names = [name for reply in app.control.ping(timeout=LOOK_AGAIN_S) for name in reply]
        if len(names) >= count:
            return sorted(names)
        if app.now_s() >= deadline_s:
            raise TimeoutError(
                f"{len(names)} of {count} worker processes have answered within {timeout_s} s: what keeps the others is on "
                f"standard error, and a slow machine may need a longer ping_task_timeout"
            )
