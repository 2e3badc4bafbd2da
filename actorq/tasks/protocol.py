"""What tasks and results ask of the application; it implements this, so that they need not know it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from actorq.client.pending import Pending
from actorq.control.control import Control
from actorq.native import Bell
from actorq.settings.conf import Conf
from actorq.wire.payload import Serializers
from actorq.wire.records import Call, CallSpec, Note, Outcome, Plan

if TYPE_CHECKING:
    from actorq.tasks.broadcast import BroadcastResult
    from actorq.tasks.canvas.signature import Signature
    from actorq.tasks.details import CallDetails
    from actorq.tasks.inline import Inline
    from actorq.tasks.result import AsyncResult
    from actorq.tasks.result_set import GroupResult
    from actorq.tasks.task import Task


class Mesh(Protocol):
    """The way from tasks and results to the mesh."""

    main: str
    serializers: Serializers
    inline: Inline
    """Calls that run in the caller."""
    conf: Conf
    """Its settings."""

    control: Control

    @property
    def tasks(self) -> Mapping[str, Task[Any, Any]]:
        """Those that are registered here, by name."""

    def send_plain(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        """Submit one call of a task with its own options: the fast way."""

    def send(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Submit one call. `options` are those of `apply_async` that belong to the call and not to the spec."""

    def routed(
        self,
        name: str,
        own: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The `options` of a call of a task with its `own`, with where it goes. Raises QueueNotFound."""

    def broadcast(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> BroadcastResult[Any]:
        """Submit one call for each worker that offers the task."""

    def options_of(self, task: Task[Any, Any]) -> dict[str, Any]:
        """The options of a task's calls, with what the settings say of them."""

    def send_plan(
        self, specs: Sequence[CallSpec], plan: Plan, results: Sequence[Pending], options: Mapping[str, Any]
    ) -> None:
        """Submit a workflow. The spec numbers of its calls are places in `specs`, from 1. `results` are those of the calls
        whose `replies` is true; `options` are those of `apply_async` for how long to try.
        """

    def send_task(
        self, name: str, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[Any]:
        """Submit one call of a task by its name."""

    def send_group(self, group_id: str, calls: Sequence[Signature[Any]]) -> list[AsyncResult[Any]]:
        """Submit the calls of a group that nothing follows."""

    def spec_of(
        self, task: str, options: Mapping[str, Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> CallSpec:
        """What calls of a task with these options have in common."""

    def eager_spec_of(self, task: str, options: Mapping[str, Any]) -> CallSpec:
        """As `spec_of`, for a call that runs here."""

    def spec_of_map(self, kind: str, task: str, options: Mapping[str, Any]) -> CallSpec:
        """As `spec_of`, for calls that run a task for each of many items; `kind` is MAP or STARMAP."""

    def check_arguments(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError if these are not the task's, as far as it is known here."""

    def prepared(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
        """What is sent for a call of a task with these arguments and options."""

    def make_call(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Call:
        """A call that is not sent yet: for a plan."""

    def code_of(self, task: Task[Any, Any]) -> str:
        """The digest of the task's function, if it has to travel by value; else an empty string."""

    def now_s(self) -> float:
        """The monotonic time, by which waits are measured."""

    def wall_s(self) -> float:
        """Unix time, as the mesh knows it: by it calls start and expire."""

    def new_bell(self) -> Bell:
        """What the caller, a thread or greenlet, waits with for something of the mesh."""

    def wait(self, pending: Pending, timeout_s: float | None) -> bool: ...

    def wait_all(self, pendings: Sequence[Pending], timeout_s: float | None, until_failure: bool = False) -> bool:
        """Wait until all have settled. False if the time is over first, or, with `until_failure`, if one fails first."""

    def subscribe(self, pending: Pending, notify: Callable[[], None]) -> Callable[[], None]:
        """Have `notify` called when the call settles. Returns what takes that back."""

    def deliverer(self, fn: Callable[[], object]) -> Callable[[], None]:
        """A function for `subscribe` that has `fn` run where this was called: thread, greenlet or event loop."""

    def listen(self, task_id: str, listener: Callable[[Note], None]) -> Callable[[], None]:
        """Have `listener` called, on the session's thread, with what the task says of itself, if this session has
        submitted the call. Returns what takes that back.
        """

    def notes_of(self, pendings: Sequence[Pending]) -> list[Note]:
        """What the tasks of these calls have said of themselves last, as far as the coordinator knows."""

    def meta_of(self, pending: Pending) -> Any:
        """What the task has said of itself last, with the state that the call has now; else None."""

    def open_meta(self, meta: bytes) -> Any:
        """What a note carries."""

    def exists(self, pending: Pending) -> bool:
        """Whether the mesh knows the call."""

    def spec_in(self, pending: Pending) -> CallSpec | None:
        """The spec of a call that this session holds, to send it again."""

    def arguments_in(self, pending: Pending) -> tuple[list[Any], dict[str, Any]] | None:
        """The arguments of a call that this session holds, to send it again."""

    def details_of(self, pending: Pending) -> CallDetails | None:
        """What the mesh says of the call; None if it does not know it."""

    def children_of(self, task_id: str) -> list[AsyncResult[Any] | GroupResult]:
        """The results of what the task of that call has submitted, with the setting `result_extended`; else none."""

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the outcomes of these calls."""

    def save_group(self, group_id: str, form: Any) -> None: ...

    def restore_group(self, group_id: str) -> Any: ...

    def delete_group(self, group_id: str) -> None: ...

    def result_from_tuple(self, form: Any) -> Any:
        """The result that `as_tuple` was called on."""

    def open_outcome(self, outcome: Outcome) -> Any:
        """The value of a SUCCESS, or the exception of another outcome."""

    def hears_of(self, pending: Pending) -> bool:
        """Whether the outcome of a call comes here by itself: then, as long as there is none, it has not settled."""

    def state_of(self, pending: Pending) -> str:
        """The state of a call; if it turns out to have settled, sets its outcome."""

    def revoke(
        self, task_ids: Sequence[str], terminate: bool, wait: bool, timeout_s: float, roots: Sequence[str] = ()
    ) -> dict[str, str]:
        """End these calls, and all that go back to `roots`, also those that come later."""
