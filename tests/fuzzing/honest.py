"""A client and a worker that keep to the protocol, made of the real cores. What comes to them must be what they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorq.client.core import Client
from actorq.client.pending import Pending
from actorq.config import ClientSettings, WorkerSettings
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import BY_VALUE, SUCCESS, Call, CallSpec, Outcome
from actorq.worker.core import Worker

TASK, QUEUE = "honest-task", "honest-queue"
SPECS = (CallSpec(TASK, QUEUE), CallSpec(TASK, QUEUE, acks_late=False), CallSpec("honest-fn", QUEUE, code="digest"))
ADDRESS = "tcp://a:1"
REPLY_ADDRESS = "tcp://127.0.0.1:999"
VERSIONS = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)

Say = Callable[[int, Message], None]
"""Send a message to the coordinator over the connection with this number."""


def passed_on(message: Message, kinds: frames.Kinds) -> Any:
    """The message as it arrives; raises if its receiver would not take it."""
    return frames.unpack([bytes(frame) for frame in frames.Packer().pack(message)], kinds)


class HonestClient:
    """Submits calls and keeps what becomes of them."""

    def __init__(self, peer: int, say: Say, now_s: float) -> None:
        self.peer = peer
        self.core = Client("honest", "honest-session", [ADDRESS], REPLY_ADDRESS, ClientSettings(), now_s)
        self.core.specs += enumerate(SPECS, start=1)
        self.core.codes["digest"] = b"the function"
        self.submitted: list[Pending] = []
        self._say = say
        self.turn(now_s)
        self.core.dialled(peer)
        self.core.opened(peer)
        self.turn(now_s)

    def submit(self, spec: int, task_id: str, is_chosen: bool, not_before: float = 0.0) -> None:
        pending = Pending(task_id, Call(task_id, spec, b"body", not_before))
        assert isinstance(pending.call, Call)
        self.core.pending[task_id] = pending
        (self.core.chosen if is_chosen else self.core.outbox).append(pending.call)
        self.submitted.append(pending)

    def hear(self, message: Message) -> None:
        arrived = passed_on(message, frames.TO_CLIENT)
        assert not isinstance(arrived, (m.Reset, m.Rejected)), "the session of an honest client was ended"
        self.core.receive(self.peer, arrived)

    def turn(self, now_s: float) -> None:
        self.core.advance(now_s)
        for message in self.core.finish().sends:
            self._say(self.peer, message)


class HonestWorker:
    """Runs at once what it may run, answers commands, and is heard of."""

    def __init__(self, peer: int, control: int, say: Say, now_s: float) -> None:
        self.peer, self.control = peer, control
        settings = WorkerSettings(concurrency=4)
        queues, offers = [QUEUE, "default"], [TASK, "add", BY_VALUE]
        self.core = Worker("honest-worker", "honest-epoch", 1, queues, offers, _Job, settings, [ADDRESS], now_s)
        self.client: HonestClient | None = None
        self._say = say
        self._is_watched = False
        self.core.finish()
        self.core.dialled(ADDRESS, peer)
        self.core.opened(peer)
        self.turn(now_s)

    def hear(self, message: Message) -> None:
        arrived = passed_on(message, frames.TO_WORKER)
        assert not isinstance(arrived, (m.Reset, m.Rejected)), "the session of an honest worker was ended"
        self.core.receive(self.peer, arrived)
        if isinstance(arrived, m.Welcome) and not self._is_watched:
            self._is_watched = True
            self._say(self.control, m.ControlHello(VERSIONS, "1", "honest-worker", "honest-epoch"))

    def hear_control(self, message: Message) -> None:
        arrived = passed_on(message, frames.TO_CONTROL)
        assert not isinstance(arrived, (m.Reset, m.Rejected)), "the second session of an honest worker was ended"
        if isinstance(arrived, m.Command):
            self._say(self.control, m.Reply(arrived.token, {"ok": "pong"}))
        elif isinstance(arrived, m.Renewed):
            for session in self.core.sessions.values():
                session.leases_hold_until_s = arrived.sent_s + 2

    def beat(self, now_s: float) -> None:
        self._say(self.control, m.Heartbeat(now_s, 0.0, []))

    def turn(self, now_s: float) -> None:
        self.core.advance(now_s)
        ready = [self.core.ready.popleft()[0] for _ in range(len(self.core.ready))]
        self.core.ended([Outcome(call.id, call.attempt, SUCCESS, b"\xc0") for call in ready])
        effects = self.core.finish()
        for reply_to, outcomes in effects.results.items():
            results = passed_on(m.Results(reply_to.session, outcomes), frames.TO_REPLY_SOCKET)
            if self.client is not None and results.session == self.client.core.session:
                self.client.core.settled(results.outcomes)
        for message in effects.sends[self.peer]:
            self._say(self.peer, message)


class _Job:
    def __init__(self, spec: CallSpec, code: bytes | None) -> None:
        self.spec = spec
        self.guarded = spec.at_most_once
