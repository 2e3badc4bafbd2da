"""A coordinator's core with a clock that the test moves, and nodes and clients that the test speaks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from actorq.config import CoordinatorSettings
from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.checks import check
from actorq.stores.memory import MemoryStore, Shelf
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.payload import decode_failure
from actorq.wire.records import BY_VALUE, OUTCOME_STATES, SUCCESS, Body, Call, CallSpec, Member, Node, Outcome, Plan

VERSIONS = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
UNIX_S = 1_700_000_000.0
"""What the wall clock says at first."""
SPEC = CallSpec("add")
OWN = "tcp://own:1"
"""Where the coordinator of the bench listens, in tests with several."""

M = TypeVar("M", bound=Message)


def outcome(task_id: str) -> Outcome:
    """A success without a value."""
    return Outcome(task_id, 1, SUCCESS, b"")


class Bench:
    """Feeds the core, a batch at a time, and keeps what it sends. After each batch all its indexes must agree.

    Messages are packed and unpacked on the way, as they are between processes. `twice`: each is fed two times.
    """

    def __init__(self, twice: bool = False, shelf: Shelf | None = None, **settings: Any) -> None:
        self.twice = twice
        self.shelf = shelf
        """Where what is to be kept goes, at once unless `is_slow`; the core is durable if there is one."""
        self.store: MemoryStore | None = None
        self.is_slow = False
        self.now_s, self.wall_s = 100.0, UNIX_S
        self.settings = CoordinatorSettings(durable=shelf is not None, **settings)
        self.parties: dict[int, Party] = {}
        self.hung_up: list[int] = []
        self.news: list[str] = []
        """What stands in the log."""
        self.dialled: dict[str, int] = {}
        """Connections to other coordinators, by address."""
        self.has_left = False
        self.deadline_s: float | None = None
        self._unwritten: list[tuple[int, Sequence[Any]]] = []
        self._packer = frames.Packer()
        self._epochs = map("epoch-{}".format, itertools.count(1))
        self._new_peer = itertools.count(1).__next__
        self.start()

    def start(self) -> None:
        """Begin a new incarnation of the coordinator, with what the store has, if there is one. All connections are lost."""
        self.parties.clear()
        self._unwritten.clear()
        self.core = Coordinator("coordinator", next(self._epochs), self.settings, self.now_s, self.wall_s)
        if self.shelf is not None:
            if self.store is not None:
                self.store.close()
            self.store = MemoryStore(self.shelf)
            self.core.restore(self.store.load())
        self.step()

    @property
    def epoch(self) -> str:
        return self.core.state.epoch

    def step(self, *batch: tuple[int, Message]) -> None:
        """Feed these messages as one batch."""
        core = self.core
        core.advance(self.now_s, self.wall_s)
        for peer, message in batch:
            packed = [bytes(frame) for frame in self._packer.pack(message)]
            for _ in range(1 + self.twice):
                core.receive(peer, frames.unpack(packed, _ANY_KIND))
        self._finish()

    def wait(self, seconds: float) -> None:
        """Let time pass, half a second at a time, as the heartbeats of a mesh make it pass."""
        while seconds > 0:
            pause_s = min(seconds, 0.5)
            seconds -= pause_s
            self.now_s += pause_s
            self.wall_s += pause_s
            self.step()

    def drain(self) -> None:
        """The coordinator is to leave the mesh. Raises ValueError."""
        self.core._handover.begin()
        self.step()

    def lose(self, party: Party) -> None:
        """The connection is lost."""
        self.core.advance(self.now_s, self.wall_s)
        self.core.lose(party.peer)
        self._finish()

    def write(self) -> None:
        """A slow store gets done."""
        assert self.store is not None
        unwritten, self._unwritten = self._unwritten, []
        for token, operations in unwritten:
            self.store.commit(self.store.prepare(operations))
            self.core.persisted(token)
        self._finish()

    def _finish(self) -> None:
        effects = self.core.finish()
        check(self.core)
        for peer, messages in effects.sends.items():
            if peer in self.parties:
                self.parties[peer].inbox += messages
        self.hung_up += effects.hang_ups
        self.news += effects.news
        self.has_left = effects.has_left
        for address in effects.dial:
            peer = self._new_peer()
            self.dialled[address] = peer
            self.core.mesh.dialled(address, peer)
        self.deadline_s = effects.deadline_s
        if effects.token:
            self._unwritten.append((effects.token, effects.persist))
            if not self.is_slow:
                self.write()

    def client(self, session: str = "client") -> ClientParty:
        """A client that has said Hello."""
        client = ClientParty(self, self._new_peer())
        client.say(m.ClientHello(VERSIONS, "nonce", session, session, f"tcp://{session}:1"))
        return client

    def worker(
        self,
        name: str = "worker",
        slots: int = 1,
        capacity: int | None = None,
        queues: Iterable[str] = ("default",),
        offers: Iterable[str] = ("add", BY_VALUE),
        epoch: str = "",
        coordinator: str = "",
        held: list[tuple[str, int]] | None = None,
    ) -> WorkerParty:
        """A worker node that has said Hello on both of its connections."""
        worker = WorkerParty(self, self._new_peer(), name, epoch or f"{name}-1")
        worker.say(
            m.WorkerHello(
                VERSIONS, f"{worker.peer:08}", name, worker.epoch, list(queues), list(offers), slots,
                slots if capacity is None else capacity, coordinator, held or [],
            )
        )  # fmt: skip
        worker.control = self.control(worker)
        return worker

    def control(self, worker: WorkerParty) -> Party:
        """The second connection of a worker."""
        control = Party(self, self._new_peer())
        control.say(m.ControlHello(VERSIONS, "nonce", worker.name, worker.epoch))
        return control

    def busy_worker(
        self, held: list[tuple[str, int]], coordinator: str, name: str = "worker", epoch: str = ""
    ) -> Party:
        """The second connection of a node whose hub is busy, and does not come to say Hello."""
        control = Party(self, self._new_peer())
        control.say(m.ControlHello(VERSIONS, "nonce", name, epoch or f"{name}-1", coordinator, held))
        return control

    def coordinator(
        self, name: str, epoch: str = "", others: Sequence[str] = (), leaves: bool = False
    ) -> CoordinatorParty:
        """Another coordinator that has said Hello, and has welcomed this one."""
        address = f"tcp://{name}:1"
        own = Member(address, epoch or f"{name}-1", name)
        party = CoordinatorParty(self, self._new_peer(), own)
        party.say(m.PeerHello(VERSIONS, "nonce", own))
        self.wait(3.0)
        party.link = Party(self, self.dialled[address])
        self.core.mesh.opened(party.link.peer)
        self.step()
        (discover,) = party.link.take(m.Discover)
        known = [Member(f"tcp://{other}:1", "", other) for other in others]
        party.link.say(m.View(discover.nonce, own, known, leaves))
        (hello,) = party.link.take(m.PeerHello)
        party.link.say(m.Welcome(1, hello.nonce, name, own.epoch, address=address, others=known))
        return party

    def stranger(self) -> Party:
        """A connection on which nothing has been said."""
        return Party(self, self._new_peer())

    def state_of(self, task_id: str) -> str:
        """Whether the coordinator has a call, or its outcome."""
        outcome = self.core.state.outcomes.get(task_id)
        if outcome is not None:
            return OUTCOME_STATES[outcome.state]
        return "open" if task_id in self.core.state.calls else "unknown"


class Party:
    """One connection, and what came on it."""

    def __init__(self, bench: Bench, peer: int) -> None:
        self.bench = bench
        self.peer = peer
        self.inbox: list[Message] = []
        bench.parties[peer] = self

    def say(self, *messages: Message) -> None:
        """Send these as one batch."""
        self.bench.step(*((self.peer, message) for message in messages))

    def take(self, kind: type[M]) -> list[M]:
        """The messages of that kind that came since this was asked the last time; equal ones in a row count as one."""
        found = [message for message in self.inbox if isinstance(message, kind)]
        self.inbox = [message for message in self.inbox if not isinstance(message, kind)]
        return [message for number, message in enumerate(found) if number == 0 or message != found[number - 1]]


class CoordinatorParty(Party):
    """Another coordinator: what it asks on the connection that it has dialled; `link` is the one that we have."""

    link: Party

    def __init__(self, bench: Bench, peer: int, own: Member) -> None:
        super().__init__(bench, peer)
        self.own = own


class ClientParty(Party):
    """A client."""

    def __init__(self, bench: Bench, peer: int) -> None:
        super().__init__(bench, peer)
        self._specs: dict[CallSpec, int] = {}
        self._seq = 0

    def submission(
        self,
        *ids: str,
        spec: CallSpec = SPEC,
        fresh: bool = True,
        resent: bool = False,
        body: Body = b"",
        **call: Any,
    ) -> m.Submit:
        """The message that submits calls of one spec; `call` are further fields of theirs."""
        self._seq += 1
        specs = []
        if spec not in self._specs:
            self._specs[spec] = len(self._specs) + 1
            specs = [(self._specs[spec], spec)]
        calls = [Call(task_id, self._specs[spec], body, **call) for task_id in ids]
        return m.Submit(self._seq, specs, calls, fresh, resent)

    def submit(self, *ids: str, **options: Any) -> None:
        self.say(self.submission(*ids, **options))

    def submit_plan(self, plan_id: str, *nodes: Node, spec: CallSpec = SPEC, resent: bool = False) -> None:
        """Submit a workflow, all of whose calls have one spec."""
        message = self.submission(spec=spec, fresh=not resent, resent=resent)
        for node in nodes:
            node.call.spec = self._specs[spec]
        message.plans = [Plan(plan_id, list(nodes))]
        self.say(message)

    def outcomes(self) -> dict[str, str]:
        """The states of the outcomes that came, by id."""
        settled = [outcome for message in self.take(m.Settled) for outcome in message.outcomes]
        return {outcome.id: OUTCOME_STATES[outcome.state] for outcome in settled}

    def accepted(self) -> int:
        """The last submission that is acknowledged."""
        self.bench.wait(0.01)  # Acknowledgements are in no hurry.
        return max([message.seq for message in self.take(m.Accepted)], default=0)

    def order(self, command: str, timeout_s: float = 1.0, destination: Sequence[str] = (), **arguments: Any) -> Any:
        """Run a command. Returns what the coordinator replied at once, if it did."""
        self.say(m.Control(1, command, arguments, list(destination), timeout_s))
        replies = self.take(m.Replies)
        return replies[-1].replies.get("coordinator") if replies else None


class WorkerParty(Party):
    """A worker's work connection; `control` is its second one."""

    control: Party

    def __init__(self, bench: Bench, peer: int, name: str, epoch: str) -> None:
        super().__init__(bench, peer)
        self.name = name
        self.epoch = epoch
        self.calls: dict[str, Call] = {}
        """What was delivered, by id."""
        self._reports = 0

    def delivered(self) -> list[str]:
        """The ids that were delivered since this was asked the last time, in order."""
        calls = [msgspec.structs.replace(call) for message in self.take(m.Deliver) for call in message.calls]
        self.calls.update((call.id, call) for call in calls)
        return [call.id for call in calls]

    def attempt(self, task_id: str) -> int:
        """The attempt of that call that was delivered last."""
        self.delivered()
        return self.calls[task_id].attempt

    def report(self, *ids: str, state: int = SUCCESS, body: bytes = b"", attempt: int = 0, relay: bool = False) -> None:
        """The calls have ended."""
        outcomes = [Outcome(task_id, attempt or self.attempt(task_id), state, body) for task_id in ids]
        self._reports += 1
        self.say(m.Finished(self._reports, outcomes, relay))

    def give_back(self, *ids: str) -> None:
        """The calls were not started."""
        self.say(m.Returned([(task_id, self.attempt(task_id)) for task_id in ids]))

    def announce(self, *ids: str) -> list[str]:
        """The calls are about to start. Returns those that may."""
        self.say(m.Starting([(task_id, self.attempt(task_id)) for task_id in ids]))
        return self.begun()

    def begun(self) -> list[str]:
        """The calls that may start, since this was asked the last time."""
        return [task_id for message in self.take(m.Begin) for task_id in message.ids]

    def die(self) -> None:
        """The process is gone: both connections are lost, and it does not come back within its grace."""
        self.bench.lose(self)
        self.bench.lose(self.control)
        self.bench.wait(self.bench.settings.liveness.grace_s + 0.5)

    def return_anew(self, held: list[tuple[str, int]] | None = None, **options: Any) -> WorkerParty:
        """The same process has a new connection."""
        coordinator = options.pop("coordinator", self.bench.epoch)
        return self.bench.worker(self.name, epoch=self.epoch, coordinator=coordinator, held=held, **options)


def reason_of(outcome: Outcome) -> str:
    """What the failure in an outcome says."""
    return str(decode_failure(bytes(frames.bytes_of(outcome.body))))


_ANY_KIND = {
    **frames.HELLO,
    **frames.FROM_CLIENT,
    **frames.FROM_WORKER,
    **frames.FROM_CONTROL,
    **frames.FROM_COORDINATOR,
    **frames.TO_COORDINATOR,
}
