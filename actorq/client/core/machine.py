"""The client itself: which coordinator to talk to, what to send, and what to send again.

User threads only append to `outbox` and `requests`, and put into `pending`; everything else belongs to the session's
own thread. The client owns a call until it has settled, or until a coordinator with a journal has accepted it: when a
coordinator is lost, what is still ours is sent to the next one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actorq.client.core.awaited import Awaited
from actorq.client.core.questions import Questions, Request, Watch
from actorq.client.pending import Pending
from actorq.config import ClientSettings
from actorq.errors import CallRefused, EncodeError
from actorq.policies.addresses import can_be_called
from actorq.wire import messages as m
from actorq.wire.messages import CODE_MISSING, Message
from actorq.wire.plans import size_of_plan
from actorq.wire.records import REPLACED, SUCCESS, Call, CallSpec, Member, Note, Outcome, Plan

logger = logging.getLogger("actorq.client")

Peer = int
BYTES_PER_SUBMIT = 512 * 1024
"""A message is cut to have about so much, judging by the one before it."""


class Sent(NamedTuple):
    """A submission that is not accepted yet."""

    seq: int
    calls: list[Call]
    may_run: bool
    """Whether they may have been running before it."""
    plans: list[Plan]

    @property
    def weight(self) -> int:
        """How much it takes of the window: a workflow is like one call."""
        return len(self.calls) + len(self.plans)


@dataclass(slots=True)
class Effects:
    """What the shell is to do after a batch."""

    sends: list[Message] = field(default_factory=list)
    answers: dict[int, Any] = field(default_factory=dict)
    """By the token of the request. An exception if it could not be sent."""
    dial: str = ""
    """Open a connection to this address, instead of the one that is open or tried now."""
    deadline_s: float | None = None


class Client:
    """One session's decisions."""

    def __init__(
        self,
        name: str,
        session: str,
        addresses: Sequence[str],
        reply_address: str,
        settings: ClientSettings,
        now_s: float = 0.0,
        reply_key: str = "",
    ) -> None:
        self.name, self.session = name, session
        self._seeds = tuple(addresses)
        self.addresses = list(addresses)
        """Where coordinators are: those that the user gave, and those that they have named."""
        self.reply_address, self.reply_key = reply_address, reply_key
        self.settings = settings
        self.outbox: deque[Call] = deque()
        self.requests: deque[Request] = deque()
        self.pending: dict[str, Pending] = {}
        self.specs: list[tuple[int, CallSpec]] = []
        """Append-only: a spec's number is its place, from 1."""
        self.codes: dict[str, bytes] = {}
        self.chosen: deque[Call] = deque()
        """As `outbox`, for calls whose ids the user chose, so that they may be known to the mesh."""
        self.uniques: dict[str, tuple[list[str], Callable[[], None]]] = {}
        """Who waits to hear under which id a call with a unique key is known, by its id."""
        self.plans: deque[Plan] = deque()
        """As `outbox`, for workflows."""
        self.listeners: dict[str, list[Callable[[Note], None]]] = {}
        """Who wants to hear what running tasks say of themselves, by call."""
        self.is_open = False
        self.rejection = ""
        """Why the last coordinator refused this client, if it did."""
        self.pressure = ""
        """Why the coordinator does not accept more for now, if so."""
        self.failures = 0
        """How many calls have ended without a value."""
        self.slots = 0
        """Slots of the mesh."""
        self.max_body_bytes = 0
        self.unaccepted_count = 0
        self.window = self.window_bytes = 0
        self.unaccepted_bytes = 0
        self.room = settings.outbox_limit
        """How many calls may wait here, so that they keep to both limits: of calls, and of bytes."""
        self._sizes: dict[int, int] = {}
        """Bytes of arguments in each submission that is not accepted."""
        self._now_s = now_s
        self._peer: Peer | None = None
        self._address_index = -1
        self._dialled_s = now_s
        self._redial_s: float | None = now_s
        self._redial_wait_s = settings.redial_min_s
        self._nonce = 0
        self._coordinator = ""
        self._durable = False
        self._transient: frozenset[str] = frozenset()
        """Queues whose calls stay ours although the coordinator is durable."""
        self._seq = 0
        self._sent_specs = 0
        self._batch = settings.submit_batch
        self._unaccepted: deque[Sent] = deque()
        self._again: deque[Call] = deque()
        """To be sent again, before all others: may be running."""
        self._untaken: deque[Call] = deque()
        """To be sent again, before what is new: have not come to this coordinator, or were not taken."""
        self._plans_again: deque[tuple[Plan, bool]] = deque()
        """To be sent again; with whether its calls may be running."""
        self._awaited = Awaited(settings)
        self._questions = Questions()
        self._pinged_s = now_s
        self._effects = Effects()

    # -- the interface to the shell ------------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Set the (monotonic) time."""
        self._now_s = now_s

    def dialled(self, peer: Peer) -> None:
        """The shell has begun to open a connection, as asked by `Effects.dial`."""
        self._peer = peer

    def opened(self, peer: Peer) -> None:
        """The connection is up: say Hello."""
        if peer != self._peer:
            return
        self._nonce += 1
        self._effects.sends.append(
            m.ClientHello(
                (m.OLDEST_VERSION, m.PROTOCOL_VERSION),
                str(self._nonce),
                self.name,
                self.session,
                self.reply_address,
                self.reply_key,
            )
        )

    def lose(self, peer: Peer) -> None:
        """The connection is gone."""
        if peer == self._peer:
            self._peer = None
            self._redial()

    def receive(self, peer: Peer, message: Any) -> None:
        """A message came from the coordinator. What comes before Welcome belongs to an earlier session."""
        if peer != self._peer:
            return
        kind = type(message)
        if kind is m.Welcome:
            self._welcome(message)
        elif kind is m.Rejected:
            self.rejection = message.reason
            self._redial()
        elif kind is m.Reset:
            self._redial()
        elif not self.is_open:
            return
        elif kind is m.Accepted:
            self._accepted(message)
        elif kind is m.Settled:
            self.settled(message.outcomes)
        elif kind is m.Report:
            self._report(message)
        elif kind is m.Refused:
            self._refused(message)
        elif kind is m.Duplicates:
            self._duplicates(message)
        elif kind is m.Pressure:
            self.pressure = message.reason
        elif kind is m.View:
            self._learn(message.others)
        elif kind is m.Replies and self._questions.take(message.token) is not None:
            self._effects.answers[message.token] = message

    def lose_reply(self) -> None:
        """The connection of a worker's to our reply socket is gone, and maybe results with it: ask for all, now.

        Where calls are very short, the coordinator has forgotten their outcomes a few seconds later.
        """
        self._awaited.hurry(self._now_s)
        self._pinged_s = self._now_s - self.settings.heartbeat_s

    def awaits(self, pending: Pending) -> bool:
        """Whether the outcome of a call that was submitted here is still to come. From any thread."""
        return pending.call is not None and self.pending.get(pending.id) is pending

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Outcomes came, from workers or the coordinator. The first for a call stays."""
        pop, sought, failures = self.pending.pop, self._questions.sought, 0
        for outcome in outcomes:
            pending = pop(outcome.id, None)
            if pending is not None:
                if outcome.state != SUCCESS:
                    if outcome.state == REPLACED:  # Not the end of it, so nobody should say so here.
                        self.pending[outcome.id] = pending
                        continue
                    failures += 1
                pending.outcome = outcome
                pending.call = None
                if pending.waiters is not None:  # They register before they look at `outcome`.
                    pending.notify()
            if sought and outcome.id in sought:
                sought[outcome.id].outcome = outcome
        self.failures += failures  # Who finds that it has changed finds all of them.
        if self.uniques:
            for outcome in outcomes:  # Who has run was taken, whether or not that was heard.
                self._tell_unique(outcome.id, outcome.id)

    def told(self, notes: Sequence[Note]) -> None:
        """What tasks say of themselves, from their workers."""
        for note in notes:
            for listener in self.listeners.get(note.id, ()):
                listener(note)

    def finish(self) -> Effects:
        """End the batch: send what waits, ask what is due, and return the effects."""
        self._run_due()
        if self.is_open:
            self._submit()
            while self.requests:
                self._request(self.requests.popleft())
        effects, self._effects = self._effects, Effects()
        effects.deadline_s = self._deadline_s()
        return effects

    def backlog(self) -> int:
        """Calls that wait here to be accepted."""
        waiting = (self.outbox, self.chosen, self._again, self._untaken)
        plans = len(self.plans) + len(self._plans_again)
        return sum(map(len, waiting)) + plans + self.unaccepted_count

    # -- connection ----------------------------------------------------------------------------------------------

    def _redial(self) -> None:
        self.is_open = False
        self._redial_s = self._now_s + self._redial_wait_s
        self._redial_wait_s = min(self._redial_wait_s * 2, self.settings.redial_max_s)

    def _welcome(self, welcome: m.Welcome) -> None:
        if welcome.nonce != str(self._nonce) or self.is_open:
            return
        self._redial_wait_s = self.settings.redial_min_s
        self._redial_s = None
        self.rejection = self.pressure = ""
        self.window, self.window_bytes, self.slots = welcome.window, welcome.window_bytes, welcome.slots
        self.max_body_bytes = welcome.max_body_bytes
        self._learn(welcome.others)
        self._awaited.begin_anew(self._now_s)
        self._gather_unsent(is_new=welcome.epoch != self._coordinator)
        self._coordinator, self._durable = welcome.epoch, welcome.durable
        self._transient = frozenset(welcome.transient)
        self._seq = self._sent_specs = 0
        self.is_open = True
        again, over = self._questions.begin_anew(self._now_s)
        self.requests.extendleft(reversed(again))
        self._effects.answers.update({each.token: each for each in over})
        self.requests.extend(Watch(each.id) for each in list(self.pending.values()) if each.call is None)

    def _learn(self, others: Sequence[Member]) -> None:
        """These coordinators are to be tried too, when ours is lost; those that were named before and left are not."""
        address = self.addresses[self._address_index]
        local = self.settings.loopback_only
        named = [member.address for member in others if can_be_called(member.address, local)]
        self.addresses = list(dict.fromkeys([*self._seeds, address, *named]))
        self._address_index = self.addresses.index(address)

    def _gather_unsent(self, is_new: bool) -> None:
        """Sort out what is to be sent again to this coordinator; `is_new`: it is not the one that we had before."""
        again, untaken = [*self._again], [*self._untaken]
        plans = [*self._plans_again]
        for sent in self._unaccepted:
            (again if sent.may_run else untaken).extend(sent.calls)
            plans += [(plan, sent.may_run) for plan in sent.plans]
        self._unaccepted.clear()
        self._sizes.clear()
        self.unaccepted_count = self.unaccepted_bytes = 0
        if is_new:
            again += untaken  # They may have come to the last coordinator.
            untaken = []
            plans = [(plan, True) for plan, _ in plans]
            ours, our_plans = self._accepted_calls()
            if not self._durable:  # And what it had accepted is lost with it.
                again += ours
                plans += [(plan, True) for plan in our_plans]
                self._awaited.clear()
            elif self._transient:
                again += [call for call in ours if self._is_transient(call)]
                plans += [
                    (plan, True) for plan in our_plans if all(self._is_transient(node.call) for node in plan.nodes)
                ]
        done = {call.id for call in (*list(self.outbox), *list(self.chosen))}
        self._again = self._select(again, done)
        self._untaken = self._select(untaken, done)
        self._plans_again = deque(
            {plan.id: (plan, may_run) for plan, may_run in plans if self._is_wanted(plan)}.values()
        )

    def _accepted_calls(self) -> tuple[list[Call], list[Plan]]:
        """Not all that are pending: a call is so a moment before it is in the outbox, and has not been sent then."""
        return self._owned(self._awaited.ids())

    def _owned(self, ids: Sequence[str]) -> tuple[list[Call], list[Plan]]:
        """What is to be sent again for these, if they are lost: calls, and workflows that they belong to."""
        known = [self.pending.get(task_id) for task_id in ids]
        items = [item for each in known if each is not None and (item := each.call) is not None]
        plans = {item.id: item for item in items if isinstance(item, Plan)}
        return [item for item in items if isinstance(item, Call)], list(plans.values())

    def _is_transient(self, call: Call) -> bool:
        return self.specs[call.spec - 1][1].queue in self._transient

    def _is_wanted(self, plan: Plan) -> bool:
        """Whether somebody waits for it, or nobody ever did."""
        replying = [node.call.id for node in plan.nodes if node.replies]
        return not replying or any(task_id in self.pending for task_id in replying)

    def _select(self, calls: list[Call], done: set[str]) -> deque[Call]:
        """Those that are not done with, once each. A call that has settled is not pending any more, if it ever was."""
        selected: deque[Call] = deque()
        for call in calls:
            if call.id not in done and (call.id in self.pending or self.specs[call.spec - 1][1].ignore_result):
                done.add(call.id)
                selected.append(call)
        return selected

    def _run_due(self) -> None:
        if self._redial_s is not None and self._redial_s <= self._now_s:
            self._address_index = (self._address_index + 1) % len(self.addresses)
            self._effects.dial = self.addresses[self._address_index]
            self._effects.sends.clear()
            self._dialled_s = self._now_s
            self._redial_s = None
            self._peer = None
        elif not self.is_open and self._redial_s is None:
            if self._now_s - self._dialled_s >= self.settings.hello_timeout_s:
                self._redial()
        elif self.is_open and self._now_s - self._pinged_s >= self.settings.heartbeat_s:
            self._pinged_s = self._now_s
            if self.pending or self._unaccepted:
                self._effects.sends.append(m.Ping())
            self._ask()

    def _deadline_s(self) -> float | None:
        if self._redial_s is not None:
            return self._redial_s
        if not self.is_open:
            return self._dialled_s + self.settings.hello_timeout_s
        if self.pending or self._unaccepted:
            return self._pinged_s + self.settings.heartbeat_s
        return None

    # -- submission ----------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        for waiting in (self._again, self._untaken, self.chosen, self.outbox):
            pop = waiting.popleft
            while waiting and self.has_window():
                room = self.window - self.unaccepted_count
                calls = [pop() for _ in range(min(len(waiting), self._batch, room))]
                self._send_calls(calls, may_run=waiting is self._again, fresh=waiting is self.outbox)
        while self._plans_again and self.has_window():
            plan, may_run = self._plans_again.popleft()
            self._send(m.Submit(0, [], [], False, may_run, [plan]), size_of_plan(plan))
        while self.plans and self.has_window():
            self._send_plans()
        if self.outbox:
            self._size_room(len(self.outbox[-1].body))

    def has_window(self) -> bool:
        """Whether the coordinator takes more before it has accepted what was sent."""
        has_bytes = not self.window_bytes or self.unaccepted_bytes < self.window_bytes
        return has_bytes and self.unaccepted_count < self.window

    def _size_room(self, mean_bytes: int) -> None:
        self.room = min(self.settings.outbox_limit, max(self.settings.outbox_bytes // max(mean_bytes, 1), 1))

    def _send_plans(self) -> None:
        """As many new workflows as one message may have."""
        count = min(self.settings.submit_batch, self.window - self.unaccepted_count)
        plans: list[Plan] = []
        size_bytes = 0
        while self.plans and len(plans) < count and size_bytes < BYTES_PER_SUBMIT:
            plans.append(self.plans.popleft())
            size_bytes += size_of_plan(plans[-1])
        self._send(m.Submit(0, [], [], True, False, plans), size_bytes)

    def _send(self, submit: m.Submit, size_bytes: int) -> None:
        """Send calls, or a workflow, with the specs that have not been sent."""
        submit.specs = self.specs[self._sent_specs :]
        self._sent_specs += len(submit.specs)
        for _, spec in submit.specs:
            self._send_code(spec)
        self._seq += 1
        submit.seq = self._seq
        self._effects.sends.append(submit)
        sent = Sent(self._seq, submit.calls, submit.resent, submit.plans)
        self._unaccepted.append(sent)
        self.unaccepted_count += sent.weight
        self._sizes[self._seq] = size_bytes
        self.unaccepted_bytes += size_bytes

    def _send_calls(self, calls: list[Call], may_run: bool, fresh: bool) -> None:
        size_bytes = sum([len(call.body) for call in calls])
        self._send(m.Submit(0, [], calls, fresh, may_run), size_bytes)
        mean_bytes = size_bytes // len(calls) + 50
        self._batch = min(self.settings.submit_batch, max(BYTES_PER_SUBMIT // mean_bytes, 1))
        self._size_room(mean_bytes)

    def _send_code(self, spec: CallSpec) -> None:
        code = self.codes.get(spec.code)
        if code is not None:
            self._effects.sends.append(m.Code(spec.code, code))

    def _accepted(self, message: m.Accepted) -> None:
        self.slots = message.slots
        awaited: list[str] = []
        while self._unaccepted and self._unaccepted[0].seq <= message.seq:
            sent = self._unaccepted.popleft()
            self.unaccepted_count -= sent.weight
            self.unaccepted_bytes -= self._sizes.pop(sent.seq)
            awaited += [call.id for call in sent.calls]  # Not the calls: their bodies may be large.
            awaited += [node.call.id for plan in sent.plans for node in plan.nodes if node.replies]
        if awaited:
            self._awaited.add(awaited, self._now_s)
        if self.uniques:
            self._tell_taken(awaited)

    def _tell_taken(self, task_ids: Sequence[str]) -> None:
        """These were taken, but for those that were refused and are sent again."""
        unaccepted = [sent.calls for sent in self._unaccepted]
        again = {call.id for calls in (self._again, self._untaken, *unaccepted) for call in calls}
        for task_id in (self.uniques.keys() & set(task_ids)) - again:
            self._tell_unique(task_id, task_id)

    def _duplicates(self, message: m.Duplicates) -> None:
        for task_id, other in message.calls:
            pending = self.pending.pop(task_id, None)
            if not self._tell_unique(task_id, other) and pending is not None:
                self._fail(pending, CallRefused(task_id, f"call {other} holds its unique key"))

    def _tell_unique(self, task_id: str, known_as: str) -> bool:
        """Whether somebody waits to hear it."""
        waiting = self.uniques.pop(task_id, None)
        if waiting is None:
            return False
        box, ring = waiting
        box.append(known_as)
        ring()
        return True

    def _refused(self, message: m.Refused) -> None:
        sent = {call.id: (call, each.may_run) for each in self._unaccepted for call in each.calls}
        plans = [plan for each in self._unaccepted for plan in each.plans]
        unwanted = {call.id for call, _ in sent.values() if self.specs[call.spec - 1][1].ignore_result}
        unwanted.update(node.call.id for plan in plans for node in plan.nodes if not node.replies)
        self._send_missing_code(message)
        waiting = {call.id for call in (*self._again, *self._untaken)}
        for task_id, reason in message.calls:
            if task_id in sent and reason == CODE_MISSING:
                call, may_run = sent[task_id]
                spec = self.specs[call.spec - 1][1]
                if spec.code in self.codes:
                    self._send_code(spec)
                    if task_id not in waiting:
                        waiting.add(task_id)
                        (self._again if may_run else self._untaken).append(call)
                    continue
            if reason == CODE_MISSING:
                reason = "its function cannot be sent"
            pending = self.pending.pop(task_id, None)
            if pending is not None:
                self._fail(pending, CallRefused(task_id, reason))
            elif task_id in unwanted:
                logger.error("call %s, whose result nobody wanted, was refused: %s", task_id, reason)
            self._tell_unique(task_id, task_id)

    def _send_missing_code(self, message: m.Refused) -> None:
        """Functions of workflows are missing: they are sent with all else of them once more."""
        missing = {task_id for task_id, reason in message.calls if reason == CODE_MISSING}
        plans = [(plan, sent.may_run) for sent in self._unaccepted for plan in sent.plans] if missing else []
        waiting = {plan.id for plan, _ in self._plans_again}
        for plan, may_run in plans:
            if not any(node.call.id in missing for node in plan.nodes):
                continue
            specs = [self.specs[number - 1][1] for number in {node.call.spec for node in plan.nodes}]
            if all(not spec.code or spec.code in self.codes for spec in specs):
                if plan.id not in waiting:
                    waiting.add(plan.id)
                    for spec in specs:
                        self._send_code(spec)
                    self._plans_again.append((plan, may_run))
                refused = {node.call.id for node in plan.nodes}
                message.calls = [each for each in message.calls if each[0] not in refused]

    # -- what cannot be sent -------------------------------------------------------------------------------------

    def unsendable(self, message: Message, error: Exception) -> None:
        """A message of the last effects cannot be sent: what it was for has failed, all else goes on."""
        if isinstance(message, m.Submit):
            self._unaccepted = deque(each for each in self._unaccepted if each.seq != message.seq)
            self.unaccepted_count -= len(message.calls) + len(message.plans)
            self.unaccepted_bytes -= self._sizes.pop(message.seq)
            if message.specs:
                self._sent_specs = min(self._sent_specs, message.specs[0][0] - 1)
            if len(message.plans) > 1:  # They went together by chance: each is to be tried by itself.
                self._plans_again.extend((plan, False) for plan in message.plans)
                return
            ids = [call.id for call in message.calls]
            ids += [node.call.id for plan in message.plans for node in plan.nodes]
            self._fail_all(ids, error)
            logger.error("%d calls cannot be sent: %s", len(ids), error)
        elif isinstance(message, m.Code):
            self.codes.pop(message.digest, None)  # The calls that need it will be refused.
        elif isinstance(message, m.Query):
            self._awaited.asked.pop(message.token, None)
            if message.wait:
                self._fail_all(message.ids, error)
        if isinstance(message, (m.Query, m.Control)) and self._questions.drop(message.token):
            self._effects.answers[message.token] = EncodeError(f"the request could not be sent: {error}")

    def _fail_all(self, task_ids: Sequence[str], error: Exception) -> None:
        for task_id in task_ids:
            pending = self.pending.pop(task_id, None)
            if pending is not None:
                self._fail(pending, EncodeError(f"call {task_id} could not be sent: {error}"))
            self._tell_unique(task_id, task_id)

    def _fail(self, pending: Pending, error: Exception) -> None:
        pending.fail(error)
        self.failures += 1

    # -- questions -----------------------------------------------------------------------------------------------

    def _request(self, request: Request) -> None:
        if not isinstance(request, Watch):
            self._effects.sends.append(self._questions.put(request, self._now_s))
        elif request.task_id in self.pending:
            self._effects.sends.append(m.Query(0, [request.task_id], wait=True))

    def _ask(self) -> None:
        """Ask for accepted calls whose outcomes have not come for long: one may have been lost on its way."""
        self._effects.sends += self._awaited.due(self.pending, self._now_s)

    def _report(self, report: m.Report) -> None:
        if report.token in self._awaited.asked:
            calls, plans = self._owned(self._awaited.lost(report, self.pending, self._now_s))
            self._again += calls
            self._plans_again += [(plan, True) for plan in plans]
            return
        answer = self._questions.look_up(report)
        if answer is not None:
            self._effects.answers[report.token] = answer
