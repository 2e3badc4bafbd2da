"""The results of many calls as one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from actorq.client.bells import stepping_aside
from actorq.errors import ImproperlyConfigured
from actorq.tasks.gathering import as_completed, awaited, missing_of, raise_known
from actorq.tasks.listening import final_message, wait_and_tell
from actorq.tasks.result import end_workflows, first_of

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh


class ResultSet:
    """Results, in an order, each once. Its values are a list."""

    def __init__(self, results: Iterable[Any], mesh: Mesh | None = None) -> None:
        self.results: list[Any] = list(results)
        self._mesh = mesh

    @property
    def mesh(self) -> Mesh:
        if self._mesh is None and self.results:
            self._mesh = self.results[0].mesh
        if self._mesh is None:
            raise ImproperlyConfigured("an empty set of results belongs to no application: give it app=…")
        return self._mesh

    # -- as a set ------------------------------------------------------------------------------------------------

    def add(self, result: Any) -> None:
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Any) -> None:
        """Take it out, or the one with that id. Raises KeyError if it is not in here."""
        try:
            self.results.remove(result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Any) -> None:
        """As `remove`, and nothing if it is not in here."""
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Iterable[Any]) -> None:
        for each in results:
            self.add(each)

    def clear(self) -> None:
        self.results.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __bool__(self) -> bool:
        return True  # Also of no results.

    def leaves(self) -> list[Any]:
        """The calls in it, also those in sets in it."""
        return [leaf for each in self.results for leaf in each.leaves()]

    # -- looking -------------------------------------------------------------------------------------------------

    def ready(self) -> bool:
        return all(each.ready() for each in self.results)

    def waiting(self) -> bool:
        """Whether any has not settled."""
        return any(not each.ready() for each in self.results)

    def successful(self) -> bool:
        return all(each.successful() for each in self.results)

    def failed(self) -> bool:
        """Whether any has failed."""
        return any(each.failed() for each in self.results)

    def completed_count(self) -> int:
        """How many have succeeded."""
        return sum(each.completed_count() if isinstance(each, ResultSet) else each.successful() for each in self)

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None) -> None:
        """Raise the first exception of those that have settled with one."""
        for each in self.results:
            each.maybe_throw(propagate=propagate, callback=callback)

    maybe_reraise = maybe_throw

    # -- waiting -------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
        follow_parents: bool = True,
    ) -> list[Any]:
        """The values, in order. `timeout` seconds for all together.

        Raises the exception of the first that fails, as soon as it has; the others run on. With ``propagate=False`` it
        waits for all, and exceptions are in the list. With `callback`, it is called as ``callback(task_id, value)`` for
        each, in order, when all have come and nothing is to be raised, and the list is empty. Other parameters as for
        `AsyncResult.get`.

        Raises TimeoutError when the time is over.
        """
        waited = awaited(self.leaves())
        have_come = not waited or self._wait(waited, timeout, propagate, interval, on_message, on_interval)
        if propagate and (callback is not None or not have_come):
            raise_known(waited)
        if not have_come:
            raise missing_of(waited, timeout)
        values = []
        for each in self.results:
            value = each.get(propagate=propagate)
            if callback is None:
                values.append(value)
            else:
                callback(each.id, value)
        return values

    join_native = get

    def join(self, timeout: float | None = None, propagate: bool = True, **waiting: Any) -> list[Any]:
        """As `get`, but `on_message` cannot be given: raises ImproperlyConfigured."""
        if waiting.get("on_message") is not None:
            raise ImproperlyConfigured("join() takes no on_message: use get()")
        return self.get(timeout, propagate, **waiting)

    def _wait(
        self,
        leaves: list[Any],
        timeout_s: float | None,
        until_failure: bool,
        interval_s: float,
        on_message: Callable[[dict[str, Any]], object] | None,
        on_interval: Callable[[], object] | None,
    ) -> bool:
        if on_message is None and on_interval is None:
            return self.mesh.wait_all(leaves, timeout_s, until_failure)
        return wait_and_tell(self.mesh, leaves, timeout_s, interval_s, on_message, on_interval, until_failure)

    def iter_native(self, timeout: float | None = None, **ignored: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """``(task_id, message)`` of each as it settles, with the message of `get(on_message=…)`."""
        if self.results:
            for each in as_completed(self.mesh, awaited(self.leaves()), timeout):
                yield each.id, final_message(self.mesh, each)

    def iterate(self, timeout: float | None = None, propagate: bool = True) -> Iterator[Any]:
        """The values as they come."""
        if self.results:
            for each in as_completed(self.mesh, awaited(self.leaves()), timeout):
                yield each.get(propagate=propagate)

    def __await__(self) -> Generator[Any, None, list[Any]]:
        return self._values().__await__()

    async def _values(self) -> list[Any]:
        """The values, in order; or the exception of the first that fails, as soon as it has."""
        async with aclosing(self.__aiter__()) as settled:
            async for leaf in settled:
                raise_known([leaf])
        return [each.get() for each in self.results]

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        """The results as they settle. Inside a task, its slot is free for other calls while it waits."""
        import asyncio

        loop = asyncio.get_running_loop()
        settled: asyncio.Queue[Any] = asyncio.Queue()
        leaves = awaited(self.leaves())
        stops = [self.mesh.subscribe(leaf, _teller(loop, settled, leaf)) for leaf in leaves]
        try:
            for _ in leaves:
                with stepping_aside():
                    leaf = await settled.get()
                yield leaf
        finally:
            for stop in stops:
                stop()

    def then(self, on_success: Callable[[Any], Any], on_error: Callable[[Any], Any] | None = None) -> ResultSet:
        """Call ``on_success(self)`` when all have settled; if not all have succeeded, `on_error` where given.

        Returns self. See `AsyncResult.then`.
        """

        def run() -> None:
            fn = on_success if on_error is None or self.successful() else on_error
            fn(self)

        leaves = awaited(self.leaves())
        left = len(leaves)
        deliver = self.mesh.deliverer(run)

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                deliver()

        for leaf in leaves:
            self.mesh.subscribe(leaf, count)
        if not leaves:
            deliver()
        return self

    # -- ending --------------------------------------------------------------------------------------------------

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> dict[str, str]:
        """End all calls in it. As `AsyncResult.revoke`; returns, with `wait`, what became of each."""
        return self._end([leaf.id for leaf in self.leaves()], terminate, wait, timeout)

    def cancel(
        self, recursive: bool = True, terminate: bool = True, wait: bool = False, timeout: float | None = None
    ) -> dict[str, str]:
        """As `AsyncResult.cancel`, for all in it."""
        leaves = self.leaves()
        own = list(dict.fromkeys(leaf.id for leaf in leaves))
        if not recursive or not leaves:
            return self._end(own, terminate, wait, timeout)
        ids = [*self._workflow_ids(), *own]
        bare = [leaf.id for leaf in leaves if leaf.is_bare]
        return end_workflows(self.mesh, ids, self._roots(), bare, terminate, wait, timeout)

    def _end(self, ids: list[str], terminate: bool, wait: bool, timeout_s: float | None) -> dict[str, str]:
        return self.mesh.revoke(ids, terminate, wait, 1.0 if timeout_s is None else timeout_s) if ids else {}

    def _roots(self) -> list[str]:
        """What they go back to."""
        return [first_of(each).id for each in self.results]

    def _workflow_ids(self) -> Iterator[str]:
        for each in self.results:
            yield from each._workflow_ids()

    def forget(self) -> None:
        for each in self.results:
            each.forget()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.results)}: {', '.join(each.id for each in self.results[:3])}…>"


class GroupResult(ResultSet):
    """The results of a group, under an id."""

    def __init__(self, id: str, results: Iterable[Any] = (), parent: Any = None, mesh: Mesh | None = None) -> None:
        super().__init__(results, mesh)
        self.id = id
        self.parent = parent

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    def _roots(self) -> list[str]:
        return [first_of(self).id, *super()._roots()]

    @property
    def children(self) -> list[Any]:
        """Its results."""
        return self.results

    ignored = False

    def save(self, backend: Any = None) -> None:
        """Have the mesh keep of which calls it consists, under its id, for as long as it keeps results."""
        self.mesh.save_group(self.id, self.as_tuple())

    def delete(self, backend: Any = None) -> None:
        """Undo `save`."""
        self.mesh.delete_group(self.id)

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: Mesh | None = None) -> GroupResult | None:
        """The one that was saved under this id; None if there is none. From any process."""
        if app is None:
            raise ImproperlyConfigured("GroupResult.restore() needs the application: app.GroupResult.restore(id)")
        saved = app.restore_group(id)
        return None if saved is None else app.result_from_tuple(saved)

    def as_tuple(self) -> tuple[Any, Any]:
        """``((id, parent as tuple), [results as tuples])``, of which `app.result_from_tuple` makes it again."""
        parent = None if self.parent is None else self.parent.as_tuple()
        return (self.id, parent), [each.outline() for each in self.results]

    def outline(self) -> tuple[Any, Any]:
        """As `as_tuple`, without the parents."""
        return (self.id, None), [each.outline() for each in self.results]

    def as_list(self) -> list[str]:
        """The ids of its calls, and of those before it."""
        own = [leaf.id for leaf in self.leaves()]
        return own if self.parent is None else [*own, *self.parent.as_list()]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __reduce__(self) -> Any:
        return (GroupResult, (self.id, self.results, self.parent, self._mesh))


def _teller(loop: Any, settled: Any, leaf: Any) -> Callable[[], None]:
    def tell() -> None:
        try:
            loop.call_soon_threadsafe(settled.put_nowait, leaf)
        except RuntimeError:
            pass  # The loop is closed, and nobody waits there any more.

    return tell
