"""What goes into the journal, and what comes out of it when a coordinator starts again."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from actorq.coordinator.core.clients import Client, SpecEntry
from actorq.coordinator.core.dead_letters import Letter
from actorq.stores.api import (
    ForgetClients,
    ForgetCodes,
    ForgetSpecs,
    KeepCalls,
    KeepClient,
    KeepCode,
    KeepPlan,
    KeepSpecs,
    KeepStarts,
    Kept,
    Settle,
)
from actorq.wire.records import SUCCESS, Call, Outcome, Plan

if TYPE_CHECKING:
    from actorq.coordinator.core.state import State


class Keeping:
    """Says to the store, by `State.operations`, what must not be forgotten."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.row = 0
        """The last one that was given to a call."""
        self.codes: set[str] = set()
        """Digests of the functions that the journal has: those that kept calls use. Of others it need not know, and must
        not, as they may be many while it cannot be written."""

    def keep(self, client: Client | None, calls: list[Call]) -> None:
        """The calls, which have their rows, were accepted from `client`; from nobody who waits for them, if None."""
        operations, entries = self._state.operations, self._state.entries_by_number
        if client is not None and not client.is_kept:
            self.keep_client(client)
        used = [entries[number] for number in {call.spec for call in calls}]
        self._keep_specs(used)
        operations.append(KeepCalls(calls))
        if any(entry.spec.at_most_once for entry in used):
            started = [
                (each.row, each.attempt) for each in calls if each.worker and entries[each.spec].spec.at_most_once
            ]
            if started:
                operations.append(KeepStarts(started))

    def keep_plan(self, client: int, plan: Plan) -> int:
        """A plan was accepted from the client with this number. Returns its row, from which those of its calls count."""
        state = self._state
        known = state.clients_by_number.get(client)
        if known is not None and not known.is_kept:
            self.keep_client(known)
        self._keep_specs([state.entries_by_number[number] for number in {node.call.spec for node in plan.nodes}])
        row = self.row + 1
        self.row += len(plan.nodes)
        state.operations.append(KeepPlan(row, client, plan))
        return row

    def _keep_specs(self, used: Sequence[SpecEntry]) -> None:
        """The journal is to know these specs, and the functions that they name."""
        operations = self._state.operations
        new = [entry for entry in used if not entry.is_kept]
        if new:
            operations.append(KeepSpecs([(entry.number, entry.spec) for entry in new]))
            for entry in new:
                entry.is_kept = True
        for digest in {entry.spec.code for entry in used} - self.codes:
            if digest in self._state.codes:
                operations.append(KeepCode(digest, self._state.codes[digest]))
                self.codes.add(digest)

    def new_row(self) -> int:
        """The row of the next call."""
        self.row += 1
        return self.row

    def keep_client(self, client: Client) -> None:
        client.is_kept = True
        self._state.operations.append(
            KeepClient(client.number, client.session, client.name, client.reply_address, client.reply_key)
        )

    def forget_clients(self, clients: Sequence[Client]) -> None:
        numbers = [client.number for client in clients if client.is_kept]
        if numbers:
            self._state.operations.append(ForgetClients(numbers))

    def forget_specs(self, entries: Sequence[SpecEntry]) -> None:
        numbers = [entry.number for entry in entries if entry.is_kept]
        if numbers:
            self._state.operations.append(ForgetSpecs(numbers))

    def forget_codes(self, digests: AbstractSet[str]) -> None:
        gone = self.codes & digests
        if gone:
            self.codes -= gone
            self._state.operations.append(ForgetCodes(sorted(gone)))

    def settle(self, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
        """The calls have ended: each with its outcome."""
        rows = [call.row for call in calls if call.row]
        kept = self._worth_keeping(calls, outcomes)
        if rows or kept:
            self._state.operations.append(Settle(rows, kept, self._state.wall_s))

    def forget(self, calls: Sequence[Call]) -> None:
        """The calls are another coordinator's now."""
        rows = [call.row for call in calls if call.row]
        if rows:
            self._state.operations.append(Settle(rows, [], self._state.wall_s))

    def _worth_keeping(self, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        specs = {call.spec for call in calls}
        if len(specs) == 1:
            entry = self._state.entries_by_number.get(calls[0].spec)
            if _is_wanted(entry, SUCCESS):
                return outcomes  # As nearly always.
        entries = self._state.entries_by_number
        return [
            outcome
            for call, outcome in zip(calls, outcomes, strict=True)
            if _is_wanted(entries.get(call.spec), outcome.state)
        ]

    def restore(self, kept: Kept) -> None:
        """Take over what a store kept. The calls wait one grace for workers to list what they run."""
        state = self._state
        self._restore_numbers(kept)
        for digest, blob in kept.codes:
            state.codes[digest] = blob
            state.code_bytes += len(blob)
            self.codes.add(digest)
        calls, held_back, started, seq = state.calls, state.held_back, kept.started, state.seq
        again: list[int] = []
        for call in kept.calls:
            if call.id in held_back:  # Only in a journal that was damaged.
                again.append(call.row)
                continue
            seq += 1
            call.seq = seq
            if call.row in started:
                call.lost = max(call.lost, 1)
                call.attempt = started[call.row]
            calls.add(call)
            if call.extra is not None:
                state.uniques.take(call)
            held_back[call.id] = call
            state.body_bytes += len(call.body)
            if call.expires:
                state.schedule.add(call.expires, call)
        state.seq = seq
        last_plan = kept.plans[-1] if kept.plans else None
        self.row = max(
            kept.calls[-1].row if kept.calls else 0,
            last_plan.row + len(last_plan.plan.nodes) - 1 if last_plan is not None else 0,
        )
        if again:
            state.operations.append(Settle(again, [], state.wall_s))
        for settled_s, outcomes in kept.outcomes:
            state.outcomes.add(outcomes, state.now_s - max(state.wall_s - settled_s, 0.0), settled_s)
        for task_id, until_s, terminate in kept.revocations:
            state.revoked[task_id] = (until_s, terminate)
        for letter in kept.dead_letters:
            state.dead_letters.keep(Letter(*letter))
        state.dead_letters.excess()
        state.topology.restore(kept.declarations)
        state.ledger.restore(kept.plans, kept.steps)

    def _restore_numbers(self, kept: Kept) -> None:
        """Specs and clients keep their numbers, which the kept calls name."""
        state = self._state
        for number, spec in kept.specs:
            state.enter_spec(number, spec).is_kept = True
            state.spec_numbers = max(state.spec_numbers, number)
        for each in kept.clients:
            client = Client(each.number, each.session, each.name, each.reply_address, None, each.reply_key)
            client.left_s = state.now_s
            client.is_kept = True
            state.clients[client.session] = state.clients_by_number[client.number] = client
            state.numbers = max(state.numbers, client.number)
        # A client may be forgotten before its calls have ended: its number is not given to another one.
        numbers = {call.client for call in kept.calls} | {each.client for each in kept.plans}
        state.numbers = max([state.numbers, *numbers])


def _is_wanted(entry: SpecEntry | None, outcome_state: int) -> bool:
    """Whether an outcome is journaled. A success that nobody wants to know of is not, unless it tells that a call which
    may run once has run; nor is what its client owns until the end. Of calls whose spec is not known yet, all are.
    """
    if entry is None:
        return True
    return entry.durable and (entry.replies or outcome_state != SUCCESS or entry.spec.at_most_once)
