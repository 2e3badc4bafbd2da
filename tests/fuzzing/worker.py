"""A worker's core, against a coordinator that says whatever it likes. An honest one comes after it."""

from __future__ import annotations

import itertools

from actorq.config import CoordinatorSettings, WorkerSettings
from actorq.coordinator.core import Coordinator
from actorq.errors import ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import SUCCESS, Call, CallSpec, Member, Outcome
from actorq.worker.core import Worker
from tests.fuzzing.engine import Target
from tests.fuzzing.honest import passed_on
from tests.fuzzing.mutation import hostile_frames
from tests.fuzzing.samples import MESSAGES, TEXTS
from tests.fuzzing.tape import Tape

KINDS = list(frames.TO_WORKER.values())
SAMPLES = {type(message): message for message in MESSAGES}
ADDRESS = "tcp://127.0.0.1:1"
ATTEMPTS = (1, 1, 2, 2, 3, 0, -1, 2**31)
SPECS = (CallSpec("add"), CallSpec("add", acks_late=False), CallSpec("fn", code="d1gest"))


class _Job:
    def __init__(self, spec: CallSpec, code: bytes | None) -> None:
        self.spec = spec
        self.guarded = spec.at_most_once


class World:
    """The worker and whoever it is connected to."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.now_s = 100.0
        settings = WorkerSettings(concurrency=3, unacked_limit=20)
        self.core = Worker("worker", "epoch", 1, ["default"], ["add"], _Job, settings, [ADDRESS], self.now_s)
        self.peer = 0
        self.addresses: list[str] = []
        """That it wants to be connected to."""
        self.is_over = False
        self.seq = itertools.count(1)
        self.running: list[Call] = []
        self.connect()

    def connect(self) -> None:
        """A new connection is up, and welcomed."""
        self.seq = itertools.count(1)
        epoch = f"c-{self.tape.below(3)}"
        self.reopen()
        discover = next(each for each in self.turn() if isinstance(each, m.Discover))
        self.core.receive(self.peer, m.View(discover.nonce, Member(ADDRESS, epoch), []))
        hello = next(each for each in self.turn() if isinstance(each, m.WorkerHello))
        self.core.receive(self.peer, m.Welcome(1, hello.nonce, "coordinator", epoch))

    def reopen(self) -> None:
        """The connection is lost, and after a while there is another one."""
        self.core.lose(self.peer)
        self.addresses.clear()
        while ADDRESS not in self.addresses:
            self.turn()
            self.now_s += 0.5
        self.peer += 1
        self.core.dialled(ADDRESS, self.peer)
        self.core.opened(self.peer)

    def turn(self) -> list[Message]:
        """What the shell does after each batch. All that the worker says is what a coordinator takes."""
        self.core.advance(self.now_s)
        effects = self.core.finish()
        self.addresses += effects.dial
        self.is_over = bool(self.peer in effects.hang_ups or effects.rejected)
        sends = effects.sends[self.peer]
        for message in sends:
            passed_on(message, frames.FROM_WORKER)
        for reply_to, outcomes in effects.results.items():
            passed_on(m.Results(reply_to.session, outcomes), frames.TO_REPLY_SOCKET)
        waiting = {call.id for call, _ in self.core.waiting()} | {call.id for call in self.running}
        assert set(self.core.held) <= waiting, "a lease is held for a call that is nowhere"
        return sends

    def step(self) -> None:
        tape = self.tape
        what = tape.below(100)
        if what < 65:
            self.hear()
        elif what < 75:
            for _ in range(tape.below(4)):
                if self.core.ready:
                    self.running.append(self.core.ready.popleft()[0])
        elif what < 88 and self.running:
            self.end(self.running.pop(tape.below(len(self.running))))
        elif what < 92:
            self.core.give_back()
        elif what < 96:
            self.now_s += tape.choice((0.01, 1.0, 10.0))
        else:
            self.connect()
        self.turn()
        if self.is_over:
            self.connect()

    def end(self, call: Call) -> None:
        self.core.ended([Outcome(call.id, call.attempt, SUCCESS, b"")])

    def hear(self) -> None:
        tape = self.tape
        data = hostile_frames(
            tape, self.message(tape.choice(KINDS)), TEXTS, 0 if tape.chance(40) else 1 + tape.below(3)
        )
        for _ in range(1 + tape.chance(15)):
            try:
                self.core.receive(self.peer, frames.unpack(data, frames.TO_WORKER))
            except ProtocolError:
                self.connect()
                return

    def message(self, kind: type[Message]) -> Message:
        tape = self.tape
        if kind is m.Deliver:
            return m.Deliver(next(self.seq), [self.call() for _ in range(1 + tape.below(4))], tape.below(3))
        if kind is m.Define:
            return m.Define(list(enumerate(SPECS, start=1)), [(1, "session", "tcp://127.0.0.1:1")])
        if kind is m.Begin or kind is m.Revoke:
            return kind([self.own_id()])
        return SAMPLES[kind]

    def own_id(self) -> str:
        return self.tape.choice(("a", "b", "c", "d"))

    def call(self) -> Call:
        tape = self.tape
        return Call(self.own_id(), 1 + tape.below(3), b"", client=tape.below(3), attempt=tape.choice(ATTEMPTS))

    def conclude(self) -> None:
        """It works for an honest coordinator, which takes what it says of what it holds."""
        self.running += [pair[0] for pair in self.core.ready]
        self.core.ready.clear()
        for call in self.running:
            self.end(call)
        honest = Coordinator("honest", "honest", CoordinatorSettings(), self.now_s, 1e9)
        self.reopen()
        for _ in range(10):
            for message in self.turn():
                honest.receive(self.peer, passed_on(message, honest.allowed(self.peer)))
            self.now_s += 3.0
            honest.advance(self.now_s, 1e9)
            for answer in honest.finish().sends[self.peer]:
                assert not isinstance(answer, (m.Reset, m.Rejected)), "an honest coordinator does not take it"
                self.core.receive(self.peer, passed_on(answer, frames.TO_WORKER))
            self.running += [pair[0] for pair in self.core.ready]
            self.core.ready.clear()
        assert all(each.is_idle() for each in self.core.sessions.values()), (
            "an honest coordinator did not acknowledge its outcomes"
        )


def play(tape: Tape) -> None:
    """One session."""
    world = World(tape)
    while not tape.is_over():
        world.step()
    world.conclude()


TARGET = Target("worker", play, ("worker/core", "wire/"), 300)
