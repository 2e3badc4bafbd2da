"""What results ask, answered by a session: the part of an application that has to do with calls that were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from actorq import states
from actorq.client.bells import others_run_meanwhile
from actorq.client.pending import Pending
from actorq.client.session import Session
from actorq.config import MAX_BATCH, ClientSettings
from actorq.errors import OperationalError, TimeoutError
from actorq.settings.conf import Conf
from actorq.tasks import groups, outline
from actorq.tasks.children import children_in
from actorq.tasks.details import CallDetails, details_in
from actorq.tasks.inline import Inline
from actorq.tasks.listening import note_value
from actorq.tasks.result import AsyncResult
from actorq.tasks.result_set import GroupResult
from actorq.wire.frames import bytes_of
from actorq.wire.payload import Serializers, loads
from actorq.wire.records import OUTCOME_STATES, Call, CallSpec, Note, Plan


class Questions:
    """See `actorq.tasks.protocol.Mesh`."""

    conf: Conf
    inline: Inline
    settings: ClientSettings
    serializers: Serializers
    testbed: Any
    _session: Session | None

    @property
    def session(self) -> Session:
        raise NotImplementedError

    # -- how far a call is ---------------------------------------------------------------------------------------

    def hears_of(self, pending: Pending) -> bool:
        session = self._session
        if session is None or self.testbed is not None:  # Asking is what makes the mesh of a test go on.
            return False
        return session.core.awaits(pending) and not others_run_meanwhile()

    def state_of(self, pending: Pending) -> str:
        return self._look_at(pending)[0]

    def meta_of(self, pending: Pending) -> Any:
        state, note = self._look_at(pending)
        return note_value(self, note) if note is not None and note.state == state else None

    def exists(self, pending: Pending) -> bool:
        found = self.session.look_up([pending.id], self.settings.publish_timeout_s)
        return bool(found.states.get(pending.id) or pending.id in found.outcomes)

    def _look_at(self, pending: Pending) -> tuple[str, Note | None]:
        """Its state, and what the task has said last."""
        found = self.session.look_up([pending.id], self.settings.publish_timeout_s)
        outcome = found.outcomes.get(pending.id)
        if pending.outcome is None and outcome is not None:
            pending.outcome = outcome
        if pending.outcome is not None:
            return OUTCOME_STATES[pending.outcome.state], None
        return found.states.get(pending.id) or states.PENDING, next(iter(found.notes), None)

    def notes_of(self, pendings: Sequence[Pending]) -> list[Note]:
        notes: list[Note] = []
        for start in range(0, len(pendings), MAX_BATCH):
            ids = [each.id for each in pendings[start : start + MAX_BATCH]]
            notes += self.session.look_up(ids, self.settings.publish_timeout_s).notes
        return notes

    def listen(self, task_id: str, listener: Callable[[Note], None]) -> Callable[[], None]:
        return self.session.listen(task_id, listener)

    def open_meta(self, meta: bytes) -> Any:
        return loads(meta)  # Of our own making, whatever `accept_content` says of users' payloads.

    def forget(self, task_ids: Sequence[str]) -> None:
        for task_id in task_ids:
            self.session.forget(task_id)
        self.session.post("forget", {"ids": list(task_ids)})

    # -- what a call was made of ---------------------------------------------------------------------------------

    def spec_in(self, pending: Pending) -> CallSpec | None:
        call, session = _call_in(pending), self._session
        return None if call is None or session is None else session.core.specs[call.spec - 1][1]

    def arguments_in(self, pending: Pending) -> tuple[list[Any], dict[str, Any]] | None:
        call, spec = _call_in(pending), self.spec_in(pending)
        if call is None or spec is None:
            return None
        return self.serializers.decode_call(spec.content, bytes_of(call.body))

    def details_of(self, pending: Pending) -> CallDetails | None:
        outcome = self.inline.outcome_of(pending.id)
        if outcome is not None:
            return CallDetails(pending.id, OUTCOME_STATES[outcome.state])
        found = details_in(self._ask("call_details", pending.id), pending.id, self.serializers)
        if found is not None and found.state not in states.READY_STATES and pending.is_settled():
            # The outcome has come straight from the worker, and the coordinator hears of it in a moment.
            known = self.session.watch(Pending(pending.id, None))
            self.session.wait_all([known], self.settings.publish_timeout_s)
            found = details_in(self._ask("call_details", pending.id), pending.id, self.serializers)
        return found

    def children_of(self, task_id: str) -> list[AsyncResult[Any] | GroupResult]:
        if not self.conf.settings.result_extended or self.inline.outcome_of(task_id) is not None:
            return []
        mesh: Any = self
        return children_in(self._ask("call_children", task_id), task_id, mesh)

    def hear_of_calls(self) -> None:
        """Wait until the mesh has heard of the calls that were made here, if it does not take long. Never raises."""
        session = self._session
        if session is not None and not session.is_over and session.core.backlog():
            with suppress(OperationalError, TimeoutError):
                session.look_up([], self.settings.publish_timeout_s)  # Which goes after them, on the same way.

    def _ask(self, command: str, task_id: str) -> dict[str, Any]:
        """What each coordinator says of a call."""
        return self.session.order(command, {"ids": [task_id]}, (), self.settings.publish_timeout_s).replies

    # -- groups of them ------------------------------------------------------------------------------------------

    def save_group(self, group_id: str, form: Any) -> None:
        groups.save(self, group_id, form)

    def restore_group(self, group_id: str) -> Any:
        return groups.restore(self, group_id)

    def delete_group(self, group_id: str) -> None:
        groups.delete(self, group_id)

    @property
    def GroupResult(self) -> groups.GroupResults:  # noqa: N802 - Celery's name
        """``app.GroupResult(id, results)`` makes one, ``app.GroupResult.restore(id)`` finds one that was saved."""
        return groups.GroupResults(self)

    def ResultSet(self, results: Sequence[Any]) -> groups.ResultSet:  # noqa: N802 - Celery's name
        """These results as one."""
        mesh: Any = self
        return groups.ResultSet(results, mesh)

    def result_from_tuple(self, form: Any) -> Any:
        """The result that `as_tuple` was called on, maybe in another process."""
        return outline.result_from_tuple(form, self)


def _call_in(pending: Pending) -> Call | None:
    if isinstance(pending.call, Plan):
        return next(node.call for node in pending.call.nodes if node.call.id == pending.id)
    return pending.call
