"""A mesh without processes for commands: it answers what a test tells it to, and notes what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorq import errors, states
from actorq.client.core import LookUp
from actorq.control.control import Control
from actorq.errors import OperationalError
from actorq.settings import Conf
from actorq.wire.messages import Replies


class FakeResult:
    """A result that is known from the start, or never."""

    def __init__(self, task_id: str = "id-1", state: str = states.SUCCESS, value: object = None) -> None:
        self.id = task_id
        self.state = state
        self.value = value
        self.error: BaseException | None = None
        self.traceback: str | None = None
        self.waited_s: list[float | None] = []

    def is_refused(self) -> bool:
        return self.error is not None

    def get(self, timeout: float | None = None, propagate: bool = True) -> object:
        if propagate and self.error is not None:
            raise self.error
        assert not propagate
        self.waited_s.append(timeout)
        if self.state not in states.READY_STATES:
            raise errors.TimeoutError(f"the result of {self.id} did not come within {timeout} s")
        return self.value


class FakeSession:
    """Knows the calls in `known`."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.takes_calls = True

    def flush(self, timeout_s: float | None) -> bool:
        return self.takes_calls

    def look_up(self, task_ids: Sequence[str], timeout_s: float | None) -> LookUp:
        return LookUp({task_id: self.known.get(task_id, "") for task_id in task_ids}, {})


class FakeMesh:
    """What commands use of an application."""

    def __init__(self) -> None:
        self.url = "tcp://127.0.0.1:5570"
        self.conf = Conf()
        self.control = Control(self)
        self.session = FakeSession()
        self.result = FakeResult()
        self.replies: dict[str, dict[str, Any]] = {"coordinator": {"coordinator@here": stats_of()}}
        """By command, then by node."""
        self.missing: list[str] = []
        self.is_reachable = True
        self.orders: list[tuple[str, dict[str, Any], list[str], float]] = []
        self.sent: list[tuple[str, Sequence[Any], dict[str, Any], dict[str, Any]]] = []
        self.is_closed = False
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> FakeMesh:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def order(self, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float) -> Replies:
        if not self.is_reachable:
            raise OperationalError("no coordinator answered")
        self.orders.append((command, arguments, list(destination), timeout_s))
        missing = [] if command == "coordinator" else self.missing
        return Replies(1, self.replies.get(command, {}), missing)

    def send_task(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], **options: Any) -> FakeResult:
        if not self.is_reachable:
            raise OperationalError("no coordinator answered")
        self.sent.append((name, args, kwargs, options))
        return self.result

    def AsyncResult(self, task_id: str) -> FakeResult:
        self.result.id = task_id
        return self.result


def stats_of(*offers: str) -> dict[str, Any]:
    """A coordinator's statistics: with one worker if it offers anything."""
    worker = {
        "name": "worker@here",
        "state": "ready",
        "running": 1,
        "slots": 100,
        "leases": 2,
        "lag_s": 0.012,
        "rss_bytes": 50 * 2**20,
        "queues": ["default"],
        "offers": list(offers),
    }
    return {"queues": {"default": 3}, "settled": 7, "clients": 1, "workers": [worker] if offers else []}
