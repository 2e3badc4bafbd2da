"""A coordinator's core, among strangers that say whatever they like, and an honest client and worker beside them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import msgspec

from actorq.config import CoordinatorSettings
from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.checks import check, check_sessions
from actorq.coordinator.core.limits import usage
from actorq.errors import ProtocolError
from actorq.stores.memory import MemoryStore
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.frames import bytes_of
from actorq.wire.messages import Message
from actorq.wire.payload import decode_failure
from actorq.wire.records import REVOKED, SUCCESS, Call, CallSpec, Outcome
from tests.fuzzing.engine import Target
from tests.fuzzing.honest import QUEUE, SPECS, HonestClient, HonestWorker
from tests.fuzzing.mutation import FLOATS, hostile_frames
from tests.fuzzing.samples import MESSAGES, TEXTS
from tests.fuzzing.tape import Tape

STRANGERS = 4
ROUNDS = 60
"""So many exchanges are more than enough for a handful of calls."""
HARD = {"workers", "worker_names", "watched", "orders", "code", "specs"}
"""Limits that nothing goes beyond. Of the others a last message may."""
WEIGHTY = {m.Submit, m.Finished}
"""Said more often: most depends on them."""
SAMPLES = {type(message): message for message in MESSAGES}
COMMANDS = (
    "ping", "stats", "revoke", "coordinator", "queues", "dead_letters", "no such command", "declare", "topology", "consumers",
    "queue_details", "purge_queues", "show_dead_letters", "replay_dead_letters", "purge_dead_letters",
)  # fmt: skip
DECLARED = (
    ["exchange", ["logs"], {"type": "topic"}], ["exchange", ["all"], {"type": "broadcast"}], ["exchange", ["logs"], None],
    ["binding", ["logs", "default", "#"], {}], ["binding", ["logs", "fast", "*.a"], {"headers": {"a": 1}}],
    ["binding", ["logs", "fast", "*.a"], None], ["pause", ["default"], {"paused": True}],
    ["pause", ["default"], {"paused": False}], ["queue", ["fast"], {"dead_letter_expired": True}], ["nonsense", [], 5],
)  # fmt: skip
STRANGE_SPECS = (
    CallSpec("add"), CallSpec("add", acks_late=False), CallSpec("add", max_deliveries=2), CallSpec("fn", code="d1gest"),
    CallSpec("add", "", exchange="logs", routing_key="a.a"), CallSpec("add", "", exchange="all"),
    CallSpec("add", "worker.dq"), CallSpec("honest-fn", QUEUE, code="digest"), CallSpec("nobody offers it", priority=9),
    CallSpec("add", QUEUE),
)  # fmt: skip


@dataclass
class Stranger:
    """One who has a connection, and uses it as the tape says."""

    peer: int
    seq: int = 0
    attempts: list[tuple[str, int]] = field(default_factory=list)
    """What was delivered to it."""
    said: list[list[bytes]] = field(default_factory=list)


class World:
    """All parties, on a network that loses nothing."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.now_s, self.wall_s = 100.0, 1_700_000_000.0
        self.store = MemoryStore() if tape.chance(50) else None
        self.is_roomy = tape.chance(70)
        """Whether strangers cannot fill what all share."""
        roomy = CoordinatorSettings(
            durable=self.store is not None, client_window=64, client_window_bytes=3000, dead_letter_count=5,
            watch_limit=4, order_limit=2, session_limit=12, worker_limit=6, client_count=3, worker_name_chars=500,
            code_bytes=50,
        )  # fmt: skip
        self.settings = (
            roomy if self.is_roomy else replace(roomy, queue_limit=8, queued_bytes=2000, code_limit_bytes=100)
        )
        self.core = Coordinator("coordinator", "mesh-epoch", self.settings, self.now_s, self.wall_s)
        self.to_coordinator: deque[tuple[int, list[bytes]]] = deque()
        self.peers = 0
        self.texts = [*TEXTS, *COMMANDS, "mesh-epoch", "honest-worker", QUEUE]
        self.honest_ids: set[str] = set()
        self.worker = HonestWorker(self.new_peer(), self.new_peer(), self.say, self.now_s)
        self.client = HonestClient(self.new_peer(), self.say, self.now_s)
        self.worker.client = self.client
        self.strangers = {stranger.peer: stranger for stranger in [Stranger(self.new_peer()) for _ in range(STRANGERS)]}
        for number, stranger in enumerate(self.strangers.values()):
            kind: type[Message] = (m.ClientHello, m.WorkerHello)[number % 2]
            if not tape.chance(25):
                self.say(stranger.peer, self.message(stranger, kind))
        self.exchange()
        self.pass_time(tape.choice((0.0, 3.0)))  # Young or not.

    def new_peer(self) -> int:
        self.peers += 1
        return self.peers

    def say(self, peer: int, message: Message) -> None:
        self.to_coordinator.append((peer, [bytes(frame) for frame in frames.Packer().pack(message)]))

    def exchange(self) -> None:
        """Let everybody hear and answer until nobody has anything to say."""
        for _ in range(ROUNDS):
            self.core.advance(self.now_s, self.wall_s)
            while self.to_coordinator:
                self.hear(*self.to_coordinator.popleft())
            self.finish()
            self.worker.turn(self.now_s)
            self.client.turn(self.now_s)
            if not self.to_coordinator:
                return
        raise AssertionError("they do not come to an end")

    def hear(self, peer: int, data: list[bytes]) -> None:
        """What the coordinator's shell does with what comes."""
        if peer not in self.strangers and peer not in self.honest_peers():
            return  # Of a connection that is over.
        try:
            message = frames.unpack(data, self.core.allowed(peer))
        except ProtocolError:
            self.end(peer)
            return
        if isinstance(message, m.Submit) and message.fresh:
            ids = [call.id for call in message.calls]
            has_ended = any(self.core.state.outcomes.get(task_id) is not None for task_id in ids)
            message.fresh = self.is_roomy and not has_ended and len(set(ids)) == len(ids)
        if not self.is_lawful_harm(message):
            self.core.receive(peer, message)

    def honest_peers(self) -> tuple[int, ...]:
        return self.client.peer, self.worker.peer, self.worker.control

    def is_lawful_harm(self, message: Message) -> bool:
        """Whoever is let into a mesh may revoke what others have submitted.

        And run under an id what has run under it before, if it says that the id is fresh, see `hear`: looking at all
        outcomes would cost the honest ones too much.
        """
        return isinstance(message, m.Control) and message.command == "revoke"

    def finish(self) -> None:
        effects = self.core.finish()
        check(self.core)
        check_sessions(self.core)
        for name, row in usage(self.core.state, max(self.core._broadcasts.open_by_peer.values(), default=0)).items():
            # A coordinator that leaves, which a stranger may say that it is, may bring as many functions again.
            limit = row["limit"] * (2 if name == "code" else 1)
            assert name not in HARD or row["now"] <= limit, f"the limit of {name} is not kept: {row}"
        for peer, messages in effects.sends.items():
            for message in messages:
                self.deliver(peer, message)
        for peer in effects.hang_ups:
            self.end(peer)
        if effects.token:
            assert self.store is not None
            self.store.commit(self.store.prepare(effects.persist))
            self.core.persisted(effects.token)
            self.finish()

    def deliver(self, peer: int, message: Message) -> None:
        if peer == self.client.peer:
            self.client.hear(message)
        elif peer == self.worker.peer:
            self.worker.hear(message)
        elif peer == self.worker.control:
            self.worker.hear_control(message)
        elif isinstance(message, m.Deliver) and peer in self.strangers:
            attempts = self.strangers[peer].attempts
            attempts += [(call.id, call.attempt) for call in message.calls]
            del attempts[:-10]

    def end(self, peer: int) -> None:
        """The connection is over; its stranger has another one."""
        assert peer not in self.honest_peers(), "the session of an honest peer was ended"
        self.core.lose(peer)
        stranger = self.strangers.pop(peer, None)
        if stranger is not None:
            stranger.peer, stranger.seq = self.new_peer(), 0
            self.strangers[stranger.peer] = stranger

    def pass_time(self, seconds: float) -> None:
        while seconds > 0:
            pause_s = min(seconds, 0.5 if seconds <= 3 else 1.5)
            seconds -= pause_s
            self.now_s += pause_s
            self.wall_s += pause_s
            self.worker.beat(self.now_s)
            self.exchange()

    # -- what strangers say --------------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing happens."""
        tape = self.tape
        stranger = tape.choice(list(self.strangers.values()))
        what = tape.below(100)
        if what < 70:
            self.speak(stranger)
        elif what < 78 and stranger.said:
            self.send(tape.choice(list(self.strangers.values())), tape.choice(stranger.said))
        elif what < 84:
            self.end(stranger.peer)
        elif what < 90:
            self.pass_time(tape.choice((0.01, 0.5, 3.0, 20.0)))
        else:
            task_id = f"honest-{len(self.honest_ids)}" if tape.chance(50) else f"{'h' * 16}-{len(self.honest_ids):010x}"
            not_before = self.wall_s + tape.below(4) if tape.chance(30) else 0.0
            self.client.submit(1 + tape.below(len(SPECS)), task_id, tape.chance(50), not_before)
            self.honest_ids.add(task_id)
            self.texts.append(task_id)
        self.exchange()

    def speak(self, stranger: Stranger) -> None:
        """Something valid, or nearly, of a kind that it may mostly say."""
        tape = self.tape
        allowed = [each for each in self.core.allowed(stranger.peer).values() for _ in range(1 + 3 * (each in WEIGHTY))]
        kind = tape.choice(allowed) if tape.chance(95) else tape.choice(list(SAMPLES))
        message = self.message(stranger, kind)
        changes = 0 if tape.chance(40) else 1 + tape.below(3)
        self.send(stranger, hostile_frames(tape, message, self.texts, changes))

    def send(self, stranger: Stranger, data: list[bytes]) -> None:
        stranger.said.append(data)
        del stranger.said[:-10]
        for _ in range(1 + self.tape.chance(15)):
            self.to_coordinator.append((stranger.peer, data))

    def message(self, stranger: Stranger, kind: type[Message]) -> Message:
        """A valid one, with names that mean something."""
        tape = self.tape
        sample: Message = SAMPLES[kind]
        stranger.seq += 1
        if kind is m.Submit:
            spec = tape.choice(STRANGE_SPECS)
            calls = [self.call() for _ in range(1 + tape.below(3))]
            return m.Submit(stranger.seq, [(1 + tape.below(2), spec)], calls, tape.chance(70), tape.chance(30))
        if kind is m.Finished:
            outcomes = [Outcome(task_id, attempt, tape.below(3), b"") for task_id, attempt in self.attempts(stranger)]
            return m.Finished(stranger.seq, outcomes, tape.chance(50))
        if kind is m.Returned or kind is m.Starting:
            return kind(self.attempts(stranger))
        if kind is m.WorkerHello or kind is m.ControlHello:
            epoch = f"epoch-{tape.below(3)}"
            changed = msgspec.structs.replace(sample, epoch=epoch, nonce=f"{stranger.seq:08}")
            return msgspec.structs.replace(changed, held=self.attempts(stranger)) if kind is m.WorkerHello else changed
        if kind is m.ClientHello:
            return msgspec.structs.replace(sample, session=f"session-{tape.below(6)}")
        if isinstance(sample, m.Control):
            items = [tape.choice(DECLARED) for _ in range(tape.below(4))]
            arguments = tape.choice((sample.arguments, {"items": items, "ids": ["a", "b"], "queues": ["default"]}))
            return msgspec.structs.replace(sample, command=tape.choice(COMMANDS), destination=[], arguments=arguments)
        if kind is m.Reply:
            return m.Reply(self.core._broadcasts._count - tape.below(3), "pong")
        if kind is m.Query:
            return m.Query(1, [tape.choice(self.texts)[:256] for _ in range(tape.below(4))], tape.chance(50))
        return sample

    def call(self) -> Call:
        tape = self.tape
        task_id = tape.choice(("a", "b", "c", "d", "s" * 16 + "-0000000001", "s" * 16 + "-0000000002"))
        call = Call(task_id, 1 + tape.below(2), bytes(tape.choice((0, 0, 10, 1000))))
        if tape.chance(20):
            call.not_before = self.time()
        if tape.chance(20):
            call.expires = self.time()
        return call

    def time(self) -> float:
        """A moment, soon mostly."""
        return (
            self.tape.choice((self.wall_s + self.tape.below(8), *FLOATS)) if self.tape.chance(50) else self.wall_s + 2
        )

    def attempts(self, stranger: Stranger) -> list[tuple[str, int]]:
        tape = self.tape
        known = [*stranger.attempts, (tape.choice(self.texts)[:256], 1)]
        return [tape.choice(known) for _ in range(tape.below(4))]

    # -- the end -------------------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """Nobody was in the way of the honest ones."""
        self.pass_time(6.0)
        for pending in self.client.submitted:
            if pending.outcome is None:
                assert not self.is_roomy, f"{pending.id} of an honest client has not ended"
            elif (self.is_roomy or not pending.is_refused()) and not _was_purged(pending.outcome):
                assert pending.outcome.state == SUCCESS, f"{pending.id} of an honest client has failed"


def _was_purged(outcome: Outcome) -> bool:
    """Whether a stranger has purged its queue, which it may."""
    return outcome.state == REVOKED and "purged" in str(decode_failure(bytes_of(outcome.body)))


def play(tape: Tape) -> None:
    """One session of the world."""
    world = World(tape)
    while not tape.is_over():
        world.step()
    world.conclude()


TARGET = Target("coordinator", play, ("coordinator/core", "wire/frames"), 400)
