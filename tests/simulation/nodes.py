"""Nodes: what the shells do around the three cores, without sockets, threads and clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from actorq.client.core import Client, Order, Request
from actorq.client.core import Watch as WatchFor
from actorq.client.pending import Pending
from actorq.config import MAX_BATCH
from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.checks import check
from actorq.coordinator.core.uniques import key_of
from actorq.errors import ProtocolError
from actorq.stores.api import STARTED, Kept, Operation
from actorq.stores.groups import Groups
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.payload import encode_failure
from actorq.wire.records import FAILURE, REPLACED, REVOKED, SUCCESS, Call, CallSpec, Outcome, Plan
from actorq.worker.core import Effects, ReplyTo, Session, Worker
from tests.simulation.network import Down, End, Frames, Received, Up
from tests.simulation.oracle import Violation
from tests.simulation.process import Machine, Process, Strand
from tests.simulation.watched import Watch

URGENT = (m.Renewed, m.Command, m.Replies, m.Acked)
"""The coordinator's shell sends these first."""
FEW_CALLS = 20
CHECK_EVERY = 4
"""Where a coordinator has more calls than few, its indexes are checked at every so many steps."""
LONG_PAUSE_S = 2.5
RETRY_S = 0.1
"""Before a write that failed is repeated."""
STALE_SHARE = 0.3
"""How often a session that is over seems to go on."""
TICK_S = 0.5
"""The worker's shell looks around so often."""
_ANY_KIND = {**frames.FROM_CLIENT, **frames.FROM_WORKER, **frames.FROM_CONTROL, **frames.FROM_COORDINATOR}


class Node(Process):
    """A process with a core."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._packer = frames.Packer()

    def pack(self, message: Message) -> list[frames.Frame]:
        return [bytes(frame) for frame in self._packer.pack(message)]

    def guarded(self, step: Callable[[list[Any]], float | None]) -> Callable[[list[Any]], float | None]:
        """`step`, where an exception is a violation."""

        def run(items: list[Any]) -> float | None:
            try:
                return step(items)
            except Violation:
                raise
            except AssertionError as error:
                raise Violation("check", f"{self.epoch}: {error}", ()) from error
            except Exception as error:
                raise Violation("no exception", f"{self.epoch}: {type(error).__name__}: {error}", ()) from error

        return run

    def copies(self) -> int:
        """How often a message is fed to the core."""
        return 2 if self.rng.random() < self.mesh.options.duplicate_share else 1


# -- coordinator -------------------------------------------------------------------------------------------------


class Persisted:
    """The store has confirmed a batch."""

    def __init__(self, token: int) -> None:
        self.token = token


class Trouble:
    """The store cannot be written, or can again."""

    def __init__(self, text: str) -> None:
        self.text = text


class CoordinatorProcess(Node):
    """A coordinator node."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.listens: Strand = Strand(self, self.guarded(self._step))
        settings = self.mesh.options.coordinator
        coordinators = [each.address for each in self.mesh.coordinators or [machine]]
        joins = self.rng.choice((coordinators, coordinators[:1]))
        self.core = Coordinator(machine.name, self.epoch, settings, self.now_s, self.wall_s, joins)
        self.core.mesh.listens_at(machine.address)
        self.uniques = Watch(self, self.core).uniques
        self._open: dict[int, str] = {}
        """The sessions that are not over and not replaced, with who has them."""
        self._last: dict[int, Frames] = {}
        """Their last messages."""
        self._store = machine.disk.open()
        self._groups = Groups(self._store)
        self.is_writing = False
        self._steps = 0
        self._trouble = ""
        if self.mesh.options.is_durable:
            self.core.restore(self._store.load())
        self._naps: list[tuple[float, float]] = []
        self._paused_at_s = 0.0

    def begin(self) -> None:
        self.mesh.note(f"{self.epoch} starts")
        self.listens.wake()

    def drain(self) -> None:
        """Leave the mesh, and end. Another one is started some time later."""
        self.core.advance(self.now_s, self.wall_s)
        self.core._handover.begin()
        self.listens.wake()

    def pause(self) -> None:
        self._paused_at_s = self.now_s
        super().pause()

    def resume(self) -> None:
        if self.is_paused and self.now_s - self._paused_at_s > LONG_PAUSE_S:
            self._naps.append((self._paused_at_s, self.now_s))
        super().resume()

    def awake_since(self, since_s: float) -> float:
        """How long ago `since_s` was, without what this process slept through."""
        return self.now_s - since_s - sum(max(end - max(begin, since_s), 0.0) for begin, end in self._naps)

    def _step(self, items: list[Any]) -> float | None:
        core = self.core
        core.advance(self.now_s, self.wall_s)
        for item in items:
            if isinstance(item, Received):
                self._receive(item)
            elif isinstance(item, Down):
                core.lose(item.peer)
                self._end_session(item.peer)
            elif isinstance(item, Up):
                core.mesh.opened(item.peer)
            elif isinstance(item, Persisted):
                core.persisted(item.token)
            elif isinstance(item, Trouble):
                core.report_trouble(item.text)
        effects = core.finish()
        self._steps += 1
        if len(core.state.calls) <= FEW_CALLS or self._steps % CHECK_EVERY == 0:  # It goes through all of them.
            check(core)
        self._check_bounds()
        for peer, messages in effects.sends.items():
            self._send(peer, messages)
        for peer in effects.hang_ups:
            self._hang_up(peer)
        for address in effects.dial:
            core.mesh.dialled(address, self.mesh.network.dial(self.listens, address).peer)
        if effects.token:
            self._write(effects.token, list(effects.persist))
        if effects.has_left:
            self._leave()
        return None if effects.deadline_s is None else effects.deadline_s - self.now_s

    def _leave(self) -> None:
        if self.core.state.calls:
            self.mesh.oracle.fail(
                "lost", f"{self.epoch} leaves the mesh with calls", *[c.id for c in self.core.state.calls]
            )
        self.machine.kill()
        self.mesh.loop.after(self.rng.expovariate(0.5), self.machine.start)

    def _receive(self, item: Received) -> None:
        core, peer = self.core, item.peer
        for _ in range(self.copies()):
            is_link = core.mesh.link(peer) is not None
            is_open = peer in self._open
            allowed = core.allowed(peer) if is_open or is_link or not self.mesh.options.is_lenient else _ANY_KIND
            try:
                message = frames.unpack(item.frames, allowed)
            except ProtocolError:
                self._send(peer, [m.Reset()])
                core.lose(peer)
                self._hang_up(peer)
                return
            if is_link or isinstance(message, m.Discover):
                core.receive(peer, message)
            elif isinstance(message, (m.ClientHello, m.WorkerHello, m.ControlHello, m.PeerHello)):
                core.receive(peer, message)
                self._note_session(peer, message)
            elif is_open:
                core.receive(peer, message)
                self._last[peer] = item.frames
            else:
                self._receive_stale(peer, message)

    def _receive_stale(self, peer: int, message: Message) -> None:
        before = fingerprint(self.core)
        self.core.receive(peer, message)
        if fingerprint(self.core) != before:
            kind = type(message).__name__
            self.mesh.oracle.fail("stale session", f"a {kind} of a session that is not open has an effect")

    def _end_session(self, peer: int) -> None:
        """From now on its messages change nothing: try it with the last one."""
        self._open.pop(peer, None)
        last = self._last.pop(peer, None)
        if last is not None and self.rng.random() < STALE_SHARE:
            self._receive_stale(peer, frames.unpack(last, _ANY_KIND))

    def _note_session(self, peer: int, hello: Any) -> None:
        """The last session of each node, and of each client, is open; it replaces the one before."""
        if isinstance(hello, m.ClientHello):
            key = f"client {hello.session}"
        else:
            key = f"{type(hello).__name__} {hello.own.epoch if isinstance(hello, m.PeerHello) else hello.epoch}"
        if any(isinstance(message, m.Welcome) for message in self.core.state.effects.sends[peer]):
            self._open = {other: theirs for other, theirs in self._open.items() if theirs != key}
            self._open[peer] = key

    def _hang_up(self, peer: int) -> None:
        self._end_session(peer)
        if peer in self.ends:
            self.ends[peer].hang_up()

    def _send(self, peer: int, messages: list[Message]) -> None:
        end = self.ends.get(peer)
        if end is not None:
            for message in sorted(messages, key=lambda each: not isinstance(each, URGENT)):
                end.send(self.pack(message))

    def _write(self, token: int, operations: list[Operation]) -> None:
        self._groups.add(token, operations)
        if not self.is_writing:
            self._begin_write(self.mesh.disk_s(self.rng))

    def _begin_write(self, after_s: float) -> None:
        """All that has come meanwhile is written at once."""
        self.is_writing = True
        self._groups.take()
        self.mesh.loop.after(after_s, self._written)

    def _written(self) -> None:
        """A write has ended, well or not: then it is repeated."""
        if not self.is_alive:
            return
        trouble = self._groups.write()
        if not trouble:
            self.listens.put(Persisted(self._groups.confirmed))
        if trouble != self._trouble:
            self._trouble = trouble
            self.listens.put(Trouble(trouble))
        self.is_writing = False
        if self._groups:
            self._begin_write(RETRY_S if trouble else self.mesh.disk_s(self.rng))
        else:
            self._check_replay()

    def end(self) -> None:
        """What was being written is on the disk wholly, or not at all."""
        if self.is_writing and self.rng.random() < 0.5:
            self._groups.write()

    def _check_replay(self) -> None:
        """What a new coordinator would know is what this one knows."""
        if not self.core.state.operations:
            for what, kept, known in durable_parts(self._store.load(), self.core):
                if kept != known:
                    self.mesh.oracle.fail(
                        "replay", f"of {what}, {kept} are in the journal, the coordinator has {known}"
                    )

    def _check_bounds(self) -> None:
        state, bound = self.core.state, self.mesh.oracle.bound
        settings = state.settings
        bound("bounds", "outcomes", len(state.outcomes), settings.outcome_count + MAX_BATCH)
        bound("bounds", "entries in the schedule", len(state.schedule), 4 * len(state.calls) + 100)
        bound("bounds", "revocations", len(state.revoked), settings.revocation_count + 1)
        for client in state.clients.values():
            deferred = sum(len(each.calls) for each in client.deferred)
            bound("window", f"calls that {client.session} has deferred", deferred, settings.client_window)
        for queue in state.lanes.queues.values():
            bound("bounds", f"calls in {queue.name}", queue.size, settings.queue_limit + self.mesh.options.calls)


def durable_parts(kept: Kept, core: Coordinator) -> Iterator[tuple[str, object, object]]:
    """What a journal holds, and what a coordinator knows of the same: all that must be equal."""
    state = core.state
    specs, clients = dict(kept.specs), {each.number: each for each in kept.clients}
    live = [call for call in state.calls if call.row]
    yield "calls", {(call.row, call.id, call.client) for call in kept.calls}, {(c.row, c.id, c.client) for c in live}
    yield (
        "specs",
        {call.id: specs.get(call.spec) for call in kept.calls},
        {call.id: state.entries_by_number[call.spec].spec for call in live},
    )
    begun = {
        (worker.leases[each].row, worker.leases[each].attempt)
        for worker in state.workers.values()
        for each in worker.begun
        if worker.leases[each].row and state.entries_by_number[worker.leases[each].spec].spec.at_most_once
    }
    yield "starts", set(kept.started.items()) & begun, begun
    revoked = {task_id: until for task_id, until in state.revoked.items() if until[0] > state.wall_s}
    yield "revocations", {each[0]: each[1:] for each in kept.revocations if each[0] in revoked}, revoked
    codes = {digest: blob for digest, blob in state.codes.items() if digest in state.keeping.codes}
    plans = {(each.row, each.plan.id, each.client) for each in kept.plans}
    durable = [entry for entry in state.ledger.entries.values() if entry.row]
    yield "workflows", plans, {(entry.row, entry.plan.id, entry.client) for entry in durable}
    steps = {row: step.state for row, step in kept.steps.items() if step.state != STARTED}
    yield "steps", steps, {entry.row + index: end for entry in durable for index, end in entry.ends.items()}
    yield "functions", dict(kept.codes), codes
    yield "dead letters", [letter for _, letter, _ in kept.dead_letters], list(state.dead_letters)
    awaited = {state.clients_by_number[call.client] for call in live if call.client in state.clients_by_number}
    told = {(each.number, each.session, each.reply_address) for each in awaited}
    yield "clients", told & {(each.number, each.session, each.reply_address) for each in clients.values()}, told


def fingerprint(core: Coordinator) -> str:
    """All that a core knows, as text."""
    lanes = [[(level, call.id) for level, call in lane.standing()] for lane in core.state.lanes]
    parts = [
        f"{name}={value!r}"
        for owner in (core.state, core._intake, core._broadcasts, core)
        for name, value in vars(owner).items()
        if name != "effects"
    ]
    return "\n".join([*parts, repr(lanes)])


# -- worker ------------------------------------------------------------------------------------------------------


class Job:
    """What a pool runs for the calls of one spec."""

    def __init__(self, spec: CallSpec) -> None:
        self.spec = spec
        self.guarded = spec.at_most_once


class Run:
    """A running call."""

    def __init__(self, call: Call, coordinator: str) -> None:
        self.call = call
        self.coordinator = coordinator
        """Epoch of the one that has leased it."""
        self.is_over = False


class Ended:
    """The pool has finished a call."""

    def __init__(self, run: Run, outcome: Outcome) -> None:
        self.run = run
        self.outcome = outcome


class ToHub:
    """The watchdog asks the hub for something."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run


class ControlLine:
    """The watchdog's connection to one coordinator."""

    def __init__(self, end: End, nonce: int) -> None:
        self.end = end
        self.peer = end.peer
        self.nonce = nonce
        self.is_open = False
        self.coordinator = ""
        self.redial_s = 0.0


class WorkerProcess(Node):
    """A worker node: a hub with the pool, a watchdog thread; both have a connection to each coordinator."""

    def __init__(self, machine: Machine, queues: list[str], offers: list[str]) -> None:
        super().__init__(machine)
        self.hub = Strand(self, self.guarded(self._hub_step))
        self.watchdog = Strand(self, self.guarded(self._watchdog_step))
        settings = self.mesh.options.worker
        seeds = self.mesh.seeds(self.rng)
        self.core = Worker(machine.name, self.epoch, 1, queues, offers, self._make_job, settings, seeds, self.now_s)
        self.begun: dict[str, None] = {}
        """Guarded calls whose Begin came."""
        self._works: dict[int, tuple[End, str]] = {}
        """Connections of the hub, with their addresses."""
        self._controls: dict[int, ControlLine] = {}
        """Connections of the watchdog, by number of the session."""
        self._addresses: dict[int, str] = {}
        self._is_alert = False
        """The watchdog looks whether ready calls start."""
        self._runs: list[Run] = []
        self._head: Call | None = None
        self._head_since_s = 0.0
        self._beat_s = 0.0

    def begin(self) -> None:
        self.mesh.note(f"{self.epoch} starts")
        self.hub.wake()

    def session_with(self, coordinator: str) -> Session | None:
        """The session that has leases from this incarnation of a coordinator."""
        return next((each for each in self.core.sessions.values() if each.coordinator == coordinator), None)

    def drain(self) -> None:
        """Give back what has not started, finish what runs, and end."""
        self.core.advance(self.now_s)
        self.core.drain()
        self.hub.wake()

    def stop(self) -> None:
        """End now: running calls that may run at most once have failed, all other leases go back."""
        if self.core.welcomed:
            outcomes = [
                _failure(run.call, self.epoch) for run in self._runs if not run.is_over and run.call.id in self.begun
            ]
            self.core.advance(self.now_s)
            self.core.ended(outcomes)
            self._send_all(self.core.finish())
            self._say_bye("stopped")
        self.machine.kill()

    def _say_bye(self, reason: str) -> None:
        for session in self.core.sessions.values():
            if session.welcomed and session.peer in self._works:
                self._works[session.peer][0].send(self.pack(m.Bye(reason)))

    def _send_all(self, effects: Effects) -> None:
        for peer, messages in effects.sends.items():
            for message in messages:
                if peer in self._works:
                    self._works[peer][0].send(self.pack(message))

    def _make_job(self, spec: CallSpec, code: bytes | None) -> Job:
        if spec.code and code is None:
            self.mesh.oracle.fail("unexpected", f"{self.epoch} has no function for {spec.code}")
        return Job(spec)

    # -- hub -----------------------------------------------------------------------------------------------------

    def _hub_step(self, items: list[Any]) -> float:
        core = self.core
        core.advance(self.now_s)
        ended: list[Outcome] = []
        for item in items:
            if isinstance(item, Ended):
                self._runs.remove(item.run)
                ended.append(item.outcome)
            elif isinstance(item, ToHub):
                item.run()
            elif isinstance(item, Received):
                self._receive_work(item)
            elif isinstance(item, Up):
                core.opened(item.peer)
            elif self._works.pop(item.peer, None) is not None:
                core.lose(item.peer)
        if ended:
            core.ended(ended)
        self._carry_out()
        self._fill()
        if core.draining and core.is_idle() and not self._runs:
            self._leave()
        return max(min(TICK_S, core.next_s() - self.now_s), 0.0)

    def _receive_work(self, item: Received) -> None:
        for _ in range(self.copies()):
            try:
                message = frames.unpack(item.frames, frames.TO_WORKER)
                self._note_work(item.peer, message)
                self.core.receive(item.peer, message)
            except ProtocolError as error:
                self.mesh.oracle.fail("no exception", f"{self.epoch} does not understand its coordinator: {error}")
        session = self.core.session_of(item.peer)
        address = self._works[item.peer][1] if item.peer in self._works else ""
        if session is not None and self._addresses.get(session.number) != address:
            self._addresses[session.number] = address
            self.watchdog.wake()

    def _note_work(self, peer: int, message: Message) -> None:
        """What the oracle wants to know of it."""
        session = self.core.session_of(peer)
        if isinstance(message, m.Begin):
            self.begun.update(dict.fromkeys(message.ids))
        elif isinstance(message, m.Acked) and self.mesh.options.is_durable and session is not None:
            reported = [each for seq, batch in session._unacked if seq <= message.seq for each in batch]
            for outcome in reported:
                settled = self.mesh.oracle.record(outcome.id).settled.get(session.coordinator)
                is_taken = settled is not None and settled.body == outcome.body
                if is_taken and not self.mesh.disk_of(session.coordinator).has_settled(outcome.id):
                    self.mesh.oracle.fail("acknowledged", f"{outcome.id} is not in the journal", outcome.id)

    def _carry_out(self) -> None:
        effects = self.core.finish()
        self._send_all(effects)
        for reply_to, outcomes in effects.results.items():
            for outcome in outcomes:
                self.mesh.oracle.sent_straight(self, outcome)
            results = m.Results(reply_to.session, outcomes)
            lost = partial(self._unreachable, reply_to)
            self.mesh.network.cast(self.machine, reply_to.address, self.pack(results), lost)
        for task_id, attempt, _ in effects.end:
            self._end(task_id, attempt)
        for peer in effects.hang_ups:
            if peer in self._works:
                self._works[peer][0].hang_up()
        for address in effects.dial:
            end = self.mesh.network.dial(self.hub, address)
            self._works[end.peer] = (end, address)
            self.core.dialled(address, end.peer)

    def _unreachable(self, reply_to: ReplyTo) -> None:
        self.hub.put(ToHub(lambda: self.core.unreachable(reply_to)))

    def _leave(self) -> None:
        self._say_bye("drained")
        self.machine.kill()

    # -- pool ----------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        core = self.core
        while core.ready and len(self._runs) < core.slots:
            call, _ = core.ready.popleft()
            if call.expires and call.expires <= self.wall_s:
                outcome = Outcome(call.id, call.attempt, REVOKED, encode_failure(TimeoutError("expired"), ""))
                core.ended([outcome])
                self.hub.wake()
            else:
                self._start(call)
        if core.ready and not self._is_alert:
            self._is_alert = True
            self.watchdog.wake()

    def _start(self, call: Call) -> None:
        record = self.mesh.oracle.started(self, call)
        run = Run(call, self.core.sessions[call.worker].coordinator)
        self._runs.append(run)
        run_number = (
            record.starts_count
        )  # A new coordinator numbers attempts from 1 again: they do not tell runs apart.
        body = b"%s made %d of %s in run %d" % (self.epoch.encode(), call.attempt, call.id.encode(), run_number)
        record.executions[body] = call.attempt
        if record.kind == "poison":
            self.mesh.loop.after(record.duration_s, partial(self._kill_by, run))
            return
        if record.kind == "stalling":
            self.mesh.note(f"{self.epoch} has a busy hub", call.id)
            self.hub.stall(record.duration_s)
        if record.retries and not record.spec.at_most_once:
            record.retries -= 1
            record.replaced += 1
            body = self.mesh.workload.continuation(record, self.wall_s)
            self.mesh.loop.after(record.duration_s, partial(self._over, run, REPLACED, body))
            return
        if record.kind == "failing":
            body = encode_failure(ValueError(call.id, self.epoch, call.attempt, run_number), "")
        state = FAILURE if record.kind == "failing" else SUCCESS
        self.mesh.loop.after(record.duration_s, partial(self._over, run, state, body))

    def _over(self, run: Run, state: int, body: bytes) -> None:
        if not run.is_over:
            run.is_over = True
            self.hub.put(Ended(run, Outcome(run.call.id, run.call.attempt, state, frames.body_of(body))))

    def _kill_by(self, run: Run) -> None:
        if self.is_paused:
            self.mesh.loop.after(0.5, partial(self._kill_by, run))
        elif self.is_alive and not run.is_over:
            record = self.mesh.oracle.record(run.call.id)
            record.kills[run.coordinator] += 1
            self.mesh.crash(self.machine)

    def _end(self, task_id: str, attempt: int) -> None:
        for run in self._runs:
            if run.call.id == task_id and run.call.attempt == attempt and not run.is_over:
                error = encode_failure(TimeoutError("terminated"), "")
                self.mesh.loop.after(self.rng.choice((0.0, 0.2)), partial(self._over, run, REVOKED, error))

    # -- watchdog ------------------------------------------------------------------------------------------------

    def _watchdog_step(self, items: list[Any]) -> float:
        for item in items:
            for number, line in self._controls.items():
                if line.peer == item.peer:
                    self._take_control(number, line, item)
                    break
        self._keep_controls()
        open_lines = {number: line for number, line in self._controls.items() if line.is_open}
        if open_lines:
            self._give_back()
        if open_lines and self.now_s >= self._beat_s:
            self._beat_s = self.now_s + self.core.settings.liveness.heartbeat_s
            lag_s = 1.0 if self.hub.busy_until_s > self.now_s else 0.0
            for number, line in open_lines.items():
                running = [(run.call.id, run.call.attempt) for run in self._runs if run.call.worker == number]
                line.end.send(self.pack(m.Heartbeat(self.now_s, lag_s, running)))
        self._is_alert = bool(self.core.ready)
        return self.core.settings.stall_s if self._is_alert else max(self._beat_s - self.now_s, 0.05)

    def _keep_controls(self) -> None:
        """Have a connection to each coordinator that has welcomed the hub's."""
        for number, address in self._addresses.items():
            line = self._controls.get(number)
            is_due = line is None or (not line.peer and self.now_s >= line.redial_s)
            if is_due and number in self.core.sessions:
                end = self.mesh.network.dial(self.watchdog, address)
                self._controls[number] = ControlLine(end, 0 if line is None else line.nonce)

    def _take_control(self, number: int, line: ControlLine, item: Any) -> None:
        if isinstance(item, Up):
            line.nonce += 1
            versions, session = (m.OLDEST_VERSION, m.PROTOCOL_VERSION), self.core.sessions.get(number)
            if session is not None:
                hello = m.ControlHello(
                    versions, str(line.nonce), self.machine.name, self.epoch, session.coordinator, session.held()
                )
                line.end.send(self.pack(hello))
        elif isinstance(item, Down):
            line.peer, line.is_open = 0, False
            line.redial_s = self.now_s + self.rng.uniform(0.05, 0.15)
        else:
            for _ in range(self.copies()):
                if line.end.peer:  # Else it was hung up meanwhile.
                    self._receive_control(number, line, frames.unpack(item.frames, frames.TO_CONTROL))

    def _receive_control(self, number: int, line: ControlLine, message: Message) -> None:
        session = self.core.sessions.get(number)
        if isinstance(message, m.Welcome):
            line.is_open = message.nonce == str(line.nonce)
            line.coordinator = message.epoch if line.is_open else ""
        elif isinstance(message, m.Reset):
            line.is_open = False
            line.end.hang_up()
        elif isinstance(message, m.Renewed) and session is not None and session.coordinator == line.coordinator:
            holds_s = message.sent_s + self.core.settings.liveness.grace_s
            session.leases_hold_until_s = max(session.leases_hold_until_s, holds_s)
        elif isinstance(message, m.Command):
            line.end.send(self.pack(m.Reply(message.token, self.epoch)))
        elif isinstance(message, m.Revoke) and session is not None:
            ids, terminate, forget = message.ids, message.terminate, message.forget
            self.hub.put(ToHub(lambda: session.revoke(ids, terminate, forget)))

    def _give_back(self) -> None:
        """Calls that wait for long behind running ones are for somebody else."""
        head = self.core.ready[0][0] if self.core.ready else None
        if head is not self._head:
            self._head, self._head_since_s = head, self.now_s
        elif head is not None and self.now_s - self._head_since_s >= self.core.settings.stall_s:
            for number, message in self.core.give_back().items():
                if number in self._controls:
                    self._controls[number].end.send(self.pack(message))


def _failure(call: Call, worker: str) -> Outcome:
    return Outcome(call.id, call.attempt, FAILURE, encode_failure(ValueError(call.id, worker), ""))


# -- client ------------------------------------------------------------------------------------------------------


def new_pending(client: ClientProcess, task_id: str, call: Call | Plan | None) -> Pending:
    """What a user waits with. The oracle hears what the user sees."""
    pending = Pending(task_id, call)

    def see() -> None:
        assert pending.outcome is not None
        client.mesh.oracle.seen(client.epoch, task_id, pending.outcome)

    pending.waiters = [see]
    return pending


class ClientProcess(Node):
    """A program with a session."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.listens: Strand = Strand(self, self.guarded(self._step))
        self.core = Client(
            machine.name, self.epoch, self.mesh.seeds(self.rng), machine.name, self.mesh.options.client, self.now_s
        )
        self.answers: dict[int, Any] = {}
        self.orders: dict[int, Order] = {}
        self._end: End | None = None
        self._numbers: dict[CallSpec, int] = {}
        self._refused: set[str] = set()

    def begin(self) -> None:
        self.mesh.note(f"{self.epoch} starts")
        self.listens.wake()

    def submit(self, calls: Iterable[tuple[str, CallSpec, Call]], is_chosen: bool) -> None:
        """Hand calls over, as users' threads do."""
        for task_id, spec, call in calls:
            call.spec = self._number(spec)
            if not spec.ignore_result:
                self.core.pending[task_id] = new_pending(self, task_id, call)
                self.mesh.oracle.record(task_id).waiting[self.epoch] = None
            self.mesh.note(f"{self.epoch} submits {task_id}", task_id)
            if key_of(call):
                box: list[str] = []
                self.core.uniques[task_id] = box, partial(self._known_as, task_id, box)
            (self.core.chosen if is_chosen or key_of(call) else self.core.outbox).append(call)
        self.listens.wake()

    def _known_as(self, task_id: str, box: list[str]) -> None:
        """A call with a unique key is known under an id: its own, or that of the one that holds the key."""
        if box[0] != task_id:
            self.mesh.oracle.held_by(self.epoch, task_id, box[0])
            self.watch(box[0])

    def watch(self, task_id: str) -> None:
        """Wait for a call that is known to the mesh, and maybe not submitted here."""
        if task_id not in self.core.pending and self.epoch not in self.mesh.oracle.record(task_id).seen:
            self.core.pending[task_id] = new_pending(self, task_id, None)
            self.request(WatchFor(task_id))

    def submit_plan(self, plan: Plan, specs: dict[str, CallSpec]) -> None:
        """Hand a workflow over; `specs` by the ids of its calls."""
        for node in plan.nodes:
            spec, task_id = specs[node.call.id], node.call.id
            node.call.spec = self._number(spec)
            if node.replies:
                self.core.pending[task_id] = new_pending(self, task_id, plan)
                self.mesh.oracle.record(task_id).waiting[self.epoch] = None
        self.mesh.note(f"{self.epoch} submits {plan.id}", *specs)
        self.core.plans.append(plan)
        self.listens.wake()

    def request(self, request: Request) -> None:
        """Ask or order something."""
        if isinstance(request, Order):
            self.orders[request.token] = request
        self.core.requests.append(request)
        self.listens.wake()

    def _number(self, spec: CallSpec) -> int:
        number = self._numbers.get(spec)
        if number is None:
            number = self._numbers[spec] = len(self._numbers) + 1
            if spec.code:
                self.core.codes[spec.code] = spec.code.encode()
            self.core.specs.append((number, spec))
        return number

    def _step(self, items: list[Any]) -> float | None:
        core = self.core
        core.advance(self.now_s)
        for item in items:
            if isinstance(item, Received):
                for _ in range(self.copies()):
                    self._receive(item)
            elif isinstance(item, Up):
                core.opened(item.peer)
            else:
                core.lose(item.peer)
        effects = core.finish()
        if self._end is not None:
            for message in effects.sends:
                self._end.send(self.pack(message))
        if effects.dial:
            if self._end is not None and self._end.peer:
                self._end.hang_up()
            self._end = self.mesh.network.dial(self.listens, effects.dial)
            core.dialled(self._end.peer)
        self.answers.update(effects.answers)
        self.mesh.oracle.bound("window", f"calls of {self.epoch} to accept", core.unaccepted_count, max(core.window, 0))
        return None if effects.deadline_s is None else effects.deadline_s - self.now_s

    def _receive(self, item: Received) -> None:
        if not item.peer:
            results = frames.unpack(item.frames, frames.TO_REPLY_SOCKET)
            assert isinstance(results, m.Results)
            if results.session == self.core.session:
                self.core.settled(results.outcomes)
            return
        if self._end is None or item.peer != self._end.peer:
            return  # Hung up meanwhile.
        message = frames.unpack(item.frames, frames.TO_CLIENT)
        if isinstance(message, (m.Refused, m.Duplicates)):
            self._refused.update(task_id for task_id, _ in message.calls)
        elif isinstance(message, m.Accepted) and self.core._durable and self.core.is_open:
            self._check_accepted(message.seq)
        self.core.receive(item.peer, message)

    def _check_accepted(self, seq: int) -> None:
        for sent in self.core._unaccepted:
            if sent.seq <= seq:
                for plan in sent.plans:
                    if any(plan.id in machine.disk.plans for machine in self.mesh.coordinators):
                        continue
                    ids = [node.call.id for node in plan.nodes]
                    if not self._refused.intersection(ids) and not any(map(self._is_in_journal, ids)):
                        self.mesh.oracle.fail("accepted", f"{plan.id} is accepted and not in the journal", *ids)
                for call in sent.calls:
                    # Where it was known to another coordinator, it is in that one's.
                    if not self._is_in_journal(call.id) and call.id not in self._refused:
                        self.mesh.oracle.fail("accepted", f"{call.id} is accepted and not in the journal", call.id)

    def _is_in_journal(self, task_id: str) -> bool:
        return any(machine.disk.has_call(task_id) for machine in self.mesh.coordinators)
