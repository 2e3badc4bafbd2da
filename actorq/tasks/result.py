"""The result of a call: a handle to wait for it, look at it, and end it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actorq import states
from actorq.client.bells import stepping_aside
from actorq.client.pending import Pending
from actorq.errors import IncompleteStream, TimeoutError
from actorq.tasks.graph import DependencyGraph, graph_of
from actorq.tasks.listening import wait_and_tell
from actorq.wire.payload import remote_traceback
from actorq.wire.records import OUTCOME_STATES, SUCCESS

if TYPE_CHECKING:
    from actorq.tasks.details import CallDetails
    from actorq.tasks.protocol import Mesh

R = TypeVar("R")


class AsyncResult(Pending, Generic[R], gc=False, eq=False):
    """A handle to one call, by its id. Any id is valid; one that the mesh does not know is PENDING.

    Get the value with `get()` in threads and greenlets, with ``await`` in coroutines. Equality and hash are by id.
    """

    mesh: Mesh = None  # type: ignore[assignment]  # Given to each; a field after those with defaults has one too.
    ignored: bool = False
    """Nobody keeps the result: `get` returns None at once."""
    is_bare: bool = False
    """It was made of an id, and knows nothing of the workflow that it may belong to."""

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    # -- waiting -------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
        EXCEPTION_STATES: Collection[str] = states.EXCEPTION_STATES,  # noqa: N803 - Celery's name
        PROPAGATE_STATES: Collection[str] = states.PROPAGATE_STATES,  # noqa: N803
    ) -> R:
        """Wait for the value, for `timeout` seconds (None: without end).

        Raises the task's exception as itself, with the remote traceback shown under the local one; TaskRevokedError for
        a revoked call; TimeoutError. With ``propagate=False`` an exception is returned instead of raised. A call that
        did not run because one before it in its workflow had failed raises what that one has failed with.

        callback: called as ``callback(task_id, value)`` at the end. on_message: called for each state that is heard
        of, and the last one, as ``{"task_id", "status", "result", "traceback", "children"}``. on_interval: called every
        `interval` seconds until then. All are called here, by whoever waits. PROPAGATE_STATES: states whose exception is
        raised. The other parameters are Celery's and change nothing: a task may wait for others, as its slot is free
        meanwhile.
        """
        outcome = self.outcome
        if on_message is not None or on_interval is not None or callback is not None:
            return self._get_and_tell(  # type: ignore[no-any-return]
                timeout, propagate, interval, callback, on_message, on_interval, PROPAGATE_STATES
            )
        if outcome is None:
            if self.ignored:
                return None  # type: ignore[return-value]
            if not self.mesh.wait(self, timeout):
                raise self._late(timeout)
        elif outcome.state == SUCCESS:
            return self.mesh.open_outcome(outcome)  # type: ignore[no-any-return]
        return self._take(propagate, PROPAGATE_STATES)  # type: ignore[no-any-return]

    wait = get

    def _get_and_tell(
        self,
        timeout_s: float | None,
        propagate: bool,
        interval_s: float,
        callback: Callable[[str, Any], object] | None,
        on_message: Callable[[dict[str, Any]], object] | None,
        on_interval: Callable[[], object] | None,
        propagate_states: Collection[str],
    ) -> Any:
        if self.ignored and self.outcome is None:
            return None
        if not wait_and_tell(self.mesh, [self], timeout_s, interval_s, on_message, on_interval):
            raise self._late(timeout_s)
        value = self._take(propagate, propagate_states)
        if callback is not None:
            callback(self.id, value)
        return value

    def _late(self, timeout_s: float | None) -> TimeoutError:
        return TimeoutError(
            f"the result of {self.id} did not come within {timeout_s} s; if the mesh has the call, it goes on. Its `state` "
            f"says how far it is, 'actorq status' whether workers are there, 'actorq queues list' which calls no worker "
            f"takes, and `revoke()` ends it"
        )

    def __await__(self) -> Generator[Any, None, R]:
        if not self.is_settled():
            if self.ignored:
                return None  # type: ignore[return-value]
            yield from self._settling()
        value: R = self._take(propagate=True)
        return value

    def _settling(self) -> Generator[Any, None, None]:
        """Wait on the event loop. Inside a task, its slot is free for other calls meanwhile."""
        import asyncio

        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(settled.set)
            except RuntimeError:
                pass  # The loop is closed, and nobody waits there any more.

        unsubscribe = self.mesh.subscribe(self, wake)
        try:
            with stepping_aside():
                yield from settled.wait().__await__()
        finally:
            unsubscribe()

    def then(
        self,
        on_success: Callable[[AsyncResult[R]], Any],
        on_error: Callable[[AsyncResult[R]], Any] | None = None,
    ) -> AsyncResult[R]:
        """Call ``on_success(self)`` when the call has settled; if it has not succeeded, `on_error` where given.

        Returns self. In a coroutine they run on its event loop, in a gevent program in a greenlet, else on a thread
        kept for callbacks. What they raise is logged.
        """

        def run() -> None:
            fn = on_success if on_error is None or self.successful() else on_error
            fn(self)

        self.mesh.subscribe(self, self.mesh.deliverer(run))
        return self

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """SUCCESS, FAILURE or REVOKED once settled; before, what the coordinator says (see `actorq.states`), or the task
        of itself.
        """
        if self.outcome is not None:
            return OUTCOME_STATES[self.outcome.state]
        return self.mesh.state_of(self)

    @property
    def status(self) -> str:
        """The same as `state`."""
        return self.state

    def ready(self) -> bool:
        """Whether the call has settled. Of a call that was made here nobody is asked: its outcome comes by itself."""
        return self.is_settled() or (not self.mesh.hears_of(self) and self.state in states.READY_STATES)

    def successful(self) -> bool:
        """Whether it settled with a value."""
        return self.ready() and self.state == states.SUCCESS

    def failed(self) -> bool:
        """Whether it settled with an exception of the task, or of the mesh."""
        return self.ready() and self.state == states.FAILURE

    def exists(self) -> bool:
        """Whether the mesh knows the call: it waits, runs, or has settled and is still remembered."""
        return self.is_settled() or self.mesh.exists(self)

    @property
    def result(self) -> R | BaseException | Any:
        """The value, or the exception; before it has settled, what the task says with a state of its own, else None."""
        return self._take(propagate=False) if self.ready() else self.mesh.meta_of(self)

    info = result

    @property
    def traceback(self) -> str | None:
        """The remote traceback as text, if the task raised."""
        result = self.result if self.ready() else None
        return remote_traceback(result) if isinstance(result, BaseException) else None

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None) -> Any:
        """Raise the exception, if it has settled with one. Returns what `result` is otherwise."""
        value = self._take(propagate) if self.ready() else self.result
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    # -- what call it is of ------------------------------------------------------------------------------------------

    def details(self) -> CallDetails | None:
        """What the mesh says of the call now: where it is, since when, and what it was made of. None if it does not know
        the call. The properties below ask for it each time; this asks once for all.
        """
        return self.mesh.details_of(self)

    def history(self) -> list[tuple[str, datetime | None]]:
        """The states of the call that are known, in order, each with when it began (see `CallDetails`); empty for a call
        that is not known.
        """
        details = self.details()
        return [] if details is None else details.history()

    @property
    def date_done(self) -> datetime | None:
        """When it has settled, by the coordinator's clock, in UTC."""
        return getattr(self.details(), "date_done", None)

    @property
    def worker(self) -> str | None:
        """The name of the worker node that has the call, or has run it."""
        return getattr(self.details(), "worker", None)

    @property
    def name(self) -> str | None:
        """The task's name. Of a call that has settled, as the four below, only with the setting `result_extended`."""
        spec = self.mesh.spec_in(self)
        return spec.task if spec is not None else getattr(self.details(), "name", None)

    @property
    def queue(self) -> str | None:
        spec = self.mesh.spec_in(self)
        return spec.queue if spec is not None and spec.queue else getattr(self.details(), "queue", None)

    @property
    def args(self) -> list[Any] | None:
        """None also where they are large (64 KiB), or the task is `sensitive`."""
        arguments = self.mesh.arguments_in(self)
        return arguments[0] if arguments is not None else getattr(self.details(), "args", None)

    @property
    def kwargs(self) -> dict[str, Any] | None:
        """As `args`."""
        arguments = self.mesh.arguments_in(self)
        return arguments[1] if arguments is not None else getattr(self.details(), "kwargs", None)

    @property
    def retries(self) -> int | None:
        """How often the task has asked to be retried."""
        return getattr(self.details(), "retries", None)

    # -- ending --------------------------------------------------------------------------------------------------

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> str:
        """End the call: one that has not started never will; a running one is ended only with `terminate`.

        Returns at once, or with `wait` after at most `timeout` seconds (default 1) with what became of it. `connection`
        and `signal` are Celery's and change nothing: a task is ended by an exception in it.
        """
        return self.mesh.revoke([self.id], terminate, wait, 1.0 if timeout is None else timeout).get(self.id, "")

    def revoke_by_stamped_headers(
        self, headers: Mapping[str, Any], terminate: bool = False, timeout: float = 1.0, **ignored: Any
    ) -> dict[str, str]:
        """As ``app.control.revoke_by_stamped_headers``: all calls end that have one of these stamps, whether this one has it
        or not.
        """
        return self.mesh.control.revoke_by_stamped_headers(headers, terminate, timeout)

    def cancel(
        self, recursive: bool = True, terminate: bool = True, wait: bool = False, timeout: float | None = None
    ) -> dict[str, str]:
        """End the call, with `recursive` also all of its workflow that has not ended: what comes before it and after it,
        and what tasks of it have submitted, or will submit.

        Returns, with `wait`, what became of each.
        """
        if not recursive:
            return self.mesh.revoke([self.id], terminate, wait, 1.0 if timeout is None else timeout)
        bare = [self.id] if self.is_bare else []
        return end_workflows(self.mesh, [*self._workflow_ids()], [first_of(self).id], bare, terminate, wait, timeout)

    def _workflow_ids(self) -> Iterator[str]:
        """From the end to the beginning: so what follows a call that is ended is ended for its own sake."""
        for child in self.followers():
            yield from child.as_list()
        yield from self.as_list()

    def forget(self) -> None:
        """Drop the result, and those of its parents: here, and where the mesh keeps it."""
        self.mesh.forget(self.as_list())
        self.outcome = None

    # -- the tree ------------------------------------------------------------------------------------------------

    @property
    def parent(self) -> Any:
        """The result of what came before it in its workflow; None for the first."""
        return None

    @property
    def children(self) -> list[Any]:
        """The results of what follows it in its workflow, as far as that was known when it was submitted; and, with the
        setting `result_extended`, of what its task has submitted. That is asked for each time.
        """
        followers = self.followers()
        known = {each.id for each in followers}
        return [*followers, *(each for each in self.mesh.children_of(self.id) if each.id not in known)]

    def followers(self) -> list[Any]:
        """The results of what follows it in its workflow, as far as that was known when it was submitted."""
        return []

    def as_tuple(self) -> tuple[Any, Any]:
        """``((id, parent as tuple), None)``, of which `app.result_from_tuple` makes the result again."""
        parent = self.parent
        return (self.id, None if parent is None else parent.as_tuple()), None

    def as_list(self) -> list[str]:
        """Its id, and those of its parents."""
        parent = self.parent
        return [self.id] if parent is None else [self.id, *parent.as_list()]

    def outline(self) -> tuple[Any, Any]:
        """As `as_tuple`, without the parents."""
        return (self.id, None), None

    def leaves(self) -> list[AsyncResult[Any]]:
        """The calls that it waits for: itself."""
        return [self]

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """``(parent, result)`` for itself and all that follows it. Raises IncompleteStream at one that is not ready,
        unless `intermediate` is true.
        """
        waiting: deque[tuple[Any, Any]] = deque([(None, self)])
        while waiting:
            parent, node = waiting.popleft()
            yield parent, node
            if node.ready():
                waiting.extend((node, child) for child in node.children)
            elif not intermediate:
                raise IncompleteStream(f"{node!r} is not ready: wait for it first, or say intermediate=True")

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> DependencyGraph:
        """Itself and all that follows it, as `iterdeps` finds it, as a graph, which `to_dot` draws. formatter: what is
        written for a result in place of its id, as ``formatter(result)``.
        """
        return graph_of(self.iterdeps(intermediate), formatter)

    @property
    def graph(self) -> DependencyGraph:
        """``build_graph()``."""
        return self.build_graph()

    def collect(self, intermediate: bool = False, **waiting: Any) -> Iterator[tuple[Any, Any]]:
        """``(result, value)`` for itself and all that follows it, as they come. Options as for `get`."""
        for _, node in self.iterdeps(intermediate):
            yield node, node.get(**waiting)

    def get_leaf(self) -> Any:
        """The value of the last of all that follows it."""
        value = None
        for _, node in self.iterdeps():
            value = node.get()
        return value

    def _take(self, propagate: bool, propagate_states: Collection[str] = states.PROPAGATE_STATES) -> Any:
        """The value of a call that has settled."""
        assert self.outcome is not None
        value = self.mesh.open_outcome(self.outcome)
        if propagate and self.outcome.state != SUCCESS and OUTCOME_STATES[self.outcome.state] in propagate_states:
            raise value
        return value

    # -- identity ------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        known = OUTCOME_STATES[self.outcome.state] if self.outcome is not None else "not settled"
        return f"<AsyncResult {self.id} ({known})>"

    def __reduce__(self) -> Any:
        return (_result_of, (self.id, self.mesh))


def first_of(result: Any) -> Any:
    """What its workflow begins with, to which all calls of that go back, as far as the result knows."""
    while result.parent is not None:
        result = result.parent
    return result


def end_workflows(
    mesh: Mesh,
    ids: Sequence[str],
    roots: Sequence[str],
    bare: Sequence[str],
    terminate: bool,
    wait: bool,
    timeout: float | None,
) -> dict[str, str]:
    """End calls, all that goes back to the roots, and what belongs to the workflows of those whose ids are `bare`.

    As `AsyncResult.cancel`; ids are in the order in which the calls end.
    """
    timeout_s = 1.0 if timeout is None else timeout
    if bare:
        more_ids, more_roots = mesh.control.open_calls(bare, timeout_s)
        ids, roots = [*more_ids, *ids], [*more_roots, *roots]
    return mesh.revoke(list(dict.fromkeys(ids)), terminate, wait, timeout_s, list(dict.fromkeys(roots)))


def _result_of(task_id: str, mesh: Mesh) -> AsyncResult[Any]:
    """A handle that came from another process."""
    return AsyncResult(task_id, None, mesh=mesh, is_bare=True)
