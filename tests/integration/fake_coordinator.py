"""A coordinator that does what a test tells it, for the tests of a worker node on its own."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any, TypeVar

from actorq.transport import Event, Peer, Received
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.payload import encode_call
from actorq.wire.records import BY_VALUE, REPLACED, Call, CallSpec, Member, Outcome
from actorq.wire.replacements import decode_replacement
from tests.integration.link_thread import LinkThread
from tests.support import eventually

M = TypeVar("M", bound=Message)
EPOCH = "fake-epoch"
CLIENT = 1
"""Number of the client that calls are for."""
_ALL = {**frames.HELLO, **frames.FROM_WORKER, **frames.FROM_CONTROL, **frames.TO_REPLY_SOCKET}


class FakeCoordinator(LinkThread):
    """Welcomes whoever says Hello, answers heartbeats, acknowledges what is reported. The rest is up to the test."""

    def __init__(self, address: str = "tcp://127.0.0.1:*") -> None:
        self.received: list[tuple[Peer, Message]] = []
        self.address = address
        self.work: Peer = 0
        self.control: Peer = 0
        self.acknowledges = True
        self.rejection = ""
        self._orders: deque[tuple[Peer, Message]] = deque()
        self._packer = frames.Packer()
        self._ids = map("call-{}".format, itertools.count(1)).__next__
        self._deliveries = 0
        self._specs: dict[CallSpec, int] = {}
        self._again: dict[str, int] = {}
        """The last attempt of calls that were replaced."""
        super().__init__()

    def _open(self) -> None:
        self.address = self._link.listen(self.address)

    # -- what a test says and hears --------------------------------------------------------------------------------

    def send(self, peer: Peer, message: Message) -> None:
        self._orders.append((peer, message))
        self._link.wake()

    def all(self, kind: type[M], peer: Peer | None = None) -> list[M]:
        """All messages of a kind that have come, from one connection or from all."""
        return [
            message for sender, message in list(self.received) if isinstance(message, kind) and peer in (None, sender)
        ]

    def wait_for(self, kind: type[M], count: int = 1, peer: Peer | None = None) -> M:
        """Wait until that many messages of a kind have come. Returns the last of them."""
        found = eventually(
            lambda: len(self.all(kind, peer)) >= count and self.all(kind, peer), 20, f"{count} {kind.__name__}"
        )
        assert found
        return found[count - 1]

    def wait_for_worker(self) -> m.WorkerHello:
        """Wait until a node has both of its connections."""
        hello = self.wait_for(m.WorkerHello)
        self.wait_for(m.Heartbeat)
        return hello

    def define(self, spec: CallSpec, reply_address: str = "") -> int:
        """The number of a spec, which the worker is told at the first time."""
        number = self._specs.get(spec)
        if number is None:
            number = self._specs[spec] = len(self._specs) + 1
            clients = [(CLIENT, "session", reply_address)] if reply_address else []
            self.send(self.work, m.Define([(number, spec)], clients))
        return number

    def deliver(
        self, task: str, *args: Any, count: int = 1, lost: int = 0, client: int = 0, **options: Any
    ) -> list[str]:
        """Lease calls to the worker. Returns their ids."""
        name = task if BY_VALUE in task or "." in task else f"tests.integration.worker_tasks.{task}"
        number = self.define(CallSpec(name, **options))
        body = encode_call(args, {})
        calls = [Call(self._ids(), number, body, attempt=1 + lost, lost=lost, client=client) for _ in range(count)]
        self._deliveries += 1
        self.send(self.work, m.Deliver(self._deliveries, calls))
        return [call.id for call in calls]

    def outcomes(self) -> dict[str, Outcome]:
        """All outcomes that were reported, by call."""
        return {outcome.id: outcome for report in self.all(m.Finished) for outcome in report.outcomes}

    def wait_for_outcome(self, task_id: str) -> Outcome:
        return eventually(lambda: self.outcomes().get(task_id), 20, f"the outcome of {task_id}")  # type: ignore[return-value]

    def wait_until_running(self, task_id: str) -> None:
        """Wait until a heartbeat has said that a call runs."""
        eventually(
            lambda: any(task_id in dict(each.running) for each in self.all(m.Heartbeat)), 20, f"{task_id} to run"
        )

    def deliver_again(self, task_id: str) -> Call:
        """Do what the outcome of a call says that is REPLACED: lease it once more, as the call that it goes on as."""
        outcome = eventually(
            lambda: next((each for each in self._replaced(task_id) if each.attempt == self._attempts(task_id)), None),
            20,
            f"{task_id} to be replaced",
        )
        assert isinstance(outcome, Outcome)
        replacement = decode_replacement(outcome.body)
        ((spec,), (node,)) = replacement.specs, replacement.plan.nodes
        call = node.call
        call.spec, call.attempt, call.client = self.define(spec), outcome.attempt + 1, CLIENT
        self._again[task_id] = call.attempt
        self._deliveries += 1
        self.send(self.work, m.Deliver(self._deliveries, [call]))
        return call

    def _attempts(self, task_id: str) -> int:
        return self._again.get(task_id, 1)

    def _replaced(self, task_id: str) -> list[Outcome]:
        outcomes = [outcome for report in self.all(m.Finished) for outcome in report.outcomes]
        return [outcome for outcome in outcomes if outcome.id == task_id and outcome.state == REPLACED]

    # -- its thread ------------------------------------------------------------------------------------------------

    def _turn(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                message = frames.unpack(event.frames, _ALL)
                self._answer(event.peer, message)
                self.received.append((event.peer, message))
        while self._orders:
            peer, message = self._orders.popleft()
            self._link.send(peer, self._packer.pack(message))

    def _answer(self, peer: Peer, message: Any) -> None:
        kind = type(message)
        answer: Message | None = None
        if kind in (m.WorkerHello, m.ControlHello):
            if kind is m.WorkerHello:
                self.work, self._deliveries = peer, 0
            else:
                self.control = peer
            answer = m.Rejected(self.rejection) if self.rejection else m.Welcome(1, message.nonce, "fake", EPOCH)
        elif kind is m.Discover:
            answer = m.View(message.nonce, Member(self.address, EPOCH, "fake"), [])
        elif kind is m.Heartbeat:
            answer = m.Renewed(message.sent_s)
        elif kind is m.Finished and self.acknowledges:
            answer = m.Acked(message.seq)
        if answer is not None:
            self._link.send(peer, self._packer.pack(answer))
