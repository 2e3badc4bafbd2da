"""What clients submit and operators do, drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from actorq.client.core import Ask, Order
from actorq.policies.numbering import FIRST_NUMBER
from actorq.wire import frames
from actorq.wire.payload import encode_failure
from actorq.wire.records import UNTIL_START, Blob, Call, CallSpec, Extra, Node, Plan, Replacement
from tests.simulation.nodes import ClientProcess
from tests.simulation.oracle import Record
from tests.simulation.workflows import random_plan

if TYPE_CHECKING:
    from tests.simulation.mesh import Mesh

QUEUES = ("default", "other")
TASKS = ("a", "b")
POISONS = 8
LONGS = 20
"""Calls that kill their workers, and that take long, at the most: it must be possible to get done in time."""
LATE_TASK = "late"
"""Workers offer it only after some time."""


class Workload:
    """Has the clients submit all calls during the chaos, and operators revoke some of them."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.rng = mesh.stream("workload")
        """What is submitted or wished for at present draws from one of its own: so leaving a kind out changes no other."""
        self._limits: dict[str, tuple[float, int]] = {}
        self._specs: list[CallSpec] = [self._limited(self._new_spec()) for _ in range(self.rng.randint(1, 6))]
        self._ids: list[str] = []
        self._chosen: list[str] = []
        self.to_submit = 0
        """Calls that will be submitted later."""
        self._tokens = 0
        self._poisons = self._longs = self._plans = 0

    def schedule(self) -> None:
        left = self.to_submit = self.mesh.options.calls
        while left > 0:
            size = min(self.rng.choice((1, 1, 3, 20)), left)
            left -= size
            self._at_random(self.rng, partial(self._submit, size))
        for kind, run in (("broadcast", self._broadcast), ("again", self._submit_again), ("watched", self._watch)):
            stream = self.mesh.stream(kind)
            for _ in range(int(self._share(kind) * 20)):
                self._at_random(stream, run)

    def _at_random(self, stream: Random, run: Callable[[], None]) -> None:
        self._later(stream.uniform(0.0, self.mesh.options.chaos_s), stream, run)

    def _later(self, delay_s: float, stream: Random, run: Callable[[], None]) -> None:
        self.mesh.loop.after(delay_s, partial(self._run, Random(stream.getrandbits(64)), run))

    def _run(self, rng: Random, run: Callable[[], None]) -> None:
        self.rng = rng
        run()

    def _share(self, kind: str) -> float:
        return self.mesh.options.shares[kind]

    def _has(self, kind: str) -> bool:
        return self.rng.random() < self._share(kind)

    def _client(self) -> ClientProcess | None:
        clients = self.mesh.clients()
        return self.rng.choice(clients) if clients else None

    # -- calls ---------------------------------------------------------------------------------------------------

    def _new_spec(self) -> CallSpec:
        return CallSpec(
            task=LATE_TASK if self._has("late name") else self.rng.choice(TASKS),
            queue=self.rng.choice(QUEUES),
            priority=self.rng.choice((0, 4, 4, 9)),
            max_deliveries=self.rng.choice((2, 3)),
            acks_late=not self._has("at most once"),
            ignore_result=self._has("ignored"),
            code=self.rng.choice(("f" * 30, "g" * 30)) if self._has("by value") else "",
        )

    def _limited(self, spec: CallSpec) -> CallSpec:
        """The limits of a task are the same in all its specs that have any."""
        if not self._has("limited"):
            return spec
        rate, concurrency = self._limits.setdefault(
            spec.task, (self.rng.choice((0.0, 5.0, 50.0)), self.rng.choice((0, 2, 5)))
        )
        return msgspec.structs.replace(spec, rate=rate, max_concurrency=concurrency)

    def _new_id(self) -> str:
        """Mostly of the form that clients make, and soon beyond the end of a block; some of another form."""
        number = len(self._ids) + 1
        is_numbered = self.rng.random() < 0.8
        return f"{'call':-<16}-{FIRST_NUMBER + 0xFE0 + number:x}" if is_numbered else f"call-{number}"

    def _submit(self, size: int) -> None:
        client = self._client()
        if client is None:
            self._later(1.0, self.rng, partial(self._submit, size))
            return
        self.to_submit -= size
        rng = self.rng
        calls = [self._new_call(client, Random(rng.getrandbits(64))) for _ in range(size)]
        self.rng = rng
        if size > 1 and self._has("workflow"):
            self._plans += 1
            plan = random_plan(f"plan-{self._plans}", [call for _, _, call in calls], self.mesh.oracle, rng)
            if self._has("cancelled"):
                self._make_tree([call for _, _, call in calls])
            client.submit_plan(plan, {task_id: spec for task_id, spec, _ in calls})
            return
        is_chosen = self._has("chosen id") or self._has("again")
        if is_chosen:
            self._chosen += [task_id for task_id, _, _ in calls]
        for _, _, call in calls:
            if self._has("unique"):
                self._make_unique(call, client.wall_s)
        client.submit(calls, is_chosen)

    def _new_call(self, client: ClientProcess, rng: Random) -> tuple[str, CallSpec, Call]:
        self.rng = rng
        spec = rng.choice(self._specs)
        task_id = self._new_id()
        self._ids.append(task_id)
        wall_s = client.wall_s
        not_before, expires = wall_s + rng.uniform(0.0, 10.0), wall_s + rng.uniform(0.0, 20.0)
        record = Record(
            id=task_id,
            spec=spec,
            body=f"arguments of {task_id}".encode(),
            kind=self._kind(),
            duration_s=self._duration_s(),
            not_before=not_before if self._has("scheduled") else 0.0,
            expires=expires if self._has("expiring") else 0.0,
            owner=client.epoch,
            submitted_s=self.mesh.loop.now_s,
            retries=rng.randint(1, 3) if self._has("retried") else 0,
            extra=Extra(limit_key=rng.choice("ab"), fair_key=rng.choice(("", "x", "y")))
            if self._has("keyed")
            else None,
        )
        self.mesh.oracle.records[task_id] = record
        if self._has("revoked"):
            self._later(rng.expovariate(0.5), rng, partial(self._revoke, task_id))
        return task_id, spec, self._call_of(record)

    def _make_unique(self, call: Call, wall_s: float) -> None:
        until_s = self.rng.choice((0.0, 0.0, UNTIL_START, wall_s + self.rng.uniform(0.5, 5.0)))
        self._add_keys(call, unique=self.rng.choice("klmn"), unique_until_s=until_s)

    def _make_tree(self, calls: Sequence[Call]) -> None:
        """The calls go back to the first one, and all are revoked with it some time later."""
        root = calls[0].id
        for call in calls[1:]:
            self._add_keys(call, root=root)
        self._later(self.rng.expovariate(0.5), self.rng, partial(self._revoke, root, name="roots"))

    def _add_keys(self, call: Call, **keys: Any) -> None:
        record = self.mesh.oracle.record(call.id)
        call.extra = record.extra = msgspec.structs.replace(record.extra or Extra(), **keys)

    def _call_of(self, record: Record) -> Call:
        body = Blob(record.body) if self._has("large") else frames.body_of(record.body)
        return Call(record.id, 0, body, record.not_before, record.expires, extra=record.extra)

    def continuation(self, record: Record, wall_s: float) -> bytes:
        """What a task says that wants to be retried: after a while, or when another call has ended."""
        rng, self._plans = self.mesh.stream("continuations"), self._plans + 1
        not_before = wall_s + rng.uniform(0.1, 2.0) if rng.random() < 0.5 else 0.0
        call = Call(record.id, 1, record.body, not_before, record.expires, extra=record.extra)
        plan = Plan(f"plan-{self._plans}", [Node(call)])
        return msgspec.msgpack.encode(Replacement([record.spec], plan, encode_failure(ValueError(record.id), "")))

    def _kind(self) -> str:
        if self._poisons < POISONS and not self.mesh.options.is_calm and self._has("poison"):
            self._poisons += 1
            return "poison"
        return next((kind for kind in ("failing", "stalling") if self._has(kind)), "plain")

    def _duration_s(self) -> float:
        if self._longs < LONGS and self._has("long"):
            self._longs += 1
            return self.rng.uniform(2.0, 10.0)
        return self.rng.expovariate(1 / self.mesh.options.call_s)

    # -- clients' and operators' wishes --------------------------------------------------------------------------

    def _submit_again(self) -> None:
        """A user chooses an id that is taken, maybe by another client's call."""
        client = self._client()
        if client is None or not self._chosen:
            return
        record = self.mesh.oracle.record(self.rng.choice(self._chosen))
        # That it has run; and there is nobody else to whom it may have been submitted.
        can_tell = self.mesh.options.is_durable and len(self.mesh.coordinators) == 1
        can_tell = can_tell or not record.spec.at_most_once
        if can_tell and self._is_unknown_to(client, record) and not record.spec.ignore_result:
            client.submit([(record.id, record.spec, self._call_of(record))], is_chosen=True)

    def _is_unknown_to(self, client: ClientProcess, record: Record) -> bool:
        return not (client.epoch in record.waiting or client.epoch in record.seen or record.id in client.core.pending)

    def _watch(self) -> None:
        """A client wants the outcome of a call that it has not submitted."""
        client = self._client()
        if client is None or not self._ids:
            return
        task_id = self.rng.choice(self._ids)
        record = self.mesh.oracle.record(task_id)
        is_unique = record.extra is not None and record.extra.unique  # Under its id it may not be known at all.
        if self._is_unknown_to(client, record) and not is_unique:
            client.watch(task_id)
            client.request(Ask(self._token(), [task_id]))

    def _revoke(self, task_id: str, name: str = "ids") -> None:
        self._order("revoke", {name: [task_id], "terminate": self.rng.random() < 0.5})

    def _broadcast(self) -> None:
        names = [machine.name for machine in self.mesh.workers]
        destination = self.rng.sample([*names, "nobody"], self.rng.randint(0, len(names)))
        self._order("ping", {}, destination)

    def _order(self, command: str, arguments: dict[str, object], destination: tuple[str, ...] | list[str] = ()) -> None:
        client = self._client()
        if client is not None:
            client.request(Order(self._token(), command, arguments, destination, self.rng.uniform(0.1, 3.0)))

    def _token(self) -> int:
        self._tokens += 1
        return self._tokens
