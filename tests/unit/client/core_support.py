"""A client's core with a clock that the test moves, and coordinators that the test speaks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from actorq.client.core import Client
from actorq.client.pending import Pending
from actorq.config import ClientSettings
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.payload import decode_failure
from actorq.wire.records import FAILURE, SUCCESS, Call, CallSpec, Member, Outcome

PLAIN, IGNORED, BY_VALUE = 1, 2, 3
"""Numbers of the specs that a bench has."""
SPECS = [CallSpec("add"), CallSpec("add", ignore_result=True), CallSpec("f", code="digest")]

M = TypeVar("M", bound=Message)


class Bench:
    """Feeds the core, and keeps what it says and where it dials.

    Messages are packed and unpacked on the way, as they are between processes. `twice`: each is fed two times.
    """

    def __init__(
        self, twice: bool = False, connect: bool = True, addresses: tuple[str, ...] = ("tcp://a:1",), **settings: Any
    ) -> None:
        self.twice = twice
        self.now_s = 100.0
        self.said: list[Message] = []
        self.dialled: list[str] = []
        self.answers: dict[int, Any] = {}
        self.deadline_s: float | None = None
        self.settings = ClientSettings(**settings)
        self.core = Client("client", "session", addresses, "tcp://me:1", self.settings, self.now_s)
        self.core.specs += enumerate(SPECS, start=1)
        self.core.codes["digest"] = b"the function"
        self.peer = 0
        self._packer = frames.Packer()
        self.step()
        if connect:
            self.connect()

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, and the core speak."""
        self.now_s += seconds
        self.core.advance(self.now_s)
        effects = self.core.finish()
        self.said += effects.sends
        self.answers.update(effects.answers)
        self.deadline_s = effects.deadline_s
        if effects.dial:
            self.dialled.append(effects.dial)
            self.peer += 1
            self.core.dialled(self.peer)

    def wait(self, seconds: float) -> None:
        """Let time pass, and be called whenever the core wants it."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            due_s = until_s if self.deadline_s is None else min(max(self.deadline_s, self.now_s + 0.001), until_s)
            self.step(due_s - self.now_s)

    def hear(self, *messages: Message) -> None:
        """The coordinator says this."""
        self.core.advance(self.now_s)
        for message in messages:
            packed = [bytes(frame) for frame in self._packer.pack(message)]
            for _ in range(1 + self.twice):
                self.core.receive(self.peer, frames.unpack(packed, frames.TO_CLIENT))
        self.step()

    def open(self) -> m.ClientHello:
        """The connection that was dialled is up. Returns the Hello, which is the first thing on it."""
        self.said.clear()
        self.core.opened(self.peer)
        self.step()
        hello = self.said.pop(0)
        assert isinstance(hello, m.ClientHello)
        return hello

    def connect(
        self,
        epoch: str = "coordinator",
        durable: bool = False,
        window: int = 100,
        transient: Sequence[str] = (),
        others: Sequence[str] = (),
    ) -> None:
        """The connection that was dialled is up, and welcomed by this coordinator, which names `others`."""
        members = [Member(address) for address in others]
        nonce = self.open().nonce
        self.hear(m.Welcome(1, nonce, epoch, epoch, window, durable, transient=list(transient), others=members))

    def reconnect(self, epoch: str = "coordinator", **options: Any) -> None:
        """The connection is lost, and after a while there is another one."""
        self.core.lose(self.peer)
        self.said.clear()
        dials = len(self.dialled)
        while len(self.dialled) == dials:
            self.step(0.1)
        self.connect(epoch, **options)

    def submit(self, *ids: str, spec: int = PLAIN, chosen: bool = False) -> list[Pending]:
        """A user hands calls over."""
        pending = [Pending(task_id, Call(task_id, spec, b"")) for task_id in ids]
        for each in pending:
            if not SPECS[spec - 1].ignore_result:
                self.core.pending[each.id] = each
            assert isinstance(each.call, Call)
            (self.core.chosen if chosen else self.core.outbox).append(each.call)
        self.step()
        return pending

    def settle(self, *ids: str) -> m.Settled:
        return m.Settled([Outcome(task_id, 1, SUCCESS, b"") for task_id in ids])

    def take(self, kind: type[M]) -> list[M]:
        """What was said of that kind since this was asked the last time."""
        found = [message for message in self.said if isinstance(message, kind)]
        self.said = [message for message in self.said if not isinstance(message, kind)]
        return found

    def submitted(self) -> list[tuple[list[str], bool]]:
        """The ids in each submission, and whether it says that they may be running."""
        return [([call.id for call in message.calls], message.resent) for message in self.take(m.Submit)]


def failure_of(pending: Pending) -> Exception | None:
    """Why a call failed; None while it has not settled."""
    if pending.outcome is None:
        return None
    assert pending.outcome.state == FAILURE
    return decode_failure(frames.bytes_of(pending.outcome.body))
