"""A client's core, against a coordinator and workers that say whatever they like. An honest one comes after them."""

from __future__ import annotations

from actorq.client.core import Ask, Client, Order, Watch
from actorq.client.pending import Pending
from actorq.config import ClientSettings
from actorq.errors import ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import CODE_MISSING, Message
from actorq.wire.records import SUCCESS, Call, CallSpec, Outcome
from tests.fuzzing.engine import Target
from tests.fuzzing.honest import passed_on
from tests.fuzzing.mutation import hostile_frames
from tests.fuzzing.samples import MESSAGES, TEXTS
from tests.fuzzing.tape import Tape

KINDS = list(frames.TO_CLIENT.values())
SAMPLES = {type(message): message for message in MESSAGES}
SPECS = (CallSpec("add"), CallSpec("add", ignore_result=True), CallSpec("fn", code="digest"))


class World:
    """The client and whoever it is connected to."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.now_s = 100.0
        self.core = Client("client", "session", ["tcp://a:1", "tcp://b:1"], "tcp://me:1", ClientSettings(), self.now_s)
        self.core.specs += enumerate(SPECS, start=1)
        self.core.codes["digest"] = b"the function"
        self.peer = 0
        self.tokens = 0
        self.said: list[Message] = []
        self.pendings: list[Pending] = []
        self.watched: set[str] = set()
        self.turn()

    def turn(self) -> None:
        """What the shell does after each batch. All that the client says is what a coordinator takes."""
        self.core.advance(self.now_s)
        effects = self.core.finish()
        self.said = (self.said + [passed_on(message, frames.FROM_CLIENT) for message in effects.sends])[-20:]
        if effects.dial:
            self.peer += 1
            self.core.dialled(self.peer)
            if not self.tape.chance(20):
                self.core.opened(self.peer)
                self.turn()
        assert self.core.unaccepted_count == sum(sent.weight for sent in self.core._unaccepted), "miscounted"
        for pending in self.pendings:
            known = self.core.pending.get(pending.id) is pending
            assert known != pending.is_settled(), f"{pending.id} has settled and is awaited, or neither"

    def step(self) -> None:
        tape = self.tape
        what = tape.below(100)
        if what < 60:
            self.hear()
        elif what < 75:
            self.submit(tape.below(len(SPECS)) + 1, tape.chance(30))
        elif what < 80:
            self.tokens += 1
            ids = [self.own_id() for _ in range(tape.below(3))]
            self.core.requests.append(
                Ask(self.tokens, ids) if tape.chance(50) else Order(self.tokens, "ping", {}, [], 1.0)
            )
        elif what < 83:
            task_id = f"other-{tape.below(3)}"
            if self.core.pending.setdefault(task_id, Pending(task_id, None)).outcome is None:
                self.core.requests.append(Watch(task_id))
        elif what < 93:
            self.now_s += tape.choice((0.01, 1.0, 6.0))
        elif what < 96:
            self.core.lose_reply()
        else:
            self.core.lose(self.peer)
        self.turn()

    def submit(self, spec: int, is_chosen: bool) -> None:
        pending = Pending(f"call-{len(self.pendings)}", Call(f"call-{len(self.pendings)}", spec, b""))
        if not SPECS[spec - 1].ignore_result:
            self.core.pending[pending.id] = pending
            self.pendings.append(pending)
        assert isinstance(pending.call, Call)
        (self.core.chosen if is_chosen else self.core.outbox).append(pending.call)

    def hear(self) -> None:
        tape = self.tape
        changes = 0 if tape.chance(40) else 1 + tape.below(3)
        data = hostile_frames(tape, self.message(tape.choice(KINDS)), (*TEXTS, "call-0", "call-1", "call-2"), changes)
        for _ in range(1 + tape.chance(15)):
            try:
                if tape.chance(10):
                    results = frames.unpack(data, frames.TO_REPLY_SOCKET)
                    assert isinstance(results, m.Results)
                    self.core.settled(results.outcomes)
                else:
                    self.core.receive(self.peer, frames.unpack(data, frames.TO_CLIENT))
            except ProtocolError:
                self.core.lose(self.peer)
                return

    def message(self, kind: type[Message]) -> Message:
        tape = self.tape
        if kind is m.Welcome:
            nonce = next((each.nonce for each in reversed(self.said) if isinstance(each, m.ClientHello)), "")
            return m.Welcome(1, nonce, "c", f"c-{tape.below(3)}", tape.choice((0, 1, 100, 100)), tape.chance(30))
        if kind is m.Settled:
            return m.Settled([Outcome(self.own_id(), 1, tape.below(3), b"") for _ in range(tape.below(3))])
        if kind is m.Refused:
            return m.Refused([(self.own_id(), tape.choice((CODE_MISSING, "why")))])
        if kind is m.Report:
            token = next((each.token for each in reversed(self.said) if isinstance(each, m.Query)), 1)
            return m.Report(token, [(self.own_id(), tape.choice(("", "PENDING")))])
        return SAMPLES[kind]

    def own_id(self) -> str:
        return f"call-{self.tape.below(len(self.pendings) + 1)}"

    def conclude(self) -> None:
        """An honest coordinator gets all that has not settled, and settles it."""
        self.core.lose(self.peer)
        for _ in range(20):
            self.now_s += 6.0
            self.turn()
            said, self.said = self.said, []
            for message in said:
                if isinstance(message, m.ClientHello):
                    self.core.receive(self.peer, m.Welcome(1, message.nonce, "honest", "honest", 1000))
                elif isinstance(message, m.Submit):
                    outcomes = [Outcome(call.id, 1, SUCCESS, b"") for call in message.calls]
                    self.core.receive(self.peer, m.Settled(outcomes))
                    self.core.receive(self.peer, m.Accepted(message.seq))
                elif isinstance(message, m.Query):
                    self.core.receive(self.peer, m.Report(message.token, [(each, "") for each in message.ids]))
        assert not [each.id for each in self.pendings if not each.is_settled()], "calls are lost"
        assert not self.core.outbox and not self.core.chosen, "calls were not sent"


def play(tape: Tape) -> None:
    """One session."""
    world = World(tape)
    while not tape.is_over():
        world.step()
    world.conclude()


TARGET = Target("client", play, ("client/core", "client/pending", "wire/"), 300)
