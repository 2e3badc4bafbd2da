"""What must hold when nothing breaks any more: everything settles, and nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorq.coordinator.core.schedule import PRUNE_AT
from actorq.wire.records import REVOKED, SUCCESS, Outcome
from tests.simulation.nodes import ClientProcess, CoordinatorProcess
from tests.simulation.oracle import IN_TOUCH_S, Record

if TYPE_CHECKING:
    from tests.simulation.mesh import Mesh


def is_settled(mesh: Mesh) -> bool:
    """Whether nobody waits for anything any more."""
    coordinators = mesh.coordinator_processes()
    if mesh.workload.to_submit or not all(machine.process for machine in mesh.machines.values()):
        return False
    if any(each.core.state.ledger.entries for each in coordinators):
        return False
    if any(each.core.state.calls or len(each.core.mesh.open_links()) < len(coordinators) - 1 for each in coordinators):
        return False
    for coordinator in coordinators:
        known = {worker.epoch for worker in coordinator.core.state.workers.values()}
        if any(worker.core.draining or worker.epoch not in known for worker in mesh.worker_processes()):
            return False
    return all(worker.core.is_idle() and worker.core.welcomed for worker in mesh.worker_processes()) and all(
        client.core.backlog() == 0 and not _awaited(client) for client in mesh.clients()
    )


def _awaited(client: ClientProcess) -> list[str]:
    """Calls of its own that a client waits for. (A call that it only watches may have been lost with its owner.)"""
    return [each.id for each in client.core.pending.values() if each.call is not None]


def explain_unsettled(mesh: Mesh) -> None:
    """It takes too long: say who waits for what."""
    lines, ids = [], []
    for coordinator in mesh.coordinator_processes():
        links = [link.member.epoch for link in coordinator.core.mesh.open_links()]
        lines.append(f"{coordinator.epoch} is linked with {links}, knows {list(coordinator.core.state.workers)}")
        for call in coordinator.core.state.calls:
            lines.append(f"{coordinator.epoch} has {call.id}: attempt {call.attempt}, held by worker {call.worker}")
            ids.append(call.id)
    for client in mesh.clients():
        if client.core.backlog():
            lines.append(f"{client.epoch} has {client.core.backlog()} calls that are not accepted")
        for task_id in _awaited(client):
            lines.append(f"{client.epoch} waits for {task_id}")
            ids.append(task_id)
    for worker in mesh.worker_processes():
        if not worker.core.is_idle() or not worker.core.welcomed:
            sessions = worker.core.sessions.values()
            held = [*worker.core.held, *[each.id for session in sessions for each in session.unacked()]]
            welcomed = [session.coordinator for session in sessions if session.welcomed]
            lines.append(f"{worker.epoch} holds {held}; is welcomed by {welcomed}")
            ids += held
    mesh.oracle.fail("lost", "it does not settle: " + "; ".join(lines[:10]), *ids[:1])


def check_all(mesh: Mesh) -> None:
    """All that must hold at the end."""
    for coordinator in mesh.coordinator_processes():
        for record in mesh.oracle.records.values():
            _check_call(mesh, coordinator, record)
        _check_coordinator(mesh, coordinator)
        _check_workers(mesh, coordinator)
    _check_answers(mesh)
    _check_clients(mesh)


def _check_call(mesh: Mesh, coordinator: CoordinatorProcess, record: Record) -> None:
    oracle, epoch = mesh.oracle, coordinator.epoch
    for client in mesh.clients():
        if client.epoch in record.waiting and client.epoch not in record.seen:
            oracle.fail("lost", f"{client.epoch} does not hear of {record.id}", record.id)
    is_settled = epoch in record.settled or coordinator.core.state.outcomes.get(record.id) is not None
    is_settled = is_settled or mesh.options.forgets  # Maybe; and dropped since.
    if record.causes:
        _check_errback(mesh, coordinator, record)
    if record.is_optional and epoch not in record.settled:
        return
    has_it = epoch in record.accepted and epoch not in record.handed_over
    if has_it and not is_settled and not _was_settled_before(mesh, record, epoch):
        oracle.fail("lost", f"{record.id} was accepted and has not settled", record.id)
    _check_revocation(mesh, coordinator, record)
    disk = mesh.disk_of(epoch)
    if mesh.options.is_durable and disk.has_call(record.id) and not disk.has_settled(record.id):
        oracle.fail("lost", f"{record.id} is in the journal without an outcome", record.id)
    _check_agreement(mesh, coordinator, record)
    if mesh.options.forgets:
        return  # It may have run again.
    if mesh.options.is_calm:
        _check_calm(mesh, record)
    for coordinator_epoch, kills in record.kills.items():
        if kills > record.spec.max_deliveries + record.adoptions:
            oracle.fail("poison", f"{record.id} killed {kills} workers of {coordinator_epoch}", record.id)


def _was_settled_before(mesh: Mesh, record: Record, epoch: str) -> bool:
    return mesh.options.is_durable and mesh.disk_of(epoch).has_settled(record.id)


def _check_revocation(mesh: Mesh, coordinator: CoordinatorProcess, record: Record) -> None:
    """What one coordinator has revoked all know, unless it died before it could tell, or the call had settled."""
    for epoch in [] if record.settled else record.revoked:
        known = coordinator.core.state.revoked
        if mesh.coordinator(epoch) is not None and record.id not in known and record.tree not in known:
            mesh.oracle.fail(
                "revoked", f"{epoch} has revoked {record.id}, {coordinator.epoch} does not know", record.id
            )


def _check_agreement(mesh: Mesh, coordinator: CoordinatorProcess, record: Record) -> None:
    """What a client has seen is what the coordinator has settled.

    It cannot be demanded where a lease was taken back: a worker may have reported to the client, and died before the
    coordinator knew. Nor where a coordinator died since, that may have known and had not written it down. Nor where
    outcomes are dropped so soon that the call ran again.
    """
    stored = coordinator.core.state.outcomes.get(record.id)
    if stored is None or record.leases_lost or mesh.options.forgets or list(record.accepted) != [coordinator.epoch]:
        return
    for session, outcome in record.seen.items():
        if session in record.refused:
            continue  # Another session's was taken.
        if isinstance(outcome, Outcome) and (outcome.attempt, outcome.state) != (stored.attempt, stored.state):
            mesh.oracle.fail("agreement", f"{session} has another outcome of {record.id} than is kept", record.id)


def _check_calm(mesh: Mesh, record: Record) -> None:
    is_taken_twice = record.is_of_several() and record.submitted_s < IN_TOUCH_S
    if record.starts_count > 1 + record.replaced and not is_taken_twice:
        mesh.oracle.fail("executions", f"{record.id} ran {record.starts_count} times, though nothing broke", record.id)
    outcome = next(iter(record.settled.values()), None)
    is_alone = not record.plan  # In a workflow it may be that another one was revoked.
    if is_alone and outcome is not None and outcome.state == REVOKED and not record.expires and not record.revoked:
        mesh.oracle.fail("unexpected", f"{record.id} was neither revoked nor had it a time to expire", record.id)


def _check_errback(mesh: Mesh, coordinator: CoordinatorProcess, record: Record) -> None:
    """It has started, or ended otherwise, if a call that it is for has failed by itself, and not with one before it."""
    causes = [mesh.oracle.record(task_id) for task_id in record.causes]
    has_plan = any(_is_kept_by(mesh, coordinator, epoch) for epoch in record.accepted)
    if record.settled or not has_plan or mesh.options.forgets or any(cause.is_optional for cause in causes):
        return
    for cause in causes:
        ends = [(epoch, each) for epoch, each in cause.settled.items() if _is_kept_by(mesh, coordinator, epoch)]
        if not ends:
            continue
        epoch, outcome = ends[-1]
        is_known = epoch == coordinator.epoch or mesh.disk_of(epoch).has_outcome(cause.id)
        if is_known and outcome.attempt and outcome.state != SUCCESS:
            mesh.oracle.fail(
                "workflow", f"{cause.id} has failed, its errback {record.id} has not run", record.id, cause.id
            )


def _is_kept_by(mesh: Mesh, coordinator: CoordinatorProcess, epoch: str) -> bool:
    """Whether this coordinator knows what that incarnation has written down."""
    is_same_machine = epoch.partition("/")[0] == coordinator.machine.name
    return epoch == coordinator.epoch or (mesh.options.is_durable and is_same_machine)


def _check_answers(mesh: Mesh) -> None:
    """A command is answered: by each node, or with the name of each that did not."""
    for client in mesh.clients():
        for token, order in client.orders.items():
            answer = client.answers.get(token)
            if answer is None:
                mesh.oracle.fail("broadcast", f"{client.epoch} has no answer to {order.command}")
            elif order.command == "ping" and order.destination:
                named = {name.partition("#")[0] for name in (*answer.replies, *answer.missing)}
                if named != set(order.destination) or set(answer.replies) & set(answer.missing):
                    mesh.oracle.fail("broadcast", f"{client.epoch} asked {order.destination}, and hears of {named}")


def _check_coordinator(mesh: Mesh, coordinator: CoordinatorProcess) -> None:
    core, state = coordinator.core, coordinator.core.state
    left = {
        "calls": state.calls,
        "held back": state.held_back,
        "workflows": state.ledger.entries,
        "calls of workflows": state.ledger.members,
        "notes": state.notes,
        "scheduled": state.schedule._heap[PRUNE_AT:],
        "deferring": core._intake._deferring,
        "broadcasts": core._broadcasts._open,
        "searches": core._searches._open,
        "unconfirmed": () if coordinator.is_writing else core._unconfirmed,
        "acknowledgements": state.acks,
        "operations": state.operations,
        "bytes of arguments": state.body_bytes,
        "ready calls": [call.id for lane in state.lanes for _, call in lane.standing()],
        "sessions of nobody": [peer for peer in state.peers if peer not in coordinator.ends],
        "control sessions of nobody": [peer for peer in state.controls if peer not in coordinator.ends],
        "watchers": [each for each in state.watchers if not _is_wanted(mesh, each)],
    }
    for what, value in left.items():
        if value:
            mesh.oracle.fail("left behind", f"the coordinator still has {what}: {value}")
    for group in state.lanes.groups.values():
        mesh.oracle.bound("bounds", "workers in rings", len(group.free) + len(group.ahead), group.workers)
    for worker in state.workers.values():
        if worker.leases or worker.begun or worker.exclusive or worker.exclusive_waiting:
            mesh.oracle.fail("left behind", f"the coordinator has not got back all credit of {worker.epoch}")
        if mesh.worker(worker.epoch) is None:
            mesh.oracle.fail("left behind", f"the coordinator still knows {worker.epoch}")


def _is_wanted(mesh: Mesh, task_id: str) -> bool:
    """Whether somebody still waits."""
    if any(task_id in client.core.pending for client in mesh.clients()):
        return True
    # A coordinator that is gone may have been the only one that knew how it ended; its client has heard from the worker.
    record = mesh.oracle.record(task_id)
    return any(mesh.coordinator(epoch) is None for epoch in record.accepted)


def _check_workers(mesh: Mesh, coordinator: CoordinatorProcess) -> None:
    known = {worker.epoch for worker in coordinator.core.state.workers.values()}
    for worker in mesh.worker_processes():
        core = worker.core
        left = {
            "held": core.held,
            "ready": core.ready,
            "guarded": core.leases.guarded,
            "unacknowledged": [each for session in core.sessions.values() for each in session.unacked()],
            "outcomes to report": [each for session in core.sessions.values() for each in session.unreported],
            "doubles": core.leases.doubles,
        }
        for what, value in left.items():
            if value:
                mesh.oracle.fail("left behind", f"{worker.epoch} still has {what}: {value}")
        if worker.epoch not in known:
            mesh.oracle.fail("lost", f"the coordinator does not know {worker.epoch}")
        for session in core.sessions.values():
            if session.unacked_count:
                mesh.oracle.fail(
                    "left behind", f"{worker.epoch} counts {session.unacked_count} unacknowledged outcomes"
                )


def _check_clients(mesh: Mesh) -> None:
    for client in mesh.clients():
        core = client.core
        left = {
            "outbox": core.outbox,
            "again": core._again,
            "untaken": core._untaken,
            "unaccepted": core._unaccepted,
            "asked": core._awaited.asked,
            "unique calls of which it has not heard": core.uniques,
        }
        for what, value in left.items():
            if value:
                mesh.oracle.fail("left behind", f"{client.epoch} still has {what}: {value}")
        for task_id in core.pending:  # What others have submitted, and this one wants to hear of.
            if any(each.core.state.outcomes.get(task_id) is not None for each in mesh.coordinator_processes()):
                mesh.oracle.fail("lost", f"{client.epoch} waits for {task_id}, which has settled", task_id)
        if core.unaccepted_count:
            mesh.oracle.fail("left behind", f"{client.epoch} counts {core.unaccepted_count} calls to be accepted")
