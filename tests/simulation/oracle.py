"""What happened to each call, and what must hold while it does.

The invariants, by the name under which a violation is reported (`docs/architecture.md` and `check()` have more):

    unexpected              nothing runs, settles or is seen that was not submitted, or with other arguments
    one terminal state      a coordinator settles a call once; with a journal, all of its incarnations together
    fence                   what settles a call is the attempt that was delivered last
    attempts                grow with each delivery
    at most once            such a call starts once, whatever is lost
    executions              each delivery starts once at the most
    guard                   a call that must be noted before it starts has its Begin
    living worker           a lease is taken back only from a worker that is gone, or gave it back, or never had it
    two leases              a worker sends a result straight to the client only while nobody else may have the call
    ETA, expiry, revoked    nothing is delivered too early, too late, or after its revocation was acknowledged
    order                   what is delivered is first by priority, then by age, of all that the worker may have
    passed over             no call waits behind running ones while a worker that may have it has a free slot
    credit, window, bounds  nothing is larger than its limit
    stale session           a message of a session that is over, or was replaced, changes nothing
    accepted                what a client heard to be accepted by a coordinator with a journal is in the journal
    handed over             what a coordinator that leaves forgets, another one has, and in its journal where that is kept
    acknowledged            what a worker heard to be taken care of is in the journal
    replay                  once all is written, what a new coordinator would know is what this one knows
    workflow                a call starts when those before it have ended as it needs it, with what they have made, and an
                            errback when one of those has failed
    unique                  no call is taken while another one holds its key, and none is not taken when nobody does
    broadcast               a command is answered: by each node, or with the name of each that did not
    prompt                  where nothing breaks, a client hears of an outcome without having to ask
    busy loop               a thread does not wake up again and again with nothing to do
    check                   the indexes of a coordinator agree after each step
    no exception            whatever comes, a core does not raise
    lost, left behind       in the end all has settled, and nothing is kept of it but what is bounded
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actorq.coordinator.core.state import TREE
from actorq.errors import CallRefused, EncodeError, OperationalError
from actorq.wire import frames
from actorq.wire.frames import bytes_of
from actorq.wire.payload import decode_failure
from actorq.wire.records import FAILURE, NOTHING, OUTCOME_STATES, SUCCESS, Call, CallSpec, Extra, Outcome
from tests.simulation.disk import TROUBLE

if TYPE_CHECKING:
    from tests.simulation.mesh import Mesh
    from tests.simulation.nodes import CoordinatorProcess, WorkerProcess

PROMPT_S = 4.0
IN_TOUCH_S = 5.0
"""After that, where nothing breaks, all coordinators know each other."""


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, text: str, ids: tuple[str, ...]) -> None:
        super().__init__(invariant, text, ids)
        self.invariant = invariant
        self.text = text
        self.ids = ids
        """The calls that it is about."""

    def __str__(self) -> str:
        return f"[{self.invariant}] {self.text}"


@dataclass(slots=True, eq=False)
class Record:
    """One call: what was asked for, and what became of it."""

    id: str
    spec: CallSpec
    body: bytes
    kind: str
    """What it does: succeeds, fails, kills its worker's process, keeps its worker's hub busy."""
    duration_s: float
    not_before: float
    expires: float
    owner: str
    """Session that submitted it first."""
    waiting: dict[str, None] = field(default_factory=dict)
    """Sessions that wait for its outcome."""
    accepted: dict[str, None] = field(default_factory=dict)
    """Coordinators that took it."""
    handed_over: dict[str, None] = field(default_factory=dict)
    """Coordinators that have left it to another one since."""
    taken_of: dict[str, None] = field(default_factory=dict)
    """Sessions whose submission of it was accepted."""
    attempts: dict[str, int] = field(default_factory=dict)
    """The attempt that was leased last, by coordinator."""
    lessors: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    """Coordinators that leased it, by worker and attempt."""
    adopted: dict[str, None] = field(default_factory=dict)
    """Coordinators that left it to the worker that had it from an earlier one."""
    adoptions: int = 0
    starts: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By worker and attempt."""
    executions: dict[bytes, int] = field(default_factory=dict)
    """The attempt, by the body of its outcome."""
    settled: dict[str, Outcome] = field(default_factory=dict)
    """By coordinator: the first."""
    settled_s: float = 0.0
    """When a coordinator ended it last."""
    seen: dict[str, Outcome | Exception] = field(default_factory=dict)
    """By session: the first."""
    revoked: dict[str, None] = field(default_factory=dict)
    """Coordinators that have acknowledged its revocation."""
    refused: dict[str, None] = field(default_factory=dict)
    """Sessions whose submission of it was refused, as the disk failed."""
    leases_lost: int = 0
    """Leases that ended with neither an outcome nor a return of the call."""
    kills: Counter[str] = field(default_factory=Counter)
    """Workers that it killed, by coordinator."""
    plan: str = ""
    """The workflow that it belongs to."""
    takes: int = NOTHING
    before: list[str] = field(default_factory=list)
    """Calls of its workflow whose success it needs."""
    causes: list[str] = field(default_factory=list)
    """Calls of its workflow of which it is the errback."""
    is_optional: bool = False
    """It is an errback, or follows one: maybe it is not needed."""
    retries: int = 0
    """How often its task will ask to be retried."""
    replaced: int = 0
    """How often it did."""
    extra: Extra | None = None
    """Its keys, and the tree that it belongs to."""
    submitted_s: float = 0.0
    alone: dict[str, None] = field(default_factory=dict)
    """Coordinators that took it as the only one with its unique key."""

    @property
    def tree(self) -> str:
        """What stands for the tree that it belongs to, where that is revoked; empty if it belongs to none."""
        return TREE + self.extra.root if self.extra is not None and self.extra.root else ""

    @property
    def starts_count(self) -> int:
        return sum(self.starts.values())

    def is_of_several(self) -> bool:
        """Whether more than one coordinator took it: its client has gone from one to the other, or one left the mesh and
        died before it heard that what it handed over was taken."""
        return len({epoch.partition("/")[0] for epoch in (*self.accepted, *self.adopted, *self.attempts)}) > 1


class Oracle:
    """Follows all calls. Raises Violation."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.records: dict[str, Record] = {}
        self.latest_wall_s = 0.0
        """The latest that a coordinator's clock has said: it may have been set back since."""
        self._started: dict[int, Call] = {}

    def fail(self, invariant: str, text: str, *ids: str) -> None:
        raise Violation(invariant, text, ids)

    def record(self, task_id: str) -> Record:
        """The call of that id."""
        record = self.records.get(task_id)
        if record is None:
            raise Violation("unexpected", f"{task_id} was never submitted", (task_id,))
        return record

    # -- coordinators --------------------------------------------------------------------------------------------

    def _check_inputs(self, record: Record, call: Call) -> None:
        """A call of a workflow starts when those before it have ended as it needs it, with what they have made."""
        parts = [] if call.inputs is None else call.inputs.parts
        if record.causes:
            if [part.id for part in parts if part.id in record.causes and part.state != SUCCESS] == []:
                self.fail("workflow", f"{call.id} is an errback, and nothing has failed", call.id)
            return
        for task_id in record.before:
            ended = self.record(task_id).settled.values()
            if not any(outcome.state == SUCCESS for outcome in ended):
                self.fail("workflow", f"{call.id} starts before {task_id} has succeeded", call.id, task_id)
        taken = record.before if record.takes != NOTHING else []
        if [part.id for part in parts] != taken:
            self.fail(
                "workflow", f"{call.id} takes the values of {[part.id for part in parts]}, not of {taken}", call.id
            )
        for part in parts:
            if bytes(frames.bytes_of(part.body)) not in self.record(part.id).executions:
                self.fail("workflow", f"{call.id} takes from {part.id} what that has not made", call.id, part.id)

    def accepted(self, epoch: str, task_id: str, session: str, is_new: bool) -> None:
        """A coordinator has taken a call. `is_new`: it did not know it."""
        record = self.record(task_id)
        record.accepted[epoch] = record.taken_of[session] = None
        if is_new:
            record.handed_over.pop(epoch, None)
        if is_new and epoch in record.settled and self.mesh.options.forgets:
            del record.settled[epoch]  # Its outcome was dropped since, so it runs again.
            record.attempts.pop(epoch, None)

    def delivered(self, epoch: str, call: Call, worker: str) -> None:
        """A coordinator has leased a call to a worker."""
        record = self.record(call.id)
        self.mesh.note(f"{epoch} leases {call.id}, attempt {call.attempt}, to {worker}", call.id)
        if call.attempt <= record.attempts.get(epoch, 0):
            self.fail("attempts", f"{call.id} is delivered as attempt {call.attempt} again", call.id)
        record.attempts[epoch] = call.attempt
        record.lessors.setdefault((worker, call.attempt), []).append(epoch)
        if self.is_revoked(record, epoch):
            self.fail("revoked", f"{call.id} is delivered after its revocation was acknowledged", call.id)

    def adopted(self, epoch: str, task_id: str, attempt: int, worker: str) -> None:
        """A coordinator lets a worker keep what an earlier coordinator has leased to it."""
        self.mesh.note(f"{epoch} leaves {task_id}, attempt {attempt}, to {worker}", task_id)
        record = self.record(task_id)
        record.adopted[epoch] = None
        record.adoptions += 1
        record.attempts[epoch] = attempt
        record.lessors.setdefault((worker, attempt), []).append(epoch)

    def forgotten(self, epoch: str, task_id: str) -> None:
        """A coordinator knew of a call only that a worker had it, and that is gone. If it comes, it is a new one there."""
        record = self.record(task_id)
        record.adopted.pop(epoch, None)
        record.attempts.pop(epoch, None)

    def is_revoked(self, record: Record, epoch: str) -> bool:
        """Whether this coordinator must know that the call was revoked."""
        if epoch in record.revoked:
            return True
        disk = self.mesh.disk_of(epoch)
        return self.mesh.options.is_durable and (disk.has_revoked(record.id) or disk.has_revoked(record.tree))

    def tree_revoked(self, epoch: str, tree: str) -> None:
        """A coordinator has acknowledged that a whole tree is revoked: also what has not come to it yet."""
        for record in self.records.values():
            if record.tree == tree and epoch not in record.settled:
                record.revoked[epoch] = None

    def lost_lease(self, epoch: str, call: Call, worker: str, reason: str) -> None:
        """A coordinator takes a lease back."""
        self.mesh.note(f"{epoch} takes {call.id}, attempt {call.attempt}, from {worker}: {reason}", call.id)
        self.record(call.id).leases_lost += 1

    def settled(self, epoch: str, outcome: Outcome, is_kept: bool) -> None:
        """A coordinator ends a call. `is_kept`: an outcome of it is there already."""
        record = self.record(outcome.id)
        state = OUTCOME_STATES[outcome.state]
        self.mesh.note(f"{epoch} settles {outcome.id}, attempt {outcome.attempt}: {state}", outcome.id)
        if is_kept or (epoch in record.settled and not self.mesh.options.forgets):
            self.fail("one terminal state", f"{outcome.id} settles twice", outcome.id)
        has_settled = self.mesh.options.is_durable and self.mesh.disk_of(epoch).has_outcome(outcome.id)
        if has_settled and not self.mesh.options.forgets:
            self.fail("one terminal state", f"{outcome.id} settles again after a restart", outcome.id)
        last = record.attempts.get(epoch)
        if outcome.attempt and last != outcome.attempt and (last or outcome.state == SUCCESS):
            self.fail("fence", f"attempt {outcome.attempt} settles {outcome.id}, the last was {last}", outcome.id)
        if outcome.state == SUCCESS:
            made = record.executions.get(bytes(frames.bytes_of(outcome.body)), 0)
            if made != outcome.attempt and not (made and record.is_of_several()):
                text = f"{outcome.id} settles as attempt {outcome.attempt} with what attempt {made} made"
                self.fail("fence" if made else "unexpected", text, outcome.id)
        record.settled.setdefault(epoch, outcome)
        record.settled_s = self.mesh.loop.now_s
        if self.mesh.options.is_calm:
            waiting = [session for session in record.waiting if session in record.taken_of]
            self.mesh.loop.after(PROMPT_S, lambda: self._check_prompt(record, waiting))

    def _check_prompt(self, record: Record, waiting: list[str]) -> None:
        for session in waiting:
            if session not in record.seen:
                self.fail("prompt", f"{session} has not heard of {record.id} for {PROMPT_S} s", record.id)

    # -- workers -------------------------------------------------------------------------------------------------

    def started(self, worker: WorkerProcess, call: Call) -> Record:
        """A worker starts a call."""
        record = self.record(call.id)
        self.mesh.note(f"{worker.epoch} starts {call.id}, attempt {call.attempt}", call.id)
        if bytes(frames.bytes_of(call.body)) != record.body:
            self.fail("unexpected", f"{call.id} starts with arguments that are not its own", call.id)
        if id(call) in self._started:
            self.fail("executions", f"{call.id} starts twice for one delivery", call.id)
        self._started[id(call)] = call
        record.starts[worker.epoch, call.attempt] += 1
        if record.spec.at_most_once and record.starts_count > 1:
            self.fail("at most once", f"{call.id} starts a second time", call.id)
        if record.plan and not record.replaced:
            self._check_inputs(record, call)
        if (call.lost or record.spec.at_most_once) and call.id not in worker.begun:
            self.fail("guard", f"{call.id} starts without its Begin", call.id)
        return record

    def sent_straight(self, worker: WorkerProcess, outcome: Outcome) -> None:
        """A worker sends a result to the client itself: its lease must hold now."""
        if self.record(outcome.id).is_of_several():
            return  # Another coordinator may have it as well, and does not know of this lease.
        knowing = [each for each in self.mesh.coordinator_processes() if outcome.id in each.core.state.calls]
        if knowing and not any(self._holds(each, worker, outcome) for each in knowing):
            self.fail("two leases", f"{worker.epoch} reports {outcome.id} to the client, its lease is over", outcome.id)

    def _holds(self, coordinator: CoordinatorProcess, worker: WorkerProcess, outcome: Outcome) -> bool:
        """Whether the worker has the call, or nobody has it and the worker may have it from an earlier coordinator."""
        state = coordinator.core.state
        call = state.calls.get(outcome.id)
        assert call is not None
        holder = state.workers_by_number[call.worker].epoch if call.worker else ""
        is_same = worker.session_with(state.epoch) is not None
        if (holder == worker.epoch and call.attempt == outcome.attempt) or (not is_same and not holder):
            return True
        # It has the call from another one that died. The client has heard so before the worker, and brought the call here.
        lessors = self.record(outcome.id).lessors.get((worker.epoch, outcome.attempt), ())
        here = coordinator.machine.name
        return any(each.partition("/")[0] != here and self.mesh.coordinator(each) is None for each in lessors)

    # -- clients -------------------------------------------------------------------------------------------------

    def seen(self, session: str, task_id: str, outcome: Outcome) -> None:
        """A client hears how a call has ended."""
        record = self.record(task_id)
        error = decode_failure(bytes_of(outcome.body)) if outcome.state == FAILURE else None
        self.mesh.note(f"{session} sees the outcome of {task_id}: attempt {outcome.attempt}, {error!r}", task_id)
        if session in record.seen:
            self.fail("one terminal state", f"{session} sees two outcomes of {task_id}", task_id)
        record.seen[session] = outcome
        if isinstance(error, CallRefused) and TROUBLE in error.reason and self.mesh.options.refuses:
            record.refused[session] = None
            return
        if isinstance(error, (CallRefused, EncodeError, OperationalError)):
            self.fail("unexpected", f"{session} was refused {task_id}: {error}", task_id)

    def held_by(self, session: str, task_id: str, holder: str) -> None:
        """A client hears that a call was not taken: another one holds its key, and is the one to wait for."""
        self.mesh.note(f"{session} hears that {holder} holds the key of {task_id}", task_id, holder)
        record = self.record(task_id)
        if session in record.seen:
            self.fail("unique", f"{session} has the outcome of {task_id}, and hears that {holder} is there", task_id)
        record.waiting.pop(session, None)

    # -- anybody -------------------------------------------------------------------------------------------------

    def bound(self, invariant: str, what: str, value: float, limit: float) -> None:
        """`value` must not be over `limit`."""
        if value > limit:
            self.fail(invariant, f"{what}: {value:g}, the limit is {limit:g}")

    def story(self, ids: tuple[str, ...], trace: list[tuple[float, str, tuple[str, ...]]]) -> list[str]:
        """What happened to these calls, and to the nodes meanwhile."""
        return [f"{when_s:10.4f}  {text}" for when_s, text, about in trace if not about or set(about) & set(ids)]


def describe(record: Record) -> dict[str, Any]:
    """What was asked for."""
    return {
        "id": record.id,
        "spec": record.spec,
        "kind": record.kind,
        "not_before": record.not_before,
        "expires": record.expires,
        "waiting": list(record.waiting),
        "seen": record.seen,
    }
