"""`app.map`: a function over many items, as a stream."""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actorq.client.bells import stepping_aside
from actorq.native import Bell
from actorq.policies.chunks import ChunkSize
from actorq.tasks.result import AsyncResult
from actorq.wire.payload import decode_failure

if TYPE_CHECKING:
    from actorq.tasks.progress import Progress

R = TypeVar("R")
Submit = Callable[[list[Any]], AsyncResult[Any]]

CHUNKS_PER_SLOT = 2
FEWEST_CHUNKS = 8


class Map(Generic[R]):
    """An iterator over the results. Items are taken from the input as results are taken from here, so an endless input
    needs no more memory than a few chunks for each slot of the mesh.

    An item that fails raises its exception from `next()`; iteration can go on after it. `close()` (also at the end of a
    ``with`` block) revokes what is under way.
    """

    def __init__(
        self,
        submit: Submit,
        items: Iterable[Any],
        slots: Callable[[], int],
        chunk_size: int | None,
        ordered: bool,
        progress: Progress | None,
        bell: Bell,
    ) -> None:
        self._submit = submit
        self._items: Iterator[Any] = iter(items)
        self.total = len(items) if isinstance(items, Sized) else None
        self._slots = slots
        self._size = ChunkSize(chunk_size)
        self._ordered = ordered
        self._progress = progress
        if progress is not None:
            weakref.finalize(self, progress.stop)
        self._under_way: deque[tuple[AsyncResult[Any], int]] = deque()
        self._settled: deque[AsyncResult[Any]] = deque()
        self._counts: dict[str, tuple[AsyncResult[Any], int]] = {}
        self._bell = bell
        self._results: deque[tuple[bool, Any]] = deque()

    def __iter__(self) -> Map[R]:
        return self

    def __next__(self) -> R:
        try:
            return self._next()
        except BaseException:
            if self._progress is not None:
                self._progress.stop()  # It shows again if iteration goes on.
            raise

    def _next(self) -> R:
        while not self._results:
            self._fill()
            if not self._take_chunk():
                raise StopIteration
        succeeded, value = self._results.popleft()
        if self._progress is not None:
            self._progress.advance(self.total)
        if succeeded:
            result: R = value
            return result
        raise decode_failure(value)

    def close(self) -> None:
        """Give up what is under way."""
        chunks = [result for result, _ in (*self._under_way, *self._counts.values())]
        self._under_way.clear()
        self._counts.clear()
        self._items = iter(())
        for result in chunks:
            if not result.is_settled():
                result.revoke()
        if self._progress is not None:
            self._progress.stop()

    def __enter__(self) -> Map[R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self) -> None:
        limit = max(self._slots() * CHUNKS_PER_SLOT, FEWEST_CHUNKS)
        while len(self._under_way) + len(self._counts) < limit:
            chunk = list(itertools.islice(self._items, self._size.items))
            if not chunk:
                return
            result = self._submit(chunk)
            if self._ordered:
                self._under_way.append((result, len(chunk)))
            else:
                self._counts[result.id] = (result, len(chunk))
                self._notify_of(result)

    def _notify_of(self, result: AsyncResult[Any]) -> None:
        settle, ring = self._settled.append, self._bell.ring  # Not self: what nobody iterates any more is to go.

        def notify() -> None:
            settle(result)
            ring()

        result.mesh.subscribe(result, notify)

    def _take_chunk(self) -> bool:
        """Wait for a chunk and take its results over. False if none is under way."""
        if self._ordered:
            if not self._under_way:
                return False
            result, count = self._under_way.popleft()
        else:
            if not self._counts:
                return False
            while not self._settled:
                with stepping_aside():
                    self._bell.wait(None)
            result, count = self._counts.pop(self._settled.popleft().id)
        elapsed_s, results = result.get()
        self._size.measured(count, elapsed_s)
        self._results.extend(map(tuple, results))
        return True
