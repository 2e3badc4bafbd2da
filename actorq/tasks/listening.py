"""Waiting for calls, and hearing meanwhile what they say of themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from actorq.client.bells import stepping_aside
from actorq.client.checks import deadline
from actorq.states import RETRY
from actorq.wire.payload import decode_failure, remote_traceback
from actorq.wire.records import OUTCOME_STATES, SUCCESS, Note

if TYPE_CHECKING:
    from actorq.tasks.protocol import Mesh
    from actorq.tasks.result import AsyncResult


class OpensMeta(Protocol):
    """What is asked to read notes."""

    def open_meta(self, meta: bytes) -> Any: ...


OnMessage = Callable[[dict[str, Any]], object]


def wait_and_tell(
    mesh: Mesh,
    results: Sequence[AsyncResult[Any]],
    timeout_s: float | None,
    interval_s: float,
    on_message: OnMessage | None,
    on_interval: Callable[[], object] | None,
    until_failure: bool = False,
) -> bool:
    """Wait until all have settled; False if the time was over first, or, with `until_failure`, if one has failed first.
    What is given is called here meanwhile.
    """
    deadline_s = deadline(timeout_s, mesh.now_s())
    listener = _Listener(mesh, results, on_message)
    try:
        while True:
            listener.tell()
            if listener.waiting == 0:
                return True
            if until_failure and listener.has_failure:
                return False
            now_s = mesh.now_s()
            left_s = interval_s if deadline_s is None else min(interval_s, deadline_s - now_s)
            if left_s <= 0:
                return False
            with stepping_aside():
                rung = listener.bell.wait(left_s)
            if not rung:
                listener.look()
                if on_interval is not None:
                    on_interval()
    finally:
        listener.stop()


class _Listener:
    """Gathers, on the session's thread, what is told to `on_message` by whoever waits."""

    def __init__(self, mesh: Mesh, results: Sequence[AsyncResult[Any]], on_message: OnMessage | None) -> None:
        self._mesh = mesh
        self._on_message = on_message
        self._heard: deque[Note | AsyncResult[Any]] = deque()
        self._foreign = [each for each in results if each.call is None and not each.is_settled()]
        """Calls of other sessions: their workers do not tell us."""
        self._last: dict[str, Note] = {}
        self.bell = mesh.new_bell()
        self.waiting = len(results)
        self.has_failure = False
        """One of them has ended without a value."""
        self._stops: list[Callable[[], None]] = []
        for result in results:
            if on_message is not None:
                self._stops.append(mesh.listen(result.id, self._hear))
            self._stops.append(mesh.subscribe(result, self._settled(result)))
        if on_message is not None and self.waiting:
            self.look([each for each in results if not each.is_settled()])

    def _hear(self, heard: Note | AsyncResult[Any]) -> None:
        self._heard.append(heard)
        self.bell.ring()

    def _settled(self, result: AsyncResult[Any]) -> Callable[[], None]:
        return lambda: self._hear(result)

    def look(self, results: Sequence[AsyncResult[Any]] | None = None) -> None:
        """Ask for the last notes of these calls; of those that are other sessions', if none are given."""
        asked = [each for each in self._foreign if not each.is_settled()] if results is None else results
        if self._on_message is not None and asked:
            self._heard.extend(self._mesh.notes_of(asked))

    def tell(self) -> None:
        """Tell what was heard."""
        while self._heard:
            heard = self._heard.popleft()
            if not isinstance(heard, Note):
                self.waiting -= 1
                self.has_failure |= heard.outcome is not None and heard.outcome.state != SUCCESS
                if self._on_message is not None:
                    self._on_message(final_message(self._mesh, heard))
            elif self._on_message is not None and self._last.get(heard.id) != heard:
                self._last[heard.id] = heard
                self._on_message(state_message(self._mesh, heard))

    def stop(self) -> None:
        for stop in self._stops:
            stop()


def state_message(mesh: Mesh, note: Note) -> dict[str, Any]:
    """What a running task has said of itself, as Celery's dictionary."""
    value, traceback = note_value(mesh, note), None
    if isinstance(value, BaseException):
        traceback = remote_traceback(value)
    return _message(note.id, note.state, value, traceback)


def final_message(mesh: Mesh, result: AsyncResult[Any]) -> dict[str, Any]:
    """How a call has ended, as Celery's dictionary."""
    assert result.outcome is not None
    children = [child.outline() for child in result.followers()]
    return _message(
        result.id, OUTCOME_STATES[result.outcome.state], mesh.open_outcome(result.outcome), result.traceback, children
    )


def note_value(mesh: OpensMeta, note: Note) -> Any:
    """What a note carries: of a retry the exception."""
    if not note.meta:
        return None
    return decode_failure(note.meta) if note.state == RETRY else mesh.open_meta(note.meta)


def _message(
    task_id: str, status: str, result: Any, traceback: str | None, children: Sequence[Any] = ()
) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "status": status,
        "result": result,
        "traceback": traceback,
        "children": list(children),
    }
