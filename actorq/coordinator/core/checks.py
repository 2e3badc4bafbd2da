"""Do all indexes of a coordinator agree? Called by tests and the simulation after every step."""

from __future__ import annotations

from collections import Counter

from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.gates import LimitedLane
from actorq.coordinator.core.lines import GONE
from actorq.coordinator.core.machine import Coordinator
from actorq.coordinator.core.workers import Contact
from actorq.policies.routing import owner_of


def check(core: Coordinator) -> None:
    """Raise AssertionError, saying what is wrong, unless each call is in exactly one place and all counts are right."""
    places = _places(core)
    for task_id, count in places.items():
        assert count == 1, f"{task_id} is in {count} places"
        assert task_id in core.state.calls, f"{task_id} stands somewhere and is not known"
    calls = list(core.state.calls)
    assert len(calls) == len(core.state.calls), f"{len(core.state.calls)} calls are counted, {len(calls)} are there"
    for call in calls:
        assert core.state.calls.get(call.id) is call, f"{call.id} is known and cannot be found"
        assert places[call.id] == 1, f"{call.id} is known and stands nowhere"
        assert core.state.outcomes.get(call.id) is None, f"{call.id} has settled and is still known"
    size = sum(len(call.body) for call in calls) + _check_ledger(core)
    assert core.state.body_bytes == size, f"{core.state.body_bytes} bytes of arguments are counted, {size} are there"
    _check_lanes(core)
    for call in core.state.uniques:
        assert core.state.calls.get(call.id) is call, f"{call.id} holds a unique key and is not known"
    _check_gates(core)
    _check_workers(core)
    core._searches.check()


def _check_ledger(core: Coordinator) -> int:
    """Returns the bytes of arguments of the calls that have not been released."""
    ledger, calls = core.state.ledger, core.state.calls
    size = waiting = 0
    for entry in ledger.entries.values():
        left = 0
        for index, node in enumerate(entry.plan.nodes):
            task_id = node.call.id
            left += (entry, index) in ledger.members.get(task_id, ())
            if entry.waits[index]:
                waiting += 1
                size += len(node.call.body)
                known = calls.get(task_id)
                assert known is None or known.spec == FOREIGN, f"{task_id} is released and waits all the same"
                assert node.needs, f"{task_id} needs nothing, and waits"
        assert left == entry.left > 0, f"plan {entry.plan.id} counts {entry.left} calls that have not ended, of {left}"
    for task_id, places in ledger.members.items():
        for entry, _ in places:
            assert ledger.entries.get(entry.plan.id) is entry, f"{task_id} belongs to a plan that is not there"
        has_place = calls.get(task_id) is not None or ledger.waiting(task_id) is not None
        assert has_place, f"{task_id} belongs to a plan, and is nowhere"
    assert ledger.waiting_count == waiting, (
        f"{ledger.waiting_count} calls are counted that wait for others, of {waiting}"
    )
    return size


def _places(core: Coordinator) -> Counter[str]:
    places: Counter[str] = Counter()
    for lane in core.state.lanes:
        places.update(call.id for _, call in lane.standing() if call.attempt != GONE)
    places.update(core.state.held_back.keys())
    for worker in core.state.workers.values():
        places.update(worker.leases.keys())
    for call in core.state.calls:
        if not call.worker and call.not_before and call.id not in core.state.held_back:
            places[call.id] += 1
            assert any(each is call for _, _, each in core.state.schedule._heap), (
                f"{call.id} waits for a time nobody knows"
            )
    return places


def _check_lanes(core: Coordinator) -> None:
    sizes: Counter[str] = Counter()
    for lane in core.state.lanes:
        standing = [call for _, call in lane.standing()]
        where = f"lane {lane.queue.name}/{lane.offer}"
        assert len(lane) == len(standing), f"{where} counts {len(lane)}, holds {len(standing)}"
        gone = sum(call.attempt == GONE for call in standing)
        assert lane.gone == gone, f"{where} counts {lane.gone} gone, holds {gone}"
        sizes[lane.queue.name] += len(standing)
        if isinstance(lane, LimitedLane):
            _check_stands(lane)
        for group in core.state.lanes.groups.values():
            overlooked = group.active if lane.leads else group.limited
            assert (lane in overlooked) == (group.matches(lane) and lane.size > 0), "a group overlooks a lane"
        direct = core.state.lanes.direct
        owners = direct.workers.get(owner_of(lane.queue.name), [])
        is_seen = lane in direct.active or any(lane in owner.waiting for owner in owners)
        assert is_seen or not (direct.matches(lane) and lane.size > 0), "a worker's own lane is overlooked"
        assert lane not in direct.active or (direct.matches(lane) and lane.size > 0), (
            "an own lane is looked at for nothing"
        )
        assert lane.queue.is_paused == (lane.queue.name in core.state.lanes.paused), "a queue is paused by half"
    for queue in core.state.lanes.queues.values():
        assert queue.size == sizes[queue.name], f"queue {queue.name} counts {queue.size}, holds {sizes[queue.name]}"


def _check_stands(lane: LimitedLane) -> None:
    shown = 0
    for stand in lane.stands():
        assert stand.shown == min(len(stand.line), stand.gate.open), f"{stand.gate.name} shows {stand.shown}"
        assert (stand in lane.levels[stand.level]) == (stand.shown > 0), f"{stand.gate.name} stands in the wrong place"
        assert stand in stand.gate.stands, f"{stand.gate.name} does not know its stand"
        shown += stand.shown
    assert shown == lane.size, f"lane {lane.queue.name}/{lane.offer} counts {lane.size} that may start, shows {shown}"


def _check_gates(core: Coordinator) -> None:
    """All that is leased and limited is counted, and what waits for a time is looked at then."""
    state = core.state
    running: Counter[tuple[str, str]] = Counter()
    for worker in state.workers.values():
        for call in worker.leases.values():
            entry = state.entries_by_number.get(call.spec)
            if entry is not None and entry.is_limited:
                running[entry.spec.task, call.extra.limit_key if call.extra is not None else ""] += 1
    for gate in state.gates:
        assert gate.running == running[gate.name], f"{gate.name} counts {gate.running}, {running[gate.name]} are leased"
        del running[gate.name]
        assert gate.stands or gate.running or gate.due_s is not None, f"{gate.name} is not forgotten"
        is_full = gate.concurrency and gate.running >= gate.concurrency
        assert not gate.stands or gate.open or is_full or gate.due_s is not None, f"{gate.name} stays closed"
    assert not running, f"{sorted(running)} are leased, and no gate knows"


def _check_workers(core: Coordinator) -> None:
    groups: Counter[int] = Counter()
    for worker in core.state.workers.values():
        groups[id(worker.group)] += 1
        for call in worker.leases.values():
            assert call.worker == worker.number, f"{call.id} is leased to {worker.name} and says {call.worker}"
            assert call.attempt > 0, f"{call.id} is leased and has no attempt"
            assert core.state.calls.get(call.id) is call, f"{call.id} is leased and not known"
        assert set(worker.begun) <= set(worker.leases), f"{worker.name} has begun calls that it does not hold"
        if worker.contact is Contact.READY and worker.peer is not None and worker.credit > 0:
            right = worker.group.free if len(worker.leases) < worker.slots else worker.group.ahead
            assert worker.ring is right, f"{worker.name} has credit and stands in the wrong line"
            assert worker in right, f"{worker.name} has credit and does not stand in line"
        assert not worker.outgoing, f"{worker.name} was leased calls that were not sent"
    for group in core.state.lanes.groups.values():
        assert group.workers == groups[id(group)], "a group miscounts its workers"
        ready = any(w.contact is Contact.READY and w.credit > 0 for w in (*group.free, *group.ahead))
        assert core.state.is_leaving or not (ready and group.active), (
            "calls are ready, a worker has credit, and they do not meet"
        )
        free = any(w.contact is Contact.READY and w.credit > 0 for w in group.free)
        assert core.state.is_leaving or not (free and group.limited), "limited calls and a free slot do not meet"
    direct = core.state.lanes.direct
    owners = [worker for workers in direct.workers.values() for worker in workers]
    assert set(owners) == set(core.state.workers.values()), "not every worker can be addressed"
    for worker in owners:
        is_ready = worker.contact is Contact.READY and worker.peer is not None and worker.credit > 0
        own = [
            lane
            for lane in direct.lanes.get(worker.name, ())
            if lane.size > lane.gone and (lane.leads or len(worker.leases) < worker.slots) and not lane.queue.is_paused
        ]
        waits = any(lane.offer in worker.group.offers for lane in own)
        assert core.state.is_leaving or not (is_ready and waits), "a worker has credit and does not get its own calls"
    for call in core.state.calls:
        if call.spec != FOREIGN:
            assert call.spec in core.state.entries_by_number


def check_sessions(core: Coordinator) -> None:
    """Raise AssertionError unless connections, sessions and what clients wait for agree. Called by the fuzzer."""
    state = core.state
    open_peers = {client.peer for client in state.clients.values()} | {each.peer for each in state.workers.values()}
    assert set(state.peers) == open_peers - {None}, "the open sessions are not those of the clients and workers"
    for peer, party in state.peers.items():
        assert party.peer == peer, f"peer {peer} is taken for a session that has another one"
        assert peer not in state.controls, f"peer {peer} is both connections of a node"
    for peer, epoch in state.controls.items():
        assert state.workers[epoch].control == peer, f"peer {peer} is taken for the second connection of {epoch}"
    for task_id, watchers in state.watchers.items():
        assert watchers, f"{task_id} is watched by nobody"
        assert all(task_id in client.watched for client in watchers), f"{task_id} is watched and nobody knows"
    for client in state.clients.values():
        assert state.clients_by_number[client.number] is client, f"client {client.number} cannot be found"
        assert all(client in state.watchers[task_id] for task_id in client.watched), "a watched call is forgotten"
