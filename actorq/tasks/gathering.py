"""Waiting for many results."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from actorq.client.bells import stepping_aside
from actorq.client.checks import deadline
from actorq.errors import TimeoutError
from actorq.tasks.result import AsyncResult
from actorq.wire.records import SUCCESS

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh

R = TypeVar("R")


def gather(mesh: Mesh, results: Sequence[AsyncResult[Any]], timeout_s: float | None) -> list[Any]:
    """The values, in order. Raises the exception of the first that fails, as soon as it has; TimeoutError if none has."""
    waited = awaited(results)
    if not mesh.wait_all(waited, timeout_s, until_failure=True):
        raise_known(waited)
        raise missing_of(waited, timeout_s)
    return [result.get() for result in results]


def awaited(results: Iterable[AsyncResult[R]]) -> list[AsyncResult[R]]:
    """Those of which outcomes come."""
    return [each for each in results if not each.ignored or each.outcome is not None]


def raise_known(results: Sequence[AsyncResult[Any]]) -> None:
    """Raise the first exception (by order) of those that have settled, if one has failed."""
    for result in results:
        if result.outcome is not None and result.outcome.state != SUCCESS:
            result.get()


def missing_of(results: Sequence[AsyncResult[Any]], timeout_s: float | None) -> TimeoutError:
    """What says how many have not settled in time."""
    missing = sum(not result.is_settled() for result in results)
    return TimeoutError(f"{missing:,} of {len(results):,} results did not come within {timeout_s} s")


def as_completed(mesh: Mesh, results: Iterable[AsyncResult[R]], timeout_s: float | None) -> Iterator[AsyncResult[R]]:
    """The results in the order in which they settle. Raises TimeoutError."""
    deadline_s = deadline(timeout_s, mesh.now_s())
    waiting = list(dict.fromkeys(results))
    settled: deque[AsyncResult[R]] = deque()
    bell = mesh.new_bell()
    unsubscribes = [mesh.subscribe(result, _notifier(result, settled, bell.ring)) for result in waiting]
    try:
        for count in range(len(waiting)):
            while not settled:
                left_s = None if deadline_s is None else deadline_s - mesh.now_s()
                if left_s is not None and left_s <= 0:
                    raise TimeoutError(f"{len(waiting) - count:,} results did not come within {timeout_s} s")
                with stepping_aside():
                    bell.wait(left_s)
            yield settled.popleft()
    finally:
        for unsubscribe in unsubscribes:
            unsubscribe()


def _notifier(result: AsyncResult[R], settled: deque[AsyncResult[R]], ring: Any) -> Any:
    def notify() -> None:
        settled.append(result)
        ring()

    return notify
