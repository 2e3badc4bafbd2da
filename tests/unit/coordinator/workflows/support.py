"""Workflows to submit, and what tests of them do with a bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actorq.wire import messages as m
from actorq.wire.payload import encode_failure
from actorq.wire.records import CAUSE, NOTHING, REPLACED, VALUE, VALUES, Call, CallSpec, Node, Part, Plan, Replacement
from tests.unit.coordinator.support import SPEC, Bench, ClientParty, WorkerParty


def node(task_id: str, takes: int = NOTHING, needs: int = 0, **fields: Any) -> Node:
    return Node(Call(task_id, 1, f"arguments of {task_id}".encode()), takes, needs, **fields)


def chain(*ids: str, takes: int = VALUE) -> list[Node]:
    """Each takes the value of the one before it."""
    nodes = [node(ids[0])] + [node(each, takes, 1) for each in ids[1:]]
    for index, each in enumerate(nodes[:-1]):
        each.then = [(index + 1, 0)]
    return nodes


def chord(body: str, *header: str) -> list[Node]:
    """The body takes the values of all."""
    nodes = [node(each, then=[(len(header), place)]) for place, each in enumerate(header)]
    return [*nodes, node(body, VALUES, len(header))]


def with_errback(*nodes: Node) -> list[Node]:
    """The same errback for all."""
    for each in nodes:
        each.catch = [len(nodes)]
    return [*nodes, node("errback", CAUSE, len(nodes))]


def failure(text: str = "no") -> bytes:
    return encode_failure(ValueError(text), "")


def replacement(*nodes: Node, specs: tuple[CallSpec, ...] = (SPEC,), plan_id: str = "more") -> bytes:
    return msgspec.msgpack.encode(Replacement(list(specs), Plan(plan_id, list(nodes))))


def go_on(worker: WorkerParty, task_id: str, *nodes: Node, plan_id: str = "more") -> None:
    """The worker reports that a call of its goes on as these."""
    worker.report(task_id, state=REPLACED, body=replacement(*nodes, plan_id=plan_id))


def inputs_of(worker: WorkerParty, task_id: str) -> list[Part]:
    """What a delivered call takes from those before it."""
    inputs = worker.calls[task_id].inputs
    return [] if inputs is None else inputs.parts


def parties(bench: Bench, slots: int = 10) -> tuple[ClientParty, WorkerParty]:
    return bench.client(), bench.worker(slots=slots)


def is_clean(bench: Bench) -> bool:
    ledger, state = bench.core.state.ledger, bench.core.state
    return not (ledger.entries or ledger.members or ledger.waiting_count or state.calls or state.body_bytes)


def hand_over(giver: Bench, heir: Bench) -> None:
    """All that `giver` has goes to `heir`, as soon as it may."""
    link = giver.coordinator("heir")
    giver.drain()
    taker = heir.coordinator("giver")
    for message in link.link.take(m.HandOver):
        taker.say(message)
        link.link.say(m.Accepted(message.seq))


def after_a_restart(bench: Bench, worker: WorkerParty, *held: str, slots: int = 10) -> WorkerParty:
    """The coordinator is killed and starts anew, and the worker is back, which holds these calls in their first attempts."""
    before = bench.epoch
    bench.start()
    return _holding(held, worker.return_anew([(each, 1) for each in held], slots=slots, coordinator=before))


def new_worker_after_a_restart(bench: Bench, name: str = "worker") -> WorkerParty:
    """The coordinator is killed and starts anew, and a worker comes that holds nothing: it gets what nobody has."""
    bench.start()
    worker = bench.worker(name, slots=10)
    bench.wait(3.0)
    return worker


def worker_from_before(bench: Bench, *held: str, slots: int = 10) -> WorkerParty:
    """A worker that holds these calls, in their first attempts, from a coordinator of which nothing is left."""
    worker = bench.worker(slots=slots, coordinator="the one before", held=[(each, 1) for each in held])
    return _holding(held, worker)


def _holding(held: Sequence[str], worker: WorkerParty) -> WorkerParty:
    worker.calls.update((each, Call(each, 1, b"", attempt=1)) for each in held)
    return worker
