"""Calls with an address instead of a queue: each goes to every queue that its address leads to."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from actorq.coordinator.core.clients import Client, SpecEntry
from actorq.coordinator.core.state import SPEC_LIMIT, State
from actorq.errors import ImproperlyConfigured
from actorq.wire import messages as m
from actorq.wire.plans import spokesmen
from actorq.wire.records import ID_LENGTH, Call, CallSpec, Extra, Plan

ADDRESSED = -2
"""Number of the entry of a spec without a queue."""
COPY_DIGITS = 12


class Addressing:
    """Finds the queues when calls are taken, and makes the copies."""

    def __init__(self, state: State) -> None:
        self._state = state

    def entry(self, client: Client, spec: CallSpec) -> SpecEntry:
        """Stands for a spec without a queue among those of a client."""
        client.is_addressing = True
        return SpecEntry(ADDRESSED, spec, self._state.no_lane, False)

    def route(self, client: Client, message: m.Submit) -> m.Submit:
        """The same submission where each call has a queue, with a copy for each further one. What has none is refused.

        A copy's id follows from the id of the call and the queue, so that what comes twice is taken once.
        """
        state = self._state
        calls: list[Call] = []
        refused: list[tuple[str, str]] = []
        plans = [plan for plan in message.plans if self._route_plan(client, plan, refused)]
        for call in message.calls:
            entry = client.specs.get(call.spec)
            if entry is None or entry.number != ADDRESSED:
                calls.append(call)
                continue
            try:
                numbers = self._numbers(client, entry.spec)
            except ImproperlyConfigured as error:
                known = state.calls.get(call.id)
                if known is None and state.outcomes.get(call.id) is None:
                    refused.append((call.id, str(error)))
                    continue
                numbers = {"": self._number(client, entry.spec, "?")}  # It was taken before; nothing is taken anew.
            (_, first), *others = numbers.items()
            copies = [_copy(call, number, queue) for queue, number in others]
            call.spec = first
            calls += [call, *copies]
        if refused:
            state.send(client.peer, m.Refused(refused))
        return m.Submit(message.seq, [], calls, message.fresh, message.resent, plans)

    def _route_plan(self, client: Client, plan: Plan, refused: list[tuple[str, str]]) -> bool:
        """Give each call of a workflow one queue: the first. False if there is none for one of them."""
        try:
            for node in plan.nodes:
                entry = client.specs.get(node.call.spec)
                if entry is not None and entry.number == ADDRESSED:
                    node.call.spec = next(iter(self._numbers(client, entry.spec).values()))
        except ImproperlyConfigured as error:
            if plan.id in self._state.ledger.entries or self._state.ledger.has_ended(plan):
                return False  # It was taken before.
            refused += [(task_id, str(error)) for task_id in spokesmen(plan)]
            return False
        return True

    def _numbers(self, client: Client, spec: CallSpec) -> dict[str, int]:
        """By queue: the number of the spec for it, among the client's."""
        return {queue: self._number(client, spec, queue) for queue in self._state.topology.targets(spec)}

    def _number(self, client: Client, spec: CallSpec, queue: str) -> int:
        routed = msgspec.structs.replace(spec, queue=queue)
        number = client.routed.get(routed)
        if number is None:
            if len(client.routed) >= SPEC_LIMIT:
                self._state.hits["specs"] += 1
                raise ImproperlyConfigured(
                    f"this client's calls go to more than {SPEC_LIMIT:,} combinations of task, options, address and "
                    f"queue: use fewer different routing keys"
                )
            number = client.routed[routed] = -1 - len(client.routed)
            client.specs[number] = self._state.entry(routed)
        return number


def _copy(call: Call, spec: int, queue: str) -> Call:
    digest = blake2b(queue.encode(), digest_size=COPY_DIGITS // 2).hexdigest()
    task_id = f"{call.id[: ID_LENGTH - COPY_DIGITS - 1]}~{digest}"
    extra = call.extra or Extra()
    extra = msgspec.structs.replace(extra, root=extra.root or call.id)
    return msgspec.structs.replace(call, id=task_id, spec=spec, extra=extra)
