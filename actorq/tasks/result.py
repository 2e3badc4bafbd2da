"""The result of a call: a handle to wait for it, look at it, and end it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actorq import states
from actorq.client.bells import stepping_aside
from actorq.client.pending import Pending
from actorq.errors import TimeoutError
from actorq.wire.messages import OUTCOME_STATES, SUCCESS
from actorq.wire.payload import remote_traceback

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh

R = TypeVar("R")


class AsyncResult(Pending, Generic[R], gc=False, eq=False):
    """A handle to one call, by its id. Any id is valid; one that the mesh does not know is PENDING.

    Get the value with `get()` in threads and greenlets, with ``await`` in coroutines. Equality and hash are by id.
    """

    mesh: Mesh = None  # type: ignore[assignment]  # Given to each; a field after those with defaults has one too.

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    # -- waiting -------------------------------------------------------------------------------------------------

    def get(self, timeout: float | None = None, propagate: bool = True) -> R:
        """Wait for the value, for `timeout` seconds (None: without end).

        Raises the task's exception as itself, with the remote traceback shown under the local one; TaskRevokedError for
        a revoked call; TimeoutError. With ``propagate=False`` an exception is returned instead of raised.
        """
        outcome = self.outcome
        if outcome is None:
            if not self.mesh.wait(self, timeout):
                raise TimeoutError(
                    f"the result of {self.id} did not come within {timeout} s; the call goes on. Its `state` says how "
                    f"far it is, 'actorq status' whether workers are there, and `revoke()` ends it"
                )
        elif outcome.state == SUCCESS:
            return self.mesh.open_outcome(outcome)  # type: ignore[no-any-return]
        return self._take(propagate)  # type: ignore[no-any-return]

    wait = get

    def __await__(self) -> Generator[Any, None, R]:
        if not self.is_settled():
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

    def then(self, fn: Callable[[AsyncResult[R]], Any]) -> AsyncResult[R]:
        """Call ``fn(self)`` when the call has settled. Returns self.

        In a coroutine `fn` runs on its event loop, in a gevent program in a greenlet, else on a thread kept for
        callbacks. What it raises is logged.
        """
        self.mesh.subscribe(self, self.mesh.deliverer(lambda: fn(self)))
        return self

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """SUCCESS, FAILURE or REVOKED once settled; before, what the coordinator says: STARTED, RECEIVED or PENDING."""
        if self.outcome is not None:
            return OUTCOME_STATES[self.outcome.state]
        return self.mesh.state_of(self)

    @property
    def status(self) -> str:
        """The same as `state`."""
        return self.state

    def ready(self) -> bool:
        """Whether the call has settled."""
        return self.is_settled() or self.state in states.READY_STATES

    def successful(self) -> bool:
        """Whether it settled with a value."""
        return self.ready() and self.state == states.SUCCESS

    def failed(self) -> bool:
        """Whether it settled with an exception of the task, or of the mesh."""
        return self.ready() and self.state == states.FAILURE

    @property
    def result(self) -> R | BaseException | None:
        """The value, or the exception; None before it has settled."""
        return self._take(propagate=False) if self.ready() else None

    info = result

    @property
    def traceback(self) -> str | None:
        """The remote traceback as text, if the task raised."""
        result = self.result
        return remote_traceback(result) if isinstance(result, BaseException) else None

    def revoke(self, terminate: bool = False, wait: bool = False, timeout: float = 1.0) -> str:
        """End the call: one that has not started never will; a running one is ended only with `terminate`.

        Returns at once, or with `wait` after at most `timeout` seconds with what became of it.
        """
        return self.mesh.revoke([self.id], terminate, wait, timeout).get(self.id, "")

    def _take(self, propagate: bool) -> Any:
        """The value of a call that has settled."""
        assert self.outcome is not None
        value = self.mesh.open_outcome(self.outcome)
        if propagate and self.outcome.state != SUCCESS:
            raise value
        return value

    # -- identity ------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        known = OUTCOME_STATES[self.outcome.state] if self.outcome is not None else "not settled"
        return f"<AsyncResult {self.id} ({known})>"

    def __reduce__(self) -> Any:
        return (_result_of, (self.id, self.mesh))


def _result_of(task_id: str, mesh: Mesh) -> AsyncResult[Any]:
    """A handle that came from another process."""
    return AsyncResult(task_id, None, mesh=mesh)
