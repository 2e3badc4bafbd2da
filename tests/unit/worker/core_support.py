"""A worker's core with a clock that the test moves, and a coordinator that the test speaks for."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from actorq.config import LivenessSettings, WorkerSettings
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import OUTCOME_STATES, SUCCESS, Call, CallSpec, Member, Outcome
from actorq.worker.core import ReplyTo, Session, Worker

LIVENESS = LivenessSettings(grace_s=2.0)
ADDRESS = "tcp://coordinator:1"
PLAIN, ONCE, BY_VALUE = 1, 2, 3
"""Numbers of the specs that a bench defines."""
SPECS = [(PLAIN, CallSpec("add")), (ONCE, CallSpec("add", acks_late=False)), (BY_VALUE, CallSpec("f", code="digest"))]
ME, OTHER = 7, 8
"""Numbers of the clients that it defines."""
REPLY_TO = {ME: ReplyTo("me", "tcp://me:1"), OTHER: ReplyTo("other", "tcp://other:1")}

M = TypeVar("M", bound=Message)


class Job:
    """What a pool would run for the calls of a spec."""

    def __init__(self, spec: CallSpec, code: bytes | None) -> None:
        self.spec, self.code = spec, code
        self.guarded = spec.at_most_once


class Bench:
    """Feeds the core and keeps what it says: to the coordinator in `said`, to clients in `results`.

    Messages are packed and unpacked on the way, as they are between processes. `twice`: each is fed two times.
    """

    def __init__(self, twice: bool = False, connect: bool = True, **settings: Any) -> None:
        self.twice = twice
        self.now_s = 100.0
        self.said: list[Message] = []
        self.results: list[tuple[str, str]] = []
        """Session and call id, of outcomes that went straight to clients."""
        self.to_end: list[str] = []
        """Running calls that are to end."""
        self.hung_up = False
        self.rejected = ""
        settings.setdefault("concurrency", 2)
        whole = WorkerSettings(liveness=LIVENESS, **settings)
        self.core = Worker("worker", "epoch", 1, ["default"], ["add"], Job, whole, [ADDRESS], self.now_s)
        self.peer = self._peers = 0
        self._packer = frames.Packer()
        self._deliveries = 0
        if connect:
            self.connect()

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, and the core speak."""
        self.now_s += seconds
        self.core.advance(self.now_s)
        effects = self.core.finish()
        self.said += effects.sends[self.peer]
        for reply_to, outcomes in effects.results.items():
            self.results += [(reply_to.session, outcome.id) for outcome in outcomes]
        self.to_end += [task_id for task_id, _, _ in effects.end]
        self.hung_up = self.hung_up or bool(effects.hang_ups)
        self.rejected = self.rejected or effects.rejected
        for address in effects.dial:
            self._peers += 1
            self.peer = self._peers
            self.core.dialled(address, self.peer)

    def hear(self, *messages: Message) -> None:
        """The coordinator says this."""
        self.core.advance(self.now_s)
        for message in messages:
            packed = [bytes(frame) for frame in self._packer.pack(message)]
            for _ in range(1 + self.twice):
                self.core.receive(self.peer, frames.unpack(packed, frames.TO_WORKER))
        self.step()

    def open(self, coordinator: str = "coordinator") -> m.WorkerHello:
        """A new connection is up, and the coordinator has said who it is. Returns the Hello, the first thing after that."""
        self.core.lose(self.peer)
        for connection in self.core.directory:
            connection.dial_s = self.now_s
        self.step()
        self.said.clear()
        self.core.opened(self.peer)
        self.step()
        discover = self.said.pop(0)
        assert isinstance(discover, m.Discover)
        self.hear(m.View(discover.nonce, Member(ADDRESS, coordinator, coordinator), []))
        hello = self.said.pop(0)
        assert isinstance(hello, m.WorkerHello)
        return hello

    def connect(self, coordinator: str = "coordinator") -> m.WorkerHello:
        """A new connection is up and welcomed, and what the numbers mean is said. Returns the Hello."""
        hello = self.open(coordinator)
        self._deliveries = 0
        self.hear(m.Welcome(1, hello.nonce, coordinator, coordinator))
        self.hear(m.Code("digest", b"the function"))
        self.hear(m.Define(SPECS, [(number, each.session, each.address) for number, each in REPLY_TO.items()]))
        return hello

    def lose(self) -> None:
        """The connection is lost."""
        self.core.lose(self.peer)
        self.step()

    @property
    def session(self) -> Session:
        """The one session."""
        (session,) = self.core.sessions.values()
        return session

    def deliver(self, *ids: str, spec: int = PLAIN, attempt: int = 1, client: int = ME, lost: int = 0) -> None:
        """The coordinator leases calls."""
        self._deliveries += 1
        calls = [Call(task_id, spec, b"", client=client, attempt=attempt, lost=lost) for task_id in ids]
        self.hear(m.Deliver(self._deliveries, calls))

    def start(self) -> list[str]:
        """The pool takes what is ready. Returns the ids."""
        started = [call.id for call, _ in self.core.ready]
        self.core.ready.clear()
        return started

    def end(self, *ids: str, state: int = SUCCESS) -> None:
        """The pool has finished calls."""
        outcomes = [Outcome(task_id, self.core.held[task_id].attempt, state, b"") for task_id in ids]
        self.core.ended(outcomes)
        self.step()

    def take(self, kind: type[M]) -> list[M]:
        """What was said of that kind since this was asked the last time."""
        found = [msgspec.structs.replace(message) for message in self.said if isinstance(message, kind)]
        self.said = [message for message in self.said if not isinstance(message, kind)]
        return found

    def reported(self) -> dict[str, str]:
        """The states of the outcomes that were reported, by id."""
        outcomes = [outcome for message in self.take(m.Finished) for outcome in message.outcomes]
        return {outcome.id: OUTCOME_STATES[outcome.state] for outcome in outcomes}

    def given_back(self) -> list[tuple[str, int]]:
        return [attempt for message in self.take(m.Returned) for attempt in message.attempts]
