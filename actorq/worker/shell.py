"""The worker as an actor: carries out what its core decides."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actorq.actors import handles
from actorq.actors.link import LinkOwner
from actorq.errors import ProtocolError
from actorq.transport import Down, Event, LinkKeys, Peer, Received
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Outcome
from actorq.worker import lines
from actorq.worker.core import Effects, Worker
from actorq.worker.jobs import Jobs
from actorq.worker.pool import Pool
from actorq.worker.replies import Replies
from actorq.worker.sender import Sender
from actorq.worker.watchdog import Watchdog

TICK_S = 0.5
"""How often the worker looks at what comes with time: idle connections, coordinators that do not answer."""
REDIAL_MIN_S, REDIAL_MAX_S = 0.05, 2.0
ANSWER_S = 2.0
"""A coordinator that has not welcomed us after so long is left for the next address, if there is one."""
UNHEARD_S = 3.0
"""After so long without a coordinator the node says that it waits for one."""
GOODBYE_S = 3.0
"""How long a worker that ends, and has nothing left to run, waits for the coordinator to take its outcomes."""

logger = logging.getLogger("actorq.worker")


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing new, let run what runs, and end the node."""

    reason: str


class WorkerActor(LinkOwner):
    """Feeds its core what the link brings and what the pool has finished. Its only message is the order to drain.

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
    ) -> None:
        super().__init__(keys=keys)
        self._core, self._pool, self._jobs, self._watchdog = core, pool, jobs, watchdog
        self._addresses = list(addresses)
        self._leave = leave
        self._sender = Sender(self.transport)
        self._replies = Replies(self.transport, self._sender)
        self._peer: Peer = 0
        self._address = ""
        self._number = 0
        self._failures = 0
        self._next_tick_s = 0.0
        self._next_dial_s = 0.0
        self._answer_until_s = 0.0
        self._says_unheard_s = math.inf
        """When to say that no coordinator answers; 0: it was said, or that the connection is lost."""
        self._drain_reason = ""
        self._goodbye_until_s = 0.0
        self._has_left = False

    def turn(self, events: list[Event]) -> float:
        """What has come over the link; or nothing, when it is time."""
        now_s = time.monotonic()
        self._core.advance(now_s)
        for event in events:
            self._take(event, now_s)
        self._go_on(now_s)
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + TICK_S
            self._replies.hang_up_idle(now_s)
        due_s = self._next_tick_s if self._peer else min(self._next_tick_s, self._next_dial_s)
        return max(due_s - now_s, 0.0)

    def ended(self, outcomes: list[Outcome]) -> None:
        """Calls have ended, or the number of slots has changed. For the pool, in the hub's greenlet."""
        try:
            now_s = time.monotonic()
            self._core.advance(now_s)
            self._core.slots = self._pool.concurrency + self._pool.paused
            self._core.ended(outcomes)
            self._go_on(now_s)
        except Exception as error:
            self.stop(error)

    @handles(Drain)
    def drain(self, message: Drain) -> None:
        """Give back what has not started; leave when the rest has ended."""
        now_s = time.monotonic()
        self._core.advance(now_s)
        self._drain_reason = self._drain_reason or message.reason
        self._core.drain()
        self._go_on(now_s)

    def _go_on(self, now_s: float) -> None:
        """Carry out what the core has decided, and see to what follows."""
        core = self._core
        self._carry_out(core.finish(), now_s)
        self._keep_connected(now_s)
        if core.ready:
            self._pool.wake()
        if self._watchdog.dozes and core.held:
            self._watchdog.wake()
        if self._drain_reason:
            self._leave_if_done(now_s)

    # -- events --------------------------------------------------------------------------------------------------

    def _take(self, event: Event, now_s: float) -> None:
        if event.peer != self._peer:
            if isinstance(event, Down):
                for reply_to in self._replies.lose(event.peer):
                    self._core.unreachable(reply_to)
        elif isinstance(event, Received):
            try:
                message = frames.unpack(event.frames, frames.TO_WORKER)
                self._core.receive(event.peer, message)
            except ProtocolError as error:
                logger.error("the coordinator at %s broke the protocol, reconnecting: %s", self._address, error)
                self._hang_up(now_s)
            else:
                self._notice(message)
        elif isinstance(event, Down):
            self._lose(now_s)
            if self._says_unheard_s:
                logger.warning("the connection to the coordinator at %s is lost: %s", self._address, event.reason)
            self._says_unheard_s = 0.0
        else:
            self._core.opened(event.peer)

    def _notice(self, message: m.Message) -> None:
        """What the shell itself makes of a message, once the core has taken it."""
        if isinstance(message, m.Deliver):
            if lines.is_verbose():
                for call in message.calls:
                    lines.received(self._core.job_of(call).spec, call)
        elif isinstance(message, m.Welcome) and self._core.welcomed:
            # Good news, for whoever has read bad ones.
            level = logging.INFO if self._says_unheard_s else logging.WARNING
            self._says_unheard_s = math.inf
            self._failures = 0
            self._answer_until_s = 0.0
            self._watchdog.address = self._address
            self._watchdog.wake()
            if message.max_body_bytes:
                self._jobs.max_body_bytes = message.max_body_bytes
            logger.log(level, "connected to coordinator %s at %s", message.name, self._address)

    # -- effects -------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Effects, now_s: float) -> None:
        for reply_to, outcomes in effects.results.items():
            if not self._replies.send(reply_to, outcomes, now_s):
                self._core.unreachable(reply_to)
        send, peer = self._sender.send, self._peer
        for message in effects.sends:
            send(peer, message)
        if effects.end:
            self._watchdog.end(effects.end)
        if effects.hang_up:
            self._hang_up(now_s)
        if effects.rejected:
            self._leave(f"the coordinator at {self._address} does not take this worker: {effects.rejected}")

    # -- the connection ------------------------------------------------------------------------------------------

    def _keep_connected(self, now_s: float) -> None:
        """Dial; while a coordinator does not answer, the next one: each after a longer pause, with some jitter."""
        if not self._core.welcomed and self._says_unheard_s:
            self._says_unheard_s = min(self._says_unheard_s, now_s + UNHEARD_S)
            if now_s >= self._says_unheard_s:
                self._says_unheard_s = 0.0
                logger.warning(
                    "no coordinator answers at %s yet; this worker waits for one", ", ".join(self._addresses)
                )
        if self._peer:
            if self._answer_until_s and now_s >= self._answer_until_s and len(self._addresses) > 1:
                logger.warning("no answer from a coordinator at %s, trying the next address", self._address)
                self._hang_up(now_s)
            return
        if now_s < self._next_dial_s:
            return
        self._address = self._addresses[self._number % len(self._addresses)]
        self._answer_until_s = now_s + ANSWER_S
        self._peer = self.transport.dial(self._address)

    def _hang_up(self, now_s: float) -> None:
        self.transport.hang_up(self._peer)
        self._lose(now_s)

    def _lose(self, now_s: float) -> None:
        if not self._core.welcomed:
            self._number += 1
            self._failures += 1
        self._core.lose(self._peer)
        self._peer = 0
        pause_s = min(REDIAL_MIN_S * 2**self._failures, REDIAL_MAX_S) * random.uniform(0.5, 1.0)
        self._next_dial_s = now_s + pause_s

    # -- the end -------------------------------------------------------------------------------------------------

    def _leave_if_done(self, now_s: float) -> None:
        """Leave when nothing runs any more and the coordinator has taken all outcomes, or does not come to it."""
        if self._has_left or self._core.held or self._pool.running():
            return
        self._goodbye_until_s = self._goodbye_until_s or now_s + GOODBYE_S
        if self._core.is_idle() or now_s >= self._goodbye_until_s:
            self._has_left = True
            self._sender.send(self._peer, m.Bye(self._drain_reason))
            self._leave("")
