"""Orders and questions about queues, bindings and dead letters. Each coordinator answers for what it has itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorq.coordinator.core.dead_letters import Letter, decode_call
from actorq.coordinator.core.queues import Group, Lane
from actorq.coordinator.core.state import State
from actorq.coordinator.core.topology import consumers, read_declarations, to_arguments
from actorq.errors import ImproperlyConfigured, TaskRevokedError, nearest
from actorq.policies.rate import parse_rate
from actorq.policies.routing import owner_of
from actorq.stores.api import ForgetDeadLetters
from actorq.wire.declarations import RATE, Declaration
from actorq.wire.frames import bytes_of
from actorq.wire.records import ID_LENGTH, REVOKED, Call

Arguments = dict[str, Any]
DECLARE, RATE_LIMIT = "declare", "rate_limit"
ORDERS = frozenset({DECLARE, RATE_LIMIT, "purge_queues", "replay_dead_letters", "purge_dead_letters"})
"""Commands that change what a coordinator keeps."""
REPLAYED = "~again"
"""In the id of a call that was run again, before the number of its letter: an id settles once."""
OFFERS_SHOWN = 100
"""Tasks that are named of those that no worker offers."""


class Administration:
    """What can be asked and ordered, by the names of the commands."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.commands: dict[str, Callable[[Arguments], Any]] = {
            DECLARE: self._declare,
            RATE_LIMIT: self._set_rate,
            "topology": lambda _: to_arguments(state.topology.all()),
            "consumers": self._consumers,
            "queue_details": lambda _: self.queue_details(),
            "purge_queues": self._purge_queues,
            "dead_letters": lambda arguments: [letter.said for letter in self._select(arguments)],
            "show_dead_letters": self._show_dead_letters,
            "replay_dead_letters": self._replay_dead_letters,
            "purge_dead_letters": self._purge_dead_letters,
        }

    def stamp(self, command: str, arguments: Arguments) -> None:
        """An order came from a client: what it declares is said now, as all coordinators are to know."""
        if command in (DECLARE, RATE_LIMIT):
            arguments["at_s"] = self._state.topology.new_time_s()

    # -- queues --------------------------------------------------------------------------------------------------

    def _declare(self, arguments: Arguments) -> dict[str, str]:
        try:
            at_s = arguments.get("at_s")
            items = read_declarations(arguments.get("items"), at_s if isinstance(at_s, float) else None)
            count = self._state.topology.declare(items, bool(arguments.get("only_new")))
        except ImproperlyConfigured as error:
            return {"error": str(error)}
        return {"ok": f"{count} declared"}

    def _set_rate(self, arguments: Arguments) -> dict[str, str]:
        """Celery's command, with its answers: for the mesh, and kept as what is declared."""
        state, task, given = self._state, arguments.get("task_name"), arguments.get("rate_limit")
        try:
            rate = parse_rate(given)
            if not isinstance(task, str):
                return {"error": "unknown task"}
            offered = {offer for group in state.lanes.groups.values() for offer in group.offers}
            if task not in offered and not any(entry.spec.task == task for entry in state.entries.values()):
                hint = nearest(task, offered)
                return {"error": f"unknown task: {hint}" if hint else "unknown task"}
            at_s = arguments.get("at_s")
            when_s = at_s if isinstance(at_s, float) else state.topology.new_time_s()
            state.topology.declare([Declaration(RATE, [task], {"rate_limit": given}, when_s)])
        except ImproperlyConfigured as error:
            return {"error": str(error)}
        return {"ok": "new rate limit set successfully" if rate else "rate limit disabled successfully"}

    def _consumers(self, arguments: Arguments) -> list[str]:
        return consumers(self._state, _text(arguments, "queue"), _text(arguments, "task"))

    def queue_details(self) -> dict[str, dict[str, Any]]:
        """By name of the queue, what waits in it and who takes it."""
        state = self._state
        groups: dict[str, list[Group]] = {name: [] for name in (*state.topology.queues(), *state.lanes.paused)}
        for group in state.lanes.groups.values():
            for name in group.queues:
                groups.setdefault(name, []).append(group)
        lanes: dict[str, list[Lane]] = {}
        for lane in state.lanes:
            lanes.setdefault(lane.queue.name, []).append(lane)
        names = sorted({*groups, *lanes})
        return {name: self._details(name, groups.get(name, []), lanes.get(name, [])) for name in names}

    def _details(self, name: str, groups: list[Group], lanes: list[Lane]) -> dict[str, Any]:
        state = self._state
        owners = state.lanes.direct.workers.get(owner_of(name), [])
        offers = set().union(*[group.offers for group in (*groups, *[worker.group for worker in owners])])
        oldest = [call for call in (lane.oldest() for lane in lanes) if call is not None]
        waits_s = [state.now_s - state.ages.came_s(call.seq) for call in oldest]
        without = {lane.offer: len(lane) - lane.gone for lane in lanes if lane.offer not in offers}
        return {
            "size": sum(len(lane) - lane.gone for lane in lanes),
            "oldest_wait_s": round(max(waits_s, default=0.0), 3),
            "consumers": sum(group.workers for group in groups) + len(owners),
            "paused": name in state.lanes.paused,
            # Calls of tasks that no consumer offers, which wait for one that does.
            "without_offer": dict([each for each in without.items() if each[1]][:OFFERS_SHOWN]),
        }

    def _purge_queues(self, arguments: Arguments) -> dict[str, int]:
        """End all calls that wait in these queues, or in all: ready ones, and those that wait for their time."""
        state = self._state
        given = arguments.get("queues")
        named = set(given) if isinstance(given, list) and all(isinstance(each, str) for each in given) else set()
        counts = dict.fromkeys(named, 0)
        purged = [
            call for lane in list(state.lanes) if not named or lane.queue.name in named for call in lane.take_all()
        ]
        scheduled = [
            call
            for call in state.schedule.calls()
            if call.not_before and not call.worker and call.id not in state.held_back
            and state.calls.get(call.id) is call
            and (not named or state.entries_by_number[call.spec].spec.queue in named)
        ]  # fmt: skip
        purged += list({call.id: call for call in scheduled}.values())
        for call in purged:
            queue = state.entries_by_number[call.spec].spec.queue
            counts[queue] = counts.get(queue, 0) + 1
        state.settle_all_here(purged, REVOKED, TaskRevokedError("its queue was purged"))
        return counts

    # -- dead letters --------------------------------------------------------------------------------------------

    def _select(self, arguments: Arguments) -> list[Letter]:
        given = arguments.get("ids")
        ids = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
        return self._state.dead_letters.select(ids, _text(arguments, "queue"))

    def _show_dead_letters(self, arguments: Arguments) -> list[dict[str, Any]]:
        """Letters with the arguments of their calls, as they were encoded."""
        shown = []
        for letter in self._select(arguments):
            said = dict(letter.said)
            try:
                if letter.call:
                    spec, call = decode_call(letter.call)
                    said |= {"serializer": spec.content, "body": bytes(bytes_of(call.body))}
            except ValueError:
                said["replayable"] = False
            shown.append(said)
        return shown

    def _replay_dead_letters(self, arguments: Arguments) -> dict[str, str]:
        """Run their calls again, under new ids. Returns the new id of each, or why it cannot be run again."""
        state = self._state
        became: dict[str, str] = {}
        again: list[Call] = []
        gone: list[int] = []
        for letter in self._select(arguments):
            task_id = str(letter.said.get("id"))
            call, why = self._call_of(letter, task_id)
            became[task_id] = f"error: {why}" if call is None else call.id
            if call is not None:
                again.append(call)
                gone.append(letter.number)
        kept = [call for call in again if state.entries_by_number[call.spec].durable]
        for call in again:
            state.calls.add(call)
            state.body_bytes += len(call.body)
        for call in kept:
            call.row = state.keeping.new_row()
        if kept:
            state.keeping.keep(None, kept)
        state.enqueue(again)
        self._forget(gone)
        return became

    def _call_of(self, letter: Letter, task_id: str) -> tuple[Call | None, str]:
        """The call that runs in the place of the one in a letter, or why there is none."""
        state = self._state
        if not letter.call:
            return None, "its arguments were not kept: they are too large, or its function came by value"
        if state.trouble or state.is_leaving:
            return None, state.trouble or "this coordinator leaves the mesh"
        try:
            spec, call = decode_call(letter.call)
        except ValueError as error:
            return None, f"its arguments cannot be read: {error}"
        suffix = f"{REPLAYED}{letter.number}"
        call.id = task_id.partition(REPLAYED)[0][: ID_LENGTH - len(suffix)] + suffix
        if call.id in state.calls or state.outcomes.get(call.id) is not None:
            return None, f"{call.id} is known already"
        call.spec = state.entry(spec, is_owed=True).number
        return call, ""

    def _purge_dead_letters(self, arguments: Arguments) -> int:
        """Forget letters. Returns how many."""
        gone = [letter.number for letter in self._select(arguments)]
        self._forget(gone)
        return len(gone)

    def _forget(self, numbers: list[int]) -> None:
        if numbers:
            self._state.dead_letters.forget(numbers)
            if self._state.settings.durable:
                self._state.operations.append(ForgetDeadLetters(numbers))


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    return value if isinstance(value, str) else ""
