"""The worker as an actor: carries out what its core decides."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actorq import states
from actorq.actors import handles
from actorq.actors.link import LinkOwner
from actorq.errors import ProtocolError
from actorq.signals import task_received
from actorq.transport import Down, Event, LinkKeys, Peer, Received
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.payload import dumps
from actorq.wire.records import Note, Outcome
from actorq.worker import lines
from actorq.worker.base import Pool
from actorq.worker.core import Effects, Worker
from actorq.worker.jobs import Jobs
from actorq.worker.life import Life
from actorq.worker.replies import Replies
from actorq.worker.sender import Sender
from actorq.worker.watchdog import Watchdog, rss_bytes

TICK_S = 0.5
"""How often the worker looks at what comes with time, such as connections that nobody uses."""
UNHEARD_S = 3.0
"""After so long without a coordinator the node says that it waits for one."""
GOODBYE_S = 3.0
"""How long a worker that ends, and has nothing left to run, waits for the coordinators to take its outcomes."""

logger = logging.getLogger("actorq.worker")


@dataclass(frozen=True, slots=True)
class Consume:
    """Take calls of these queues from now on."""

    queues: list[str]


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing new, let run what runs, and end the node."""

    reason: str


class WorkerActor(LinkOwner):
    """Feeds its core what the link brings and what the pool has finished. Its messages are the orders to take calls of
    other queues, and to drain.

    `leave(reason)` is called when the worker has nothing left to do, with an empty reason, or cannot go on.
    """

    def __init__(
        self,
        core: Worker,
        pool: Pool,
        jobs: Jobs,
        watchdog: Watchdog,
        addresses: Sequence[str],
        leave: Callable[[str], None],
        keys: LinkKeys | None = None,
        life: Life | None = None,
    ) -> None:
        super().__init__(keys=keys)
        self._core, self._pool, self._jobs, self._watchdog = core, pool, jobs, watchdog
        self._addresses = list(addresses)
        self._leave = leave
        self._life = life
        self._sender = Sender(self.transport)
        self._replies = Replies(self.transport, self._sender)
        self._dialled: dict[Peer, str] = {}
        """Addresses of the connections to coordinators."""
        self._refusals: dict[str, str] = {}
        """Why coordinators did not let this node in, by address."""
        self._started: set[tuple[str, int]] = set()
        """Calls that run for so long that they have said that they have started."""
        self._whereabouts = dumps({"pid": os.getpid(), "hostname": core.name})
        self._next_tick_s = 0.0
        self._says_unheard_s = math.inf
        """When to say that no coordinator answers; 0: it was said, or that the connection is lost."""
        self.retires = False
        """Whether it ends of itself, so that a fresh process takes its place."""
        self._has_run = False
        self._drain_reason = ""
        self._goodbye_until_s = 0.0
        self._has_left = False

    def turn(self, events: list[Event]) -> float:
        """What has come over the link; or nothing, when it is time."""
        now_s = time.monotonic()
        self._core.advance(now_s)
        for event in events:
            self._take(event)
        self._go_on(now_s)
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + TICK_S
            self._replies.hang_up_idle(now_s)
            self._note_starts(now_s)
            self._weigh()
        return max(min(self._next_tick_s, self._core.next_s()) - now_s, 0.0)

    def ended(self, outcomes: list[Outcome]) -> None:
        """Calls have ended, or the number of slots has changed. For the pool, in the hub's greenlet."""
        try:
            now_s = time.monotonic()
            self._core.advance(now_s)
            self._core.slots = self._pool.concurrency + self._pool.paused
            if self._pool.notes:
                self._core.noted(self._pool.take_notes())
            self._core.ended(outcomes)
            self._has_run = self._has_run or bool(outcomes)
            self._go_on(now_s)
        except Exception as error:
            self.stop(error)

    @handles(Consume)
    def consume(self, message: Consume) -> None:
        """Say so to the coordinators."""
        now_s = time.monotonic()
        self._core.advance(now_s)
        self._core.consume(message.queues)
        self._go_on(now_s)

    def _note_starts(self, now_s: float) -> None:
        """Calls that have run for longer than a heartbeat say so, once each, and where they run. Not those that have said
        something of themselves: that is later than their start, and the last word counts.
        """
        until_s = now_s - self._core.settings.liveness.heartbeat_s
        long = {(run.call.id, run.call.attempt): run for run in self._pool.running() if run.started_s < until_s}
        for key, run in long.items():
            if key not in self._started and not run.has_spoken() and self._jobs.tracks_start(run.spec):
                run.tell(Note(*key, states.STARTED, self._whereabouts))
        self._started = set(long)

    @handles(Drain)
    def drain(self, message: Drain) -> None:
        """Give back what has not started; leave when the rest has ended."""
        now_s = time.monotonic()
        self._core.advance(now_s)
        self._drain_reason = self._drain_reason or message.reason
        if self.retires:
            self._goodbye_until_s = 0.0  # It was told to end after all.
        self._core.drain()
        self._go_on(now_s)

    def _go_on(self, now_s: float) -> None:
        """Carry out what the core has decided, and see to what follows."""
        core = self._core
        self._carry_out(core.finish(), now_s)
        if self._says_unheard_s and not core.welcomed:
            self._say_unheard(now_s)
        if core.ready:
            self._pool.wake()
        if self._watchdog.dozes and core.held:
            self._watchdog.wake()
        if core.has_had_its_share:
            self._retire(f"it has run {core.settings.max_calls} calls")
        if self._drain_reason:
            self._leave_if_done(now_s)

    # -- events --------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        address = self._dialled.get(event.peer)
        if address is None:
            if isinstance(event, Down):
                for reply_to in self._replies.lose(event.peer):
                    self._core.unreachable(reply_to)
        elif isinstance(event, Received):
            try:
                message = frames.unpack(event.frames, frames.TO_WORKER)
                self._core.receive(event.peer, message)
            except ProtocolError as error:
                logger.error("the coordinator at %s broke the protocol, reconnecting: %s", address, error)
                self._hang_up(event.peer)
            else:
                self._notice(event.peer, address, message)
        elif isinstance(event, Down):
            session = self._core.session_of(event.peer)
            if session is not None and session.welcomed:
                logger.warning("the connection to the coordinator at %s is lost: %s", address, event.reason)
                self._says_unheard_s = 0.0
            elif event.refused and self._refusals.get(address) != event.reason:
                self._refusals[address] = event.reason  # Said once, not at each attempt.
                logger.error("the coordinator at %s refused this worker: %s", address, event.reason)
            self._lose(event.peer)
        else:
            self._core.opened(event.peer)

    def _notice(self, peer: Peer, address: str, message: m.Message) -> None:
        """What the shell itself makes of a message, once the core has taken it."""
        if isinstance(message, m.Deliver):
            if task_received.receivers and self._life is not None:
                for call in message.calls:
                    self._life.received(self._core.job_of(call).spec, call)
            if lines.is_verbose():
                for call in message.calls:
                    if self._core.held.get(call.id) is not call:
                        continue  # It went back at once, or runs already.
                    lines.received(self._core.job_of(call).spec, call)
        elif isinstance(message, (m.View, m.Welcome)):
            session = self._core.session_of(peer)
            if session is not None and self._watchdog.addresses.get(session.number) != address:
                # Also before it is welcomed: by then a call of another coordinator may keep the hub busy for long.
                self._watchdog.addresses[session.number] = address
                self._watchdog.wake()
            if isinstance(message, m.Welcome) and session is not None and session.welcomed:
                # Good news, for whoever has read bad ones.
                level = logging.INFO if self._says_unheard_s else logging.WARNING
                self._says_unheard_s = math.inf
                self._refusals.pop(address, None)
                if message.max_body_bytes:
                    self._jobs.limit_bodies(message.max_body_bytes)
                if self._life is not None:
                    self._life.ready()
                logger.log(level, "connected to coordinator %s at %s", message.name, address)

    # -- effects -------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Effects, now_s: float) -> None:
        for reply_to, notes in effects.told.items():
            self._replies.tell(reply_to, notes, now_s)
        for reply_to, outcomes in effects.results.items():
            if not self._replies.send(reply_to, outcomes, now_s):
                self._core.unreachable(reply_to)
        send = self._sender.send
        for peer, messages in effects.sends.items():
            for message in messages:
                send(peer, message)
        for call, job in effects.discarded:
            lines.discarded(job.spec, call)
        if effects.end:
            self._watchdog.end(effects.end)
        for peer in effects.hang_ups:
            self._hang_up(peer)
        for address in effects.dial:
            peer = self.transport.dial(address)
            self._dialled[peer] = address
            self._core.dialled(address, peer)
        if effects.rejected:
            self._leave(effects.rejected)

    def _hang_up(self, peer: Peer) -> None:
        self.transport.hang_up(peer)
        self._lose(peer)

    def _lose(self, peer: Peer) -> None:
        if self._dialled.pop(peer, None) is not None:
            self._core.lose(peer)

    def _say_unheard(self, now_s: float) -> None:
        """Say once that nobody is there."""
        self._says_unheard_s = min(self._says_unheard_s, now_s + UNHEARD_S)
        if now_s >= self._says_unheard_s:
            self._says_unheard_s = 0.0
            logger.warning("no coordinator answers at %s yet; this worker waits for one", ", ".join(self._addresses))

    # -- a fresh start -------------------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """Retire if the process has grown too large: not before a call has run, so that something comes of each."""
        limit_bytes = self._core.settings.max_rss_bytes
        if limit_bytes and self._has_run and not self._drain_reason:
            size_bytes = rss_bytes()
            if size_bytes > limit_bytes:
                self._core.drain()
                self._retire(f"it has grown to {size_bytes / 2**20:.0f} MiB")
                self._go_on(time.monotonic())

    def _retire(self, reason: str) -> None:
        """Take nothing new, and leave once all is done, for a fresh process to take this one's place."""
        if not self._drain_reason:
            logger.info("this process ends when its calls have, and is replaced: %s", reason)
            self._drain_reason = reason
            self.retires = True
            # Not before its outcomes are taken: nobody has told it to end, and calls would run once more.
            self._goodbye_until_s = math.inf

    # -- the end -------------------------------------------------------------------------------------------------

    def _leave_if_done(self, now_s: float) -> None:
        """Leave when nothing runs any more and the coordinators have taken all outcomes, or do not come to it."""
        if self._has_left or self._core.held or self._pool.running():
            return
        self._goodbye_until_s = self._goodbye_until_s or now_s + GOODBYE_S
        if self._core.is_idle() or now_s >= self._goodbye_until_s:
            self._has_left = True
            for peer in self._dialled:
                self._sender.send(peer, m.Bye(self._drain_reason))
            self._leave("")
