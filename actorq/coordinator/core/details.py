"""What a coordinator can say of single calls: where they are, what they were made of, and what they have submitted; and of
workflows.

Of a call that has settled it knows when and where, and the rest only if the call is to be known (`CallSpec.extended`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from actorq.config import BLOB_BYTES, MAX_BATCH
from actorq.coordinator.core.arguments import ids_in
from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.ledger import Entry
from actorq.coordinator.core.state import State
from actorq.states import QUEUED, RECEIVED, RETRY, SCHEDULED, STARTED
from actorq.wire.frames import bytes_of
from actorq.wire.records import OUTCOME_STATES, Call, CallSpec

Arguments = dict[str, Any]
CHILDREN_SHOWN = 10_000
"""So many calls of one parent are named; of more, the first."""
MISSING_SHOWN = 1000
"""So many calls of one workflow are named that have not ended."""


class Details:
    """What can be asked, by the names of the commands. Each coordinator answers for what it knows itself."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.commands: dict[str, Callable[[Arguments], Any]] = {
            "call_details": self._details,
            "call_children": self._children,
            "workflow": self._workflow,
            "open_calls": self._open_calls,
        }

    # -- single calls ----------------------------------------------------------------------------------------------

    def _details(self, arguments: Arguments) -> dict[str, Arguments]:
        """By id, of those that are known."""
        found = {task_id: self._of(task_id) for task_id in ids_in(arguments)[:MAX_BATCH]}
        return {task_id: said for task_id, said in found.items() if said is not None}

    def _of(self, task_id: str) -> Arguments | None:
        state = self._state
        outcome, origin = state.outcomes.get(task_id), state.outcomes.origin(task_id)
        if outcome is not None and origin is not None:
            made = state.outcomes.made(task_id)
            return {
                "state": OUTCOME_STATES[outcome.state],
                "worker": origin.worker,
                "date_done": origin.came_s,
                **({} if made is None else self._made_of(*made)),
            }
        call, waiting = state.calls.get(task_id), state.ledger.waiting(task_id)
        if call is None and waiting is not None:
            return {
                "state": SCHEDULED,
                "worker": "",
                **self._made_of(state.entries_by_number[waiting.spec].spec, waiting),
            }
        if call is None:
            return None
        entry, worker = state.entries_by_number.get(call.spec), state.workers_by_number.get(call.worker)
        said: Arguments = {"state": self._state_of(call), "worker": "" if worker is None else worker.name}
        return said if entry is None or call.spec == FOREIGN else said | self._made_of(entry.spec, call)

    def _state_of(self, call: Call) -> str:
        """Of a call that has not settled, in more words than Celery has."""
        note, worker = self._state.notes.get(call.id), self._state.workers_by_number.get(call.worker)
        if note is not None and (worker is not None or note.state == RETRY):
            return note.state
        if worker is not None:
            return STARTED if worker.running.get(call.id) == call.attempt else RECEIVED
        return SCHEDULED if call.not_before else QUEUED

    def _made_of(self, spec: CallSpec, call: Call) -> Arguments:
        """Its arguments are encoded, and left out where they are large, or shown nowhere."""
        extra = call.extra
        is_shown = not spec.sensitive and 0 < len(call.body) <= BLOB_BYTES
        return {
            "name": spec.task,
            "queue": spec.queue,
            "serializer": spec.content,
            "body": bytes(bytes_of(call.body)) if is_shown else b"",
            "not_before": call.not_before,
            "expires": call.expires,
            "came": self._wall_s(self._state.ages.came_s(call.seq)) if call.seq else 0.0,
            "retries": 0 if extra is None else extra.retries,
            "root": "" if extra is None else extra.root,
            "parent": "" if extra is None else extra.parent,
            "group": "" if extra is None else extra.group,
        }

    def _wall_s(self, then_s: float) -> float:
        """Unix time of what was at a monotonic time, as the clock is set now."""
        return self._state.wall_s - (self._state.now_s - then_s)

    # -- what they have submitted ----------------------------------------------------------------------------------

    def _children(self, arguments: Arguments) -> dict[str, list[tuple[str, str, int]]]:
        """By id, the calls that have it as their parent: their ids, groups and places in these. Looks through all calls
        that have not settled.
        """
        state = self._state
        found: dict[str, list[Call]] = {
            task_id: [made.call for made in state.outcomes.children(task_id)]
            for task_id in ids_in(arguments)[:MAX_BATCH]
        }
        for call in self._unsettled() if found else ():
            if call.extra is not None and call.extra.parent in found:
                found[call.extra.parent].append(call)
        return {task_id: [_named(call) for call in calls[:CHILDREN_SHOWN]] for task_id, calls in found.items() if calls}

    def _unsettled(self) -> Iterator[Call]:
        return chain(self._state.calls, self._state.ledger.unreleased())

    # -- workflows ---------------------------------------------------------------------------------------------------

    def _workflow(self, arguments: Arguments) -> Arguments | None:
        """A workflow by its own id or that of one of its calls. None if it is not known, or has ended."""
        ledger, some_id = self._state.ledger, str(arguments.get("id", ""))
        entry = ledger.entries.get(some_id) or next(iter(self._workflows_with([some_id])), None)
        if entry is None:
            return None
        plan, specs = entry.plan, self._state.entries_by_number
        tasks = {node.call.id: specs[node.call.spec].spec.task for node in plan.nodes}
        missing = [
            {"id": each, "task": tasks[each], "has_started": ledger.waiting(each) is None}
            for each in ledger.open_calls(plan.id)[:MISSING_SHOWN]
        ]
        return {"id": plan.id, "calls": len(plan.nodes), "ended": len(plan.nodes) - entry.left, "missing": missing}

    def _open_calls(self, arguments: Arguments) -> dict[str, list[str]]:
        """Of the workflows that these calls belong to: the ids of those that have not ended, from the end to the beginning,
        and of what else goes back to them, such as what their tasks have submitted, the roots.
        """
        calls: dict[str, None] = {}
        roots: dict[str, None] = {}
        for entry in self._workflows_with(ids_in(arguments)):
            calls.update(dict.fromkeys(reversed(self._state.ledger.open_calls(entry.plan.id))))
            first = entry.plan.nodes[0].call.extra
            if first is not None and first.root and not first.parent:  # Else it is part of something larger.
                roots[first.root] = None
        return {"ids": list(calls), "roots": list(roots)}

    def _workflows_with(self, task_ids: Sequence[str]) -> list[Entry]:
        """Those in progress to which one of these calls belongs, also if that has ended or goes on elsewhere, and all that
        share calls with them: what calls of theirs have gone on as, or of what they are that.
        """
        found: dict[str, Entry] = {}
        wanted = set(task_ids)
        while True:
            more = [
                entry
                for plan_id, entry in self._state.ledger.entries.items()
                if plan_id not in found and any(node.call.id in wanted for node in entry.plan.nodes)
            ]
            if not more:
                return list(found.values())
            found.update((entry.plan.id, entry) for entry in more)
            wanted = {node.call.id for entry in more for node in entry.plan.nodes}


def _named(call: Call) -> tuple[str, str, int]:
    return call.id, *(("", 0) if call.extra is None else (call.extra.group, call.extra.group_index))
