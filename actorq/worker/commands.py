"""The control commands that a worker answers, from its watchdog's thread: so also while its tasks are busy with CPU.

The shapes of the replies are those of Celery's commands of the same names, where there are such.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actorq.errors import nearest
from actorq.wire.declarations import NAME_LENGTH
from actorq.wire.records import Call, CallSpec
from actorq.worker.core import Worker
from actorq.worker.jobs import Jobs
from actorq.worker.lines import short_repr

if TYPE_CHECKING:
    from actorq.worker.base import Pool

SHOWN_ITEMS = 100
"""Of a list, dict or string among the arguments that a reply shows."""
SHOWN_DEPTH = 4


class Commands:
    """What this node answers. All methods are for any one thread; they only read what belongs to others."""

    def __init__(
        self,
        core: Worker,
        pool: Pool,
        jobs: Jobs,
        shut_down: Callable[[], None],
        consume: Callable[[list[str]], None],
    ) -> None:
        """`shut_down` and `consume`, which takes the names of all queues, have the node do so in its hub."""
        self._core, self._pool, self._jobs = core, pool, jobs
        self._shut_down, self._consume = shut_down, consume
        self._queues = list(core.queues)
        self._started_s = time.monotonic()
        self._known: dict[str, Callable[[], Any]] = {
            "ping": lambda: {"ok": "pong"},
            "stats": self.stats,
            "active": self.active,
            "reserved": self.reserved,
            "registered": lambda: sorted(jobs.application.tasks),
            "active_queues": lambda: [{"name": queue, "routing_key": queue} for queue in self._queues],
            "shutdown": self.shutdown,
        }
        self._with_arguments: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "add_consumer": self.add_consumer,
            "cancel_consumer": self.cancel_consumer,
        }

    def answer(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """The reply to a command. One that is not known gets ``{"error": …}``, which says so."""
        if command in self._with_arguments:
            return self._with_arguments[command](arguments)
        known = self._known.get(command)
        if known is None:
            names = ", ".join(sorted([*self._known, *self._with_arguments]))
            return {"error": f"unknown command {command!r}: this worker knows {names}"}
        return known()

    def add_consumer(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Take calls of a queue, until the node ends."""
        queue = arguments.get("queue")
        if not isinstance(queue, str) or not 0 < len(queue) <= NAME_LENGTH:
            return {"error": f"add_consumer needs the name of a queue, and not {short_repr(queue)}"}
        if queue in self._queues:
            return {"ok": f"already consuming from {queue}"}
        self._queues = [*self._queues, queue]
        self._consume(self._queues)
        return {"ok": f"add consumer {queue}"}

    def cancel_consumer(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Take no more calls of a queue."""
        queue = arguments.get("queue")
        if queue not in self._queues:
            hint = nearest(str(queue), self._queues) or f"it consumes {', '.join(self._queues) or 'its own queue only'}"
            return {"error": f"this worker does not consume {short_repr(queue)}: {hint}"}
        self._queues = [each for each in self._queues if each != queue]
        self._consume(self._queues)
        return {"ok": f"no longer consuming from {queue}"}

    def stats(self) -> dict[str, Any]:
        """Counts, pool, uptime and resource usage."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "total": self._jobs.totals(),
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self._started_s),
            "pool": {
                "max-concurrency": self._pool.concurrency,
                "running": self._pool.active,
                "waiting": self._pool.paused,
                "processes": [os.getpid()],
            },
            "leases": len(self._core.held),
            "limits": self._core.usage(),
            "prefetch_count": self._core.capacity(),
            "rusage": {name[3:]: getattr(usage, name) for name in dir(usage) if name.startswith("ru_")},
        }

    def active(self) -> list[dict[str, Any]]:
        """Calls that run now."""
        offset_s = time.time() - time.monotonic()
        return [self._describe(run.call, run.spec, run.started_s + offset_s) for run in self._pool.running()]

    def reserved(self) -> list[dict[str, Any]]:
        """Calls that came and have not started."""
        return [self._describe(call, job.spec, None) for call, job in self._core.waiting()]

    def shutdown(self) -> dict[str, str]:
        """Have the node finish what runs, give back the rest, and end."""
        self._shut_down()
        return {"ok": "shutting down"}

    def _describe(self, call: Call, spec: CallSpec, time_start: float | None) -> dict[str, Any]:
        args, kwargs = self._jobs.arguments(spec, call)
        return {
            "id": call.id,
            "name": spec.task,
            "type": spec.task,
            "args": plain(args),
            "kwargs": plain(kwargs),
            "hostname": self._core.name,
            "time_start": time_start,
            "acknowledged": not spec.acks_late,
            "delivery_info": {
                "exchange": "",
                "routing_key": spec.queue,
                "priority": spec.priority,
                "redelivered": call.attempt > 1,
            },
            "worker_pid": os.getpid(),
        }


def plain(value: Any, depth: int = SHOWN_DEPTH) -> Any:
    """`value` for every kind of client: plain types as they are, the head of what is long, the repr of others."""
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if type(value) is str:
        return value if len(value) <= SHOWN_ITEMS else f"{value[:SHOWN_ITEMS]}…"
    if depth and isinstance(value, Mapping):
        return {str(key)[:SHOWN_ITEMS]: plain(value[key], depth - 1) for key in list(value)[:SHOWN_ITEMS]}
    if depth and isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return [plain(item, depth - 1) for item in value[:SHOWN_ITEMS]]
    return short_repr(value)
