"""The ledger of workflows: which calls of each plan have ended, and what starts when.

A call of a plan is like any other as soon as it may start: until then it stands here and nowhere else. What follows the
end of a call is decided in the same batch, and so kept in the same transaction, as that end: nothing can come between.

A plan may be the continuation of one call (`Replacement`): its last call has the id of that one, and what follows that
one follows this. So a call can belong to several plans: to one for what comes after it, to others for what came before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from actorq.coordinator.core.calls import FOREIGN
from actorq.errors import ChordError, DecodeError, ImproperlyConfigured, ProtocolError, TaskRevokedError
from actorq.stores.api import CASCADED, STARTED, ForgetPlans, KeepPlan, KeepSteps, Settle, Step
from actorq.wire.frames import body_of, bytes_of
from actorq.wire.payload import describe_failure, encode_failure
from actorq.wire.plans import spokesmen, why_unsound
from actorq.wire.records import (
    FAILURE,
    NOTHING,
    REPLACED,
    REVOKED,
    SUCCESS,
    VALUES,
    Call,
    Inputs,
    Note,
    Outcome,
    Part,
    Plan,
    PlanInProgress,
    Replacement,
)
from actorq.wire.replacements import decode_replacement

if TYPE_CHECKING:
    from actorq.coordinator.core.state import State


class Entry:
    """A plan in progress."""

    __slots__ = ("called", "client", "ends", "is_resumed", "left", "missing", "parts", "plan", "row", "waits")

    def __init__(self, plan: Plan, client: int, row: int, is_resumed: bool) -> None:
        self.plan = plan
        self.is_resumed = is_resumed
        """An earlier coordinator may have been further on than we know, and workers run what it has released."""
        self.client = client
        """Number of the client that gets the outcomes."""
        self.row = row
        """In the journal, where those of its calls count from it; 0: it is not kept there."""
        self.left = len(plan.nodes)
        """Calls that have not ended."""
        self.waits = [True] * len(plan.nodes)
        """By place: whether the call has not been released."""
        self.ends: dict[int, int] = {}
        """By place: how the calls that have ended did so, as the state of a step."""
        self.missing = [node.needs for node in plan.nodes]
        """By place: how many of those before it have not been heard of."""
        self.parts: dict[int, dict[int, Part]] = {}
        """By place: what has come of what it takes."""
        self.called: set[int] = set()
        """Places of the errbacks that start, as a call before them has failed."""

    def give(self, index: int, place: int, part: Part | None) -> bool:
        """A call hears of one that it needs. Whether that was the last one."""
        if part is not None and self.waits[index] and self.plan.nodes[index].takes != NOTHING:
            self.parts.setdefault(index, {})[place] = part
        self.missing[index] -= 1
        return not self.missing[index]

    def parts_of(self, index: int) -> list[Part]:
        """What a call takes, in order."""
        parts = self.parts.get(index, {})
        return [parts[place] for place in sorted(parts)]


class Ledger:
    """All plans in progress."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.entries: dict[str, Entry] = {}
        """By the id of the plan."""
        self.members: dict[str, list[tuple[Entry, int]]] = {}
        """By the id of a call that has not ended: the plans that it belongs to, and its place in each."""
        self.waiting_count = 0
        """Calls that have not been released."""
        self._ended: deque[tuple[Outcome, bool]] = deque()
        """What is to be followed up: outcomes, and whether the call failed only because one before it did."""
        self._is_following = False

    # -- plans come ----------------------------------------------------------------------------------------------

    def accept(self, plan: Plan, client: int, is_resent: bool = False, is_held_back: bool = False) -> None:
        """Take in a sound plan whose calls have the coordinator's spec numbers.

        What is known of its calls already is taken as it is: so a plan that is sent again goes on where it was.
        """
        entries = self._state.entries_by_number
        for node in plan.nodes:
            node.call.attempt = 0
            node.call.lost = int(is_resent and entries[node.call.spec].spec.at_most_once)  # It may have started.
        self._start(self._enter(plan, client, is_resumed=is_resent), is_held_back)

    def _enter(self, plan: Plan, client: int, row: int = 0, is_resumed: bool = False) -> Entry:
        """A new entry. `row`: of one that the journal has already."""
        state = self._state
        specs = state.entries_by_number
        for node in plan.nodes:
            call = node.call
            call.client = client if node.replies and specs[call.spec].replies else 0
            call.seq = call.worker = call.row = 0
            state.body_bytes += len(call.body)
        self.waiting_count += len(plan.nodes)
        if not row and any(specs[number].durable for number in {node.call.spec for node in plan.nodes}):
            row = state.keeping.keep_plan(client, plan)
        entry = self.entries[plan.id] = Entry(plan, client, row, is_resumed)
        for index, node in enumerate(plan.nodes):
            self.members.setdefault(node.call.id, []).append((entry, index))
        return entry

    def _start(self, entry: Entry, is_held_back: bool) -> None:
        """Release what needs nothing. What has ended already, or runs, is taken as it is."""
        state = self._state
        self._leave_to_others(entry)
        self._take_known_ends(entry)  # Before anything is released, which may have ended.
        for index, node in enumerate(entry.plan.nodes):
            known = state.calls.get(node.call.id)
            if not node.needs or (known is not None and known.spec != FOREIGN):
                self._release(entry, index, is_held_back)
        self._follow_up()

    def _leave_to_others(self, entry: Entry) -> None:
        """Calls of a new entry have run before, and have gone on as other plans."""
        client = self._state.clients_by_number.get(entry.client)
        for index, node in enumerate(entry.plan.nodes):
            if self._has_gone_on(entry, node.call):
                if node.replies and client is not None:
                    self._state.watch(client, node.call.id, asks_again=True)
                self._leave(entry, index)

    def _take_known_ends(self, entry: Entry, but: Container[int] = ()) -> None:
        """The calls of a new entry of which there are outcomes do not start, and are to be followed up. `but`: not these."""
        unmet: dict[int, bool] = {}  # By place: whether all that failed before it did so only with others.
        for index, node in enumerate(entry.plan.nodes):
            outcome = self._state.outcomes.get(node.call.id)
            if outcome is None or index in but:
                continue
            is_cascade = index in unmet and (unmet[index] or node.takes != VALUES)  # As in `_fail`.
            for target, _ in node.then if outcome.state != SUCCESS else ():
                unmet[target] = unmet.get(target, True) and is_cascade
            self._end_wait(entry, index)
            self._ended.append((outcome, is_cascade))

    # -- calls end -----------------------------------------------------------------------------------------------

    def settled(self, outcomes: Iterable[Outcome]) -> None:
        """These calls have ended for good, some of them maybe of plans. Follow that up: one call after another, as the
        end of one may be the end of a long chain.
        """
        members = self.members
        known = [outcome for outcome in outcomes if outcome.id in members]
        # Before anything starts by the end of others: these have ended, and do not start any more.
        for outcome in known:
            for entry, index in members[outcome.id]:
                self._end_wait(entry, index)
        self._ended.extend([(outcome, False) for outcome in known])
        self._follow_up()

    def _follow_up(self) -> None:
        if self._is_following:
            return
        self._is_following = True
        while self._ended:
            outcome, is_cascade = self._ended.popleft()
            for entry, index in self.members.pop(outcome.id, ()):
                self._end(entry, index, outcome, is_cascade)
        self._is_following = False

    def _end(self, entry: Entry, index: int, outcome: Outcome, is_cascade: bool) -> None:
        """A call of a plan has ended."""
        node = entry.plan.nodes[index]
        has_followers = bool(node.then or node.catch)
        entry.ends[index] = CASCADED if is_cascade else outcome.state
        self._note(entry, index, entry.ends[index], outcome if has_followers else None)
        if has_followers:
            ready, failed = self._tell(entry, index, outcome, is_cascade)
            is_held_back = entry.is_resumed and self._state.is_young()
            for each in ready:
                self._release(entry, each, is_held_back)
            for each in failed:
                self._fail(entry, each, outcome, is_cascade)
        self._close(entry)

    def _tell(self, entry: Entry, index: int, outcome: Outcome, is_cascade: bool) -> tuple[list[int], list[int]]:
        """What follows a call hears how it has ended. Returns what starts now, and what fails with it."""
        node = entry.plan.nodes[index]
        part = Part(outcome.id, outcome.state, outcome.body, outcome.content)
        is_success = outcome.state == SUCCESS
        ready, failed = [], []
        for target, place in node.then:
            if not is_success:
                failed.append(target)
            elif entry.give(target, place, part):
                ready.append(target)
        for target in node.catch:
            if not is_success and not is_cascade:
                entry.give(target, 0, part)
                entry.called.add(target)
                ready.append(target)
            elif entry.give(target, 0, None) and target not in entry.called:
                self._drop(entry, target)
        return ready, failed

    def _fail(self, entry: Entry, index: int, cause: Outcome, is_cascade: bool) -> None:
        """A call cannot start, as one before it has not succeeded: it ends like that one. The body of a chord is said to
        have failed itself, unless its header has not: then what failed came before all of it.
        """
        node, state = entry.plan.nodes[index], self._state
        if not entry.waits[index] or state.calls.get(node.call.id) is not None:
            return  # It runs all the same: a worker has it from an earlier coordinator.
        self._end_wait(entry, index)
        entry.parts.pop(index, None)
        if node.takes == VALUES:
            error = ChordError(f"Dependency {cause.id} raised {describe_failure(cause.body)}")
            outcome = Outcome(node.call.id, 0, FAILURE, body_of(encode_failure(error, "")))
        else:
            outcome = Outcome(node.call.id, 0, cause.state, cause.body, cause.content)
        self._ended.append((outcome, is_cascade or node.takes != VALUES))
        state.end(node.call, outcome)

    def runs_no_more(self, task_id: str) -> None:
        """A worker had this call from an earlier coordinator, and has lost it: what it was spared for that comes now."""
        for entry, index in list(self.members.get(task_id, ())):
            nodes = entry.plan.nodes
            for place, end in [each for each in entry.ends.items() if each[1] != SUCCESS]:
                cause = self._state.outcomes.get(nodes[place].call.id)
                if cause is not None and any(target == index for target, _ in nodes[place].then):
                    self._fail(entry, index, cause, is_cascade=end == CASCADED)

    def _drop(self, entry: Entry, index: int) -> None:
        """An errback is not needed, nor what would have followed it."""
        dropped = [index]
        for each in dropped:
            node = entry.plan.nodes[each]
            if self._end_wait(entry, each):
                self._forget_member(node.call.id, entry)
                entry.left -= 1
                dropped += [target for target, _ in node.then] + node.catch

    def _close(self, entry: Entry) -> None:
        """One more of its calls has ended."""
        entry.left -= 1
        if not entry.left:
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        """Nothing is left to do of the plan here."""
        del self.entries[entry.plan.id]
        if entry.row:
            self._state.operations.append(ForgetPlans([(entry.row, len(entry.plan.nodes))]))

    def _unwait(self, entry: Entry, index: int) -> bool:
        """It does not wait any more. False if it did not."""
        if not entry.waits[index]:
            return False
        entry.waits[index] = False
        self.waiting_count -= 1
        return True

    def _end_wait(self, entry: Entry, index: int) -> bool:
        """It does not wait any more, and will not be released: its arguments are let go. False if it did not wait."""
        if not self._unwait(entry, index):
            return False
        self._state.body_bytes -= len(entry.plan.nodes[index].call.body)
        return True

    def _forget_member(self, task_id: str, entry: Entry) -> None:
        left = [each for each in self.members.pop(task_id, ()) if each[0] is not entry]
        if left:
            self.members[task_id] = left

    # -- calls start ---------------------------------------------------------------------------------------------

    def _release(self, entry: Entry, index: int, is_held_back: bool = False) -> None:
        """All that a call needs is there: from now on it is like any other."""
        if not self._unwait(entry, index):
            return
        state, node = self._state, entry.plan.nodes[index]
        if self._has_gone_on(entry, node.call):
            entry.parts.pop(index, None)
            state.body_bytes -= len(node.call.body)
            return
        call = msgspec.structs.replace(node.call)
        if node.takes != NOTHING:
            call.inputs = Inputs(node.takes, entry.parts_of(index))
        known = state.calls.get(call.id)
        if known is not None:
            state.body_bytes -= len(call.body)
            if known.spec == FOREIGN:
                state.recognise(known, call)
            return  # Its parts stay: it may have to be released again.
        entry.parts.pop(index, None)
        state.seq += 1
        call.seq = state.seq
        state.calls.add(call)
        state.place(call, is_held_back)

    def _has_gone_on(self, entry: Entry, call: Call) -> bool:
        """Whether the call of a plan has run already, and goes on as another plan, which says when it starts."""
        return any(
            other is not entry and other.plan.nodes[place].call.attempt > call.attempt
            for other, place in self.members.get(call.id, ())
        )

    def note_start(self, call: Call) -> bool:
        """A call that may run only once starts: it must not start again. False if no journal has it."""
        kept = [(entry, index) for entry, index in self.members.get(call.id, ()) if entry.row]
        for entry, index in kept:
            self._note(entry, index, STARTED, Outcome(call.id, call.attempt, SUCCESS, b""))
        return bool(kept)

    def _note(self, entry: Entry, index: int, step: int, outcome: Outcome | None) -> None:
        if entry.row:
            self._state.operations.append(KeepSteps([Step(entry.row + index, step, outcome)]))

    # -- calls go on as plans --------------------------------------------------------------------------------------

    def replace(self, call: Call, outcome: Outcome) -> None:
        """A call that is in no index any more goes on as the plan in `outcome`."""
        state = self._state
        state.uniques.free([call])  # The one that goes on takes its key.
        try:
            replacement = _decoded(outcome, call.id)
            if call.spec == FOREIGN and not self._has_code(replacement):
                self.runs_no_more(call.id)
                return  # Its client brings the call, and the function with it.
            plan, note = self._continuation(call, replacement), replacement.note
        except DecodeError as error:
            state.end(call, Outcome(call.id, outcome.attempt, FAILURE, body_of(encode_failure(error, ""))))
            return
        if state.revocation_of(call):
            state.settle_here(call, REVOKED, TaskRevokedError("it was revoked"))
            return
        if note:
            state.notes[call.id] = Note(call.id, outcome.attempt, "RETRY", note)
        known = self.entries.get(plan.id)
        if known is not None:  # An earlier incarnation has had this report, and has written down what it said.
            self._release_again(known, call)
            return
        for earlier, index in list(self.members.get(call.id, ())):
            self._leave(earlier, index)
        if call.row:
            state.operations.append(Settle([call.row], [], state.wall_s))
        self._start(self._enter(plan, call.client), is_held_back=False)

    def _leave(self, entry: Entry, index: int) -> None:
        """A call has gone on as another plan, which says from now on when it starts."""
        node = entry.plan.nodes[index]
        self._end_wait(entry, index)
        entry.parts.pop(index, None)
        if not node.then and not node.catch:  # Nothing that it knows follows the call: it has done its part.
            entry.ends[index] = REPLACED
            self._note(entry, index, REPLACED, None)
            self._forget_member(node.call.id, entry)
            self._close(entry)

    def _release_again(self, entry: Entry, call: Call) -> None:
        """`call` has been released by the plan that it goes on as, and its report that it goes on came once more."""
        last = len(entry.plan.nodes) - 1
        if not entry.waits[last] and not entry.missing[last]:
            if call.inputs is not None:
                entry.parts[last] = dict(enumerate(call.inputs.parts))
            entry.waits[last] = True
            self.waiting_count += 1
            self._state.body_bytes += len(entry.plan.nodes[last].call.body)
            self._release(entry, last)

    def _has_code(self, replacement: Replacement) -> bool:
        """Whether the functions that it names, which were sent by value, are here."""
        return all(not spec.code or spec.code in self._state.codes for spec in replacement.specs)

    def _continuation(self, call: Call, replacement: Replacement) -> Plan:
        """The plan, with our spec numbers. Raises DecodeError."""
        state, plan = self._state, replacement.plan
        if not self._has_code(replacement):
            raise DecodeError("the task wants to go on with a function that was sent by value, and that is not here")
        try:
            numbers = [state.entry(spec, is_owed=True).number for spec in replacement.specs]
        except ImproperlyConfigured as error:
            raise DecodeError(f"what the task wants to go on with leads nowhere: {error}") from None
        for node in plan.nodes:
            node.call.spec = numbers[node.call.spec - 1]
            node.call.body = body_of(bytes(bytes_of(node.call.body)))
            node.call.attempt = node.call.lost = 0
        last = plan.nodes[-1]
        last.call.attempt, last.replies = call.attempt, bool(call.client)
        return plan

    # -- looking -------------------------------------------------------------------------------------------------

    def waiting(self, task_id: str) -> Call | None:
        """A call that has not been released; None if there is none."""
        for entry, index in self.members.get(task_id, ()):
            if entry.waits[index]:
                return entry.plan.nodes[index].call
        return None

    def unreleased(self) -> Iterator[Call]:
        """All calls that wait for others of their plans."""
        for entry in self.entries.values():
            for node, waits in zip(entry.plan.nodes, entry.waits, strict=True):
                if waits:
                    yield node.call

    def has_ended(self, plan: Plan) -> bool:
        """Whether the plan was here, as far as the outcomes that are kept say so."""
        is_known = self._state.outcomes.get
        return plan.id not in self.entries and any(is_known(each) is not None for each in spokesmen(plan))

    def open_calls(self, plan_id: str) -> list[str]:
        """Ids of the calls of a plan that have not ended."""
        entry = self.entries.get(plan_id)
        return [] if entry is None else [node.call.id for node in entry.plan.nodes if node.call.id in self.members]

    def specs_in_use(self) -> set[int]:
        """Spec numbers of the calls that have not been released."""
        return {call.spec for call in self.unreleased()}

    # -- a coordinator starts again ----------------------------------------------------------------------------------

    def restore(self, plans: Sequence[KeepPlan], steps: Mapping[int, Step]) -> None:
        """Take over what a store kept. What has not ended is held back until workers have listed what they run."""
        for kept in plans:
            entry = self._enter(kept.plan, kept.client, kept.row, is_resumed=True)
            rows = range(kept.row, kept.row + len(kept.plan.nodes))
            known = {row - kept.row: steps[row] for row in rows if row in steps}
            for index, step in known.items():
                if step.state == STARTED and step.outcome is not None:
                    call = kept.plan.nodes[index].call
                    call.lost, call.attempt = 1, step.outcome.attempt
            self._go_on(entry, {each: step for each, step in known.items() if step.state != STARTED}, True)

    def _go_on(self, entry: Entry, ended: Mapping[int, Step], is_held_back: bool) -> None:
        """Go on with a plan of which some calls have ended, by their places."""
        nodes = entry.plan.nodes
        if len(nodes) - 1 not in ended:
            self._take_out(nodes[-1].call.id)  # If it is that of a call that was replaced.
        ready = [index for index, node in enumerate(nodes) if not node.needs and index not in ended]
        for index in sorted(ended):  # What follows a call comes after it.
            ready += self._end_again(entry, index, ended[index])
        for index in ready:
            self._release(entry, index, is_held_back)

    def _take_out(self, task_id: str) -> None:
        """A call that was released and waits: from now on its plan says again when it starts."""
        state = self._state
        call = state.calls.get(task_id)
        if call is not None and not call.worker and call.spec != FOREIGN:
            state.withdraw(call)
            state.calls.remove(call)
            state.uniques.free([call])  # The one that is released takes its key.
            state.keeping.forget([call])
            state.body_bytes -= len(call.body)

    def _end_again(self, entry: Entry, index: int, step: Step) -> list[int]:
        """A call of the plan has ended before. Returns what starts by that; what has failed by it is among the ended."""
        node = entry.plan.nodes[index]
        entry.ends[index] = step.state
        if not self._end_wait(entry, index):
            return []  # It followed an errback that was dropped since.
        self._forget_member(node.call.id, entry)
        ready: list[int] = []
        if step.outcome is not None:
            ready, _ = self._tell(entry, index, step.outcome, step.state == CASCADED)
        self._close(entry)
        return ready

    # -- plans go from one coordinator to another ------------------------------------------------------------------

    def idle_groups(self) -> Iterator[list[Entry]]:
        """Plans of which no call is leased, those together that have calls in common, in the order in which they came."""
        seen: set[str] = set()
        for entry in list(self.entries.values()):
            if entry.plan.id not in seen:
                group = self._related(entry)
                seen.update(each.plan.id for each in group)
                if not any(call.worker or call.id in self._state.held_back for call in self.released(group)):
                    yield group

    def _related(self, entry: Entry) -> list[Entry]:
        group, found = {entry.plan.id: entry}, [entry]
        for each in found:
            for node in each.plan.nodes:
                for other, _ in self.members.get(node.call.id, ()):
                    if other.plan.id not in group:
                        group[other.plan.id] = other
                        found.append(other)
        if len(group) == 1:
            return found
        places = {plan_id: place for place, plan_id in enumerate(self.entries)}
        return sorted(group.values(), key=lambda each: places[each.plan.id])

    def released(self, group: Sequence[Entry]) -> list[Call]:
        """The calls of these plans that are like any others now."""
        ids = dict.fromkeys(
            node.call.id for entry in group for node in entry.plan.nodes if node.call.id in self.members
        )
        return [call for task_id in ids if (call := self._state.calls.get(task_id)) is not None]

    def hand_over(self, entry: Entry) -> PlanInProgress:
        """The plan as another coordinator takes it."""
        calls = self._state.calls
        parts = {part.id: part for place in entry.parts.values() for part in place.values()}
        nodes = []
        for node in entry.plan.nodes:
            call = calls.get(node.call.id)
            if call is not None and call.inputs is not None:
                parts.update((part.id, part) for part in call.inputs.parts)
            nodes.append(node if call is None else msgspec.structs.replace(node, call=_as_it_is(node.call, call)))
        ends: list[tuple[int, int, Outcome | None]] = []
        for index, step in entry.ends.items():
            node, state = nodes[index], min(step, FAILURE) if step == CASCADED else step
            outcome = None
            if (node.then or node.catch) and step != REPLACED:
                part = parts.get(node.call.id)
                outcome = Outcome(node.call.id, 0, state, *((b"",) if part is None else (part.body, part.content)))
            ends.append((index, step, outcome))
        return PlanInProgress(entry.client, Plan(entry.plan.id, nodes), ends)

    def take_over(self, handed: PlanInProgress, client: int) -> None:
        """Go on with a plan of another coordinator's, whose calls have our spec numbers."""
        if handed.plan.id in self.entries:
            return
        entry = self._enter(handed.plan, client)
        ended = {index: Step(entry.row + index, step, outcome) for index, step, outcome in handed.ends}
        if entry.row and ended:
            self._state.operations.append(KeepSteps([ended[index] for index in sorted(ended)]))
        self._take_known_ends(entry, but=ended)  # It may have been here before.
        self._go_on(entry, ended, is_held_back=False)
        self._follow_up()

    def forget(self, group: Sequence[Entry]) -> None:
        """These are another coordinator's now; some may have ended here meanwhile."""
        group = [entry for entry in group if self.entries.get(entry.plan.id) is entry]
        for call in self.released(group):
            self._take_out(call.id)
        for entry in group:
            for index, node in enumerate(entry.plan.nodes):
                self._forget_member(node.call.id, entry)
                self._end_wait(entry, index)
            self._forget(entry)
            self._state.forget_notes(node.call.id for node in entry.plan.nodes)


def _as_it_is(call: Call, released: Call) -> Call:
    """A call of a plan as it is now."""
    return msgspec.structs.replace(call, attempt=max(released.attempt, 0), lost=released.lost)


def _decoded(outcome: Outcome, task_id: str) -> Replacement:
    """What the call with this id goes on as. Raises DecodeError."""
    try:
        replacement = decode_replacement(outcome.body)
    except ProtocolError as error:
        raise DecodeError(f"what the task wants to go on with cannot be decoded: {error}") from None
    nodes, count = replacement.plan.nodes, len(replacement.specs)
    why = why_unsound(replacement.plan)
    if not why and nodes[-1].call.id != task_id:
        why = "its last call has not the id of the one that it replaces"
    if not why and not all(0 < node.call.spec <= count for node in nodes):
        why = "it names options that did not come with it"
    if not why and any(isinstance(node.call.body, int) for node in nodes):
        why = "a body is not there"
    if why:
        raise DecodeError(f"what the task wants to go on with is unsound: {why}")
    return replacement
