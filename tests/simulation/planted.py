"""Bugs to plant in the cores: what finds them can be trusted a little more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from actorq.client.core import Client
from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.commands import Commands
from actorq.coordinator.core.handover import Handover, Inheritance
from actorq.coordinator.core.keeping import Keeping
from actorq.coordinator.core.leases import Leases
from actorq.coordinator.core.ledger import Entry, Ledger
from actorq.coordinator.core.machine import Coordinator
from actorq.coordinator.core.mesh import Mesh
from actorq.coordinator.core.queues import Group, Lane
from actorq.coordinator.core.schedule import Schedule
from actorq.coordinator.core.searches import Searches
from actorq.coordinator.core.sessions import Sessions
from actorq.coordinator.core.state import State
from actorq.coordinator.core.uniques import UNIQUE, Uniques, key_of
from actorq.coordinator.core.workers import Contact, Worker
from actorq.stores.api import Kept
from actorq.stores.groups import Groups
from actorq.wire import messages as m
from actorq.wire.records import REVOKED, VALUES, Call, Outcome, Part
from actorq.worker.core import Session
from actorq.worker.core import Worker as WorkerNode
from actorq.worker.core.leases import Leases as Held
from tests.simulation.options import SEVERAL, draw

Method = Callable[..., Any]
LEAVING = (SEVERAL, "coordinator drain")
WORKFLOW, UNIQUE_CALLS = "workflow calls", "unique calls"


@dataclass(frozen=True)
class Bug:
    """A method, and what is to stand in its place: called with the method and the method's arguments."""

    owner: type[Any]
    name: str
    stand_in: Method
    shows_with: tuple[str, ...] = ()
    """Kinds of what happens (`Options.kinds`) without which it cannot show."""

    def seeds(self, seeds: range) -> list[int]:
        """Those in which it may show."""
        return [seed for seed in seeds if set(self.shows_with) <= set(draw(Random(seed)).kinds())]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The bug is there inside of the with block."""
        method, stand_in = getattr(self.owner, self.name), self.stand_in

        def run(*arguments: Any, **options: Any) -> Any:
            return stand_in(method, *arguments, **options)

        setattr(self.owner, self.name, run)
        try:
            yield
        finally:
            setattr(self.owner, self.name, method)


def _without_fence(finished: Method, leases: Leases, peer: int, worker: Worker, message: m.Finished) -> None:
    for outcome in message.outcomes:
        call = worker.leases.get(outcome.id)
        if call is not None:
            outcome.attempt = call.attempt
    finished(leases, peer, worker, message)


def _forget_requeue(requeue: Method, leases: Leases, worker: Worker, calls: list[Call]) -> None:
    for call in calls[1:]:
        del worker.leases[call.id]
        leases._state.calls.remove(call)
        leases._state.body_bytes -= len(call.body)
    requeue(leases, worker, calls[:1])


def _credit_twice(finished: Method, leases: Leases, peer: int, worker: Worker, message: m.Finished) -> None:
    worker.capacity += len(message.outcomes)
    finished(leases, peer, worker, message)


def _settle_twice(finished: Method, leases: Leases, peer: int, worker: Worker, message: m.Finished) -> None:
    late = [each for each in message.outcomes if each.id not in worker.leases]
    again = [each for each in late if each.id not in leases._state.calls]
    leases._state.settle([Call(each.id, FOREIGN, b"") for each in again], again)
    finished(leases, peer, worker, message)


def _stale_session(lose: Method, sessions: Sessions, peer: int) -> None:
    party = sessions._state.peers.get(peer)
    lose(sessions, peer)
    if party is not None:
        sessions._state.peers[peer] = party


def _replaced_session(welcome: Method, sessions: Sessions, peer: int, hello: Any, admit: Method) -> None:
    state = sessions._state
    peers, controls, hung_up = dict(state.peers), dict(state.controls), len(state.effects.hang_ups)
    welcome(sessions, peer, hello, admit)
    del state.effects.hang_ups[hung_up:]
    state.peers = {**peers, **state.peers}
    state.controls = {**controls, **state.controls}


def _deaf_to_revocations(requeue: Method, leases: Leases, worker: Worker, calls: list[Call]) -> None:
    state = leases._state
    revoked, state.revoked = state.revoked, {}
    requeue(leases, worker, calls)
    state.revoked = revoked


def _no_expiry(add: Method, schedule: Schedule, when_s: float, call: Call) -> None:
    if when_s != call.expires:
        add(schedule, when_s, call)


def _too_early(pop_due: Method, schedule: Schedule, wall_s: float) -> list[Call]:
    due: list[Call] = pop_due(schedule, wall_s + 0.5)
    return due


def _one_connection_is_enough(is_out_of_touch: Method, worker: Worker) -> bool:
    return worker.contact is Contact.LOST


def _forget_starts(starting: Method, leases: Leases, peer: int, worker: Worker, message: m.Starting) -> None:
    starting(leases, peer, worker, message)
    worker.begun.clear()


def _acknowledge_at_once(hold_acks: Method, core: Coordinator, effects: Any) -> None:
    acks, core.state.acks = core.state.acks, []
    for peer, message in acks:
        effects.sends[peer].append(message)
    hold_acks(core, effects)


def _count_no_deaths(release: Method, leases: Leases, worker: Worker, reason: str, counted: bool) -> None:
    release(leases, worker, reason, False)


def _lowest_first(take: Method, group: Group, *how: Any) -> list[Call]:
    plain = [lane for lane in group.lanes if type(lane) is Lane]
    for lane in plain:
        lane.levels.reverse()
    taken: list[Call] = take(group, *how)
    for lane in plain:
        lane.levels.reverse()
    return taken


def _report_straight(choose_relay: Method, session: Session) -> bool:
    session.leases_hold_until_s = session._shared.now_s + 1.0
    return bool(choose_relay(session))


def _forget_reports(welcome: Method, session: Session, message: m.Welcome) -> None:
    if message.nonce == session._nonce and not session.welcomed:
        session._unacked.clear()
        session.unacked_count = 0
    welcome(session, message)


def _start_unasked(deliver: Method, session: Session, message: m.Deliver) -> None:
    deliver(session, message)
    session._leases.ready.extend(session._leases.guarded.values())
    session._leases.guarded.clear()


def _never_ask(ask: Method, client: Client) -> None:
    pass


def _send_once(gather: Method, client: Client, is_new: bool) -> None:
    client._unaccepted.clear()
    client.unaccepted_count = 0
    gather(client, is_new)


def _keep_the_rows(settle: Method, keeping: Keeping, calls: list[Call], outcomes: list[Outcome]) -> None:
    for call in calls[1:]:
        call.row = 0
    settle(keeping, calls, outcomes)


def _forget_kept_revocations(restore: Method, keeping: Keeping, kept: Kept) -> None:
    kept.revocations = ()
    restore(keeping, kept)


def _forget_kept_starts(restore: Method, keeping: Keeping, kept: Kept) -> None:
    kept.started = {}
    restore(keeping, kept)


def _do_not_repeat(write: Method, groups: Groups) -> str:
    trouble = str(write(groups))
    if trouble:
        groups.confirmed, groups._token = groups._token, 0
    return trouble


def _repeat_something_else(write: Method, groups: Groups) -> str:
    trouble = str(write(groups))
    if trouble and groups._waiting:
        groups._token = 0
    return trouble


# -- failover ----------------------------------------------------------------------------------------------------


def _nothing(method: Method, *arguments: Any) -> None:
    pass


def _none(method: Method, *arguments: Any) -> list[Any]:
    return []


def _revoke_here_only(run: Method, commands: Commands, peer: int, client: Any, message: m.Control, own: Method) -> None:
    if message.command == "revoke":
        here = [commands._state.name]
        message = m.Control(message.token, message.command, message.arguments, here, message.timeout_s)
    run(commands, peer, client, message, own)


def _forget_what_was_sent(send: Method, handover: Handover, heir: Any, calls: list[Call]) -> None:
    send(handover, heir, calls)
    handover.accepted(heir.link.peer, heir.seq)


def _leave_at_once(finish: Method, handover: Handover) -> None:
    finish(handover)
    if handover._heir is not None and not handover._heir.sent and not handover.is_done:
        handover._send_outcomes(handover._heir)


def _acknowledge_and_drop(take: Method, inheritance: Inheritance, peer: int, giver: Any, message: m.HandOver) -> None:
    message.calls[1:] = []
    take(inheritance, peer, giver, message)


def _keep_nothing_of_it(take: Method, inheritance: Inheritance, peer: int, giver: Any, message: m.HandOver) -> None:
    operations = list(inheritance._state.operations)
    take(inheritance, peer, giver, message)
    inheritance._state.operations = operations


def _list_all(of: Method, held: Held, number: int) -> list[tuple[str, int]]:
    return [(call.id, call.attempt) for call in held.held.values()]


def _forget_unacknowledged(welcome: Method, session: Session, message: m.Welcome) -> None:
    if message.epoch != session.coordinator:
        _forget_reports(welcome, session, message)
    else:
        welcome(session, message)


def _report_to_the_first(ended: Method, worker: WorkerNode, outcomes: list[Outcome]) -> None:
    first = min(worker.sessions)
    for outcome in outcomes:
        if outcome.id in worker.held:
            worker.held[outcome.id].worker = first
    ended(worker, outcomes)


def _forget_unaccepted(gather: Method, client: Client, is_new: bool) -> None:
    if is_new:
        client._unaccepted.clear()
    gather(client, is_new)


# -- workflows ---------------------------------------------------------------------------------------------------


def _one_early(give: Method, entry: Entry, index: int, place: int, part: Part | None) -> bool:
    is_last = bool(give(entry, index, place, part))
    return is_last or (entry.missing[index] == 1 and entry.plan.nodes[index].takes == VALUES)


def _count_retries(replace: Method, ledger: Ledger, call: Call, outcome: Outcome) -> None:
    for entry, index in ledger.members.get(call.id, ()):
        for target, _ in entry.plan.nodes[index].then:
            entry.missing[target] -= 1
    replace(ledger, call, outcome)


def _forget_kept_steps(restore: Method, ledger: Ledger, plans: Any, steps: Any) -> None:
    restore(ledger, plans, {})


def _drop_errbacks(tell: Method, ledger: Ledger, entry: Entry, index: int, *how: Any) -> tuple[list[int], list[int]]:
    ready, failed = tell(ledger, entry, index, *how)
    errbacks = [each for each in ready if each in entry.plan.nodes[index].catch]
    for each in errbacks:
        ledger._drop(entry, each)
    return [each for each in ready if each not in errbacks], failed


def _start_errbacks(drop: Method, ledger: Ledger, entry: Entry, index: int) -> None:
    ledger._release(entry, index)


def _only_what_ran(settled: Method, ledger: Ledger, outcomes: list[Outcome]) -> None:
    settled(ledger, [outcome for outcome in outcomes if outcome.state != REVOKED])


def _forget_who_follows(replace: Method, ledger: Ledger, call: Call, outcome: Outcome) -> None:
    ledger.members.pop(call.id, None)
    replace(ledger, call, outcome)


def _acknowledge_and_drop_workflows(
    take: Method, inheritance: Inheritance, peer: int, giver: Any, message: m.HandOver
) -> None:
    message.plans = []
    take(inheritance, peer, giver, message)


def _do_not_look_at_trees(revocation_of: Method, state: State, call: Call) -> tuple[float, bool] | None:
    return state.revoked.get(call.id)


# -- unique calls ------------------------------------------------------------------------------------------------


def _free_while_it_runs(holder: Method, uniques: Uniques, key: str, wall_s: float) -> Call | None:
    call: Call | None = holder(uniques, key, wall_s)
    return None if call is None or call.worker else call


def _free_the_key(free: Method, uniques: Uniques, calls: Sequence[Call]) -> None:
    free(uniques, calls)
    for call in calls:
        uniques._holders.pop(key_of(call), None)


def _forget_kept_keys(restore: Method, keeping: Keeping, kept: Kept) -> None:
    restore(keeping, kept)
    keeping._state.uniques.free(kept.calls)


def _do_not_ask_for_keys(claim: Method, searches: Searches, client: Any, peer: int, ids: list[str], done: Any) -> None:
    claim(searches, client, peer, [each for each in ids if not each.startswith(UNIQUE)], done)


BUGS = {
    "the attempt fence is dropped": Bug(Leases, "finished", _without_fence, ("lost link", "half-open link")),
    "a requeue is forgotten": Bug(Leases, "requeue", _forget_requeue),
    "credit is returned twice": Bug(Leases, "finished", _credit_twice),
    "a late report settles the call again": Bug(Leases, "finished", _settle_twice),
    "a session that was lost still acts": Bug(Sessions, "lose", _stale_session),
    "a session that was replaced still acts": Bug(Sessions, "_welcome", _replaced_session),
    "a revoked call that comes back is queued": Bug(Leases, "requeue", _deaf_to_revocations),
    "nothing expires": Bug(Schedule, "add", _no_expiry),
    "scheduled calls are early": Bug(Schedule, "pop_due", _too_early),
    "leases are given away while they are renewed": Bug(
        Worker, "is_out_of_touch", _one_connection_is_enough, ("lost link", "half-open link")
    ),
    "starts are not noted": Bug(Leases, "starting", _forget_starts),
    "acknowledgements do not wait for the disk": Bug(Coordinator, "_hold_acks", _acknowledge_at_once),
    "deaths of workers do not count": Bug(Leases, "release", _count_no_deaths),
    "low priorities go first": Bug(Group, "take", _lowest_first),
    "a worker reports to clients when its leases are over": Bug(Session, "_choose_relay", _report_straight),
    "a worker forgets what was not acknowledged": Bug(
        Session, "_welcome", _forget_reports, ("lost link", "coordinator crash")
    ),
    "a worker starts what must be noted before": Bug(Session, "_deliver", _start_unasked),
    "a client does not ask for lost results": Bug(Client, "_ask", _never_ask),
    "a client sends only once": Bug(Client, "_gather_unsent", _send_once),
    "the journal keeps calls that have settled": Bug(Keeping, "settle", _keep_the_rows, ("slow disk",)),
    "a restart forgets revocations": Bug(
        Keeping, "restore", _forget_kept_revocations, ("slow disk", "coordinator crash", "revoked calls")
    ),
    "a restart forgets starts": Bug(
        Keeping, "restore", _forget_kept_starts, ("slow disk", "coordinator crash", "at most once calls")
    ),
    "a write that failed is confirmed": Bug(Groups, "write", _do_not_repeat, ("failing disk",)),
    "what is written after a failure is not the same": Bug(Groups, "write", _repeat_something_else, ("failing disk",)),
    "revocations are not passed on": Bug(
        Commands, "_run_on_coordinators", _revoke_here_only, (SEVERAL, "revoked calls")
    ),
    "one that was away is not told what was revoked": Bug(
        Mesh, "_say_revocations", _nothing, (SEVERAL, "revoked calls")
    ),
    "who leaves forgets what is not acknowledged": Bug(Handover, "_send", _forget_what_was_sent, LEAVING),
    "who leaves does not wait for what is leased": Bug(Handover, "finish", _leave_at_once, LEAVING),
    "an heir drops what it acknowledges": Bug(Inheritance, "take", _acknowledge_and_drop, LEAVING),
    "an heir does not write down what it acknowledges": Bug(Inheritance, "take", _keep_nothing_of_it, LEAVING),
    "a search never ends": Bug(Searches, "_done", _none, (SEVERAL,)),
    "others are not asked to watch": Bug(Searches, "_ask_to_watch", _nothing, (SEVERAL, "watched calls")),
    "a worker lists its leases to every coordinator": Bug(Held, "of", _list_all, (SEVERAL,)),
    "a worker lists no leases": Bug(Held, "of", _none, ("lost link",)),
    "a worker reports to the wrong coordinator": Bug(WorkerNode, "ended", _report_to_the_first, (SEVERAL,)),
    "a double lease is never reported": Bug(Session, "end_double", _nothing, (SEVERAL, "lost link", "half-open link")),
    "a new coordinator does not hear what was not acknowledged": Bug(
        Session, "_welcome", _forget_unacknowledged, ("coordinator crash",)
    ),
    "a client forgets what was not accepted": Bug(Client, "_gather_unsent", _forget_unaccepted),
    "the body of a chord starts before the last member has ended": Bug(Entry, "give", _one_early, (WORKFLOW,)),
    "a member that is retried counts twice": Bug(Ledger, "replace", _count_retries, (WORKFLOW, "retried calls")),
    "a restart forgets how far a workflow was": Bug(
        Ledger, "restore", _forget_kept_steps, ("slow disk", "coordinator crash", WORKFLOW)
    ),
    "errbacks do not start": Bug(Ledger, "_tell", _drop_errbacks, (WORKFLOW, "failing calls")),
    "errbacks start although nothing has failed": Bug(Ledger, "_drop", _start_errbacks, (WORKFLOW,)),
    "a member that was revoked leaves its chord waiting": Bug(
        Ledger, "settled", _only_what_ran, (WORKFLOW, "revoked calls")
    ),
    "a retry forgets what follows": Bug(Ledger, "replace", _forget_who_follows, (WORKFLOW, "retried calls")),
    "an heir drops workflows that it acknowledges": Bug(
        Inheritance, "take", _acknowledge_and_drop_workflows, (*LEAVING, WORKFLOW)
    ),
    "a cancelled workflow goes on": Bug(State, "revocation_of", _do_not_look_at_trees, (WORKFLOW, "cancelled calls")),
    "a unique key is free while its call runs": Bug(Uniques, "holder", _free_while_it_runs, (UNIQUE_CALLS,)),
    "a unique key is free when one of its calls has ended": Bug(Uniques, "free", _free_the_key, (UNIQUE_CALLS,)),
    "a restart forgets who holds unique keys": Bug(
        Keeping, "restore", _forget_kept_keys, ("slow disk", "coordinator crash", UNIQUE_CALLS)
    ),
    "others are not asked who holds a unique key": Bug(
        Searches, "claim", _do_not_ask_for_keys, (SEVERAL, UNIQUE_CALLS)
    ),
}
