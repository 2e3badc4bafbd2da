"""What tasks and results ask of the application; it implements this, so that they need not know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from actorq.client.pending import Pending
from actorq.native import Bell
from actorq.wire.messages import CallSpec, Outcome, Plan

if TYPE_CHECKING:
    from actorq.tasks.result import AsyncResult
    from actorq.tasks.task import Task


class Mesh(Protocol):
    """The way from tasks and results to the mesh."""

    main: str

    def send_plain(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        """Submit one call of a task with its own options: the fast way."""

    def send(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Submit one call. `options` are those of `apply_async` that belong to the call and not to the spec."""

    def options_of(self, task: Task[Any, Any]) -> dict[str, Any]:
        """The options of a task's calls, with what the settings say of them."""

    def send_plan(
        self, specs: Sequence[CallSpec], plan: Plan, results: Sequence[Pending], options: Mapping[str, Any]
    ) -> None:
        """Submit a workflow. The spec numbers of its calls are places in `specs`, from 1. `results` are those of the calls
        whose `replies` is true; `options` are those of `apply_async` for how long to try.
        """

    def code_of(self, task: Task[Any, Any]) -> str:
        """The digest of the task's function, if it has to travel by value; else an empty string."""

    def now_s(self) -> float:
        """The monotonic time, by which waits are measured."""

    def wall_s(self) -> float:
        """Unix time, as the mesh knows it: by it calls start and expire."""

    def new_bell(self) -> Bell:
        """What the caller, a thread or greenlet, waits with for something of the mesh."""

    def wait(self, pending: Pending, timeout_s: float | None) -> bool: ...

    def wait_all(self, pendings: Sequence[Pending], timeout_s: float | None) -> bool: ...

    def subscribe(self, pending: Pending, notify: Callable[[], None]) -> Callable[[], None]:
        """Have `notify` called when the call settles. Returns what takes that back."""

    def deliverer(self, fn: Callable[[], object]) -> Callable[[], None]:
        """A function for `subscribe` that has `fn` run where this was called: thread, greenlet or event loop."""

    def open_outcome(self, outcome: Outcome) -> Any:
        """The value of a SUCCESS, or the exception of another outcome."""

    def state_of(self, pending: Pending) -> str:
        """The state of a call; if it turns out to have settled, sets its outcome."""

    def revoke(self, task_ids: Sequence[str], terminate: bool, wait: bool, timeout_s: float) -> dict[str, str]: ...
