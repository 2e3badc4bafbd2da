"""A worker in the test's process: what its shell and its watchdog do, without sockets, threads and a clock of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence

from actorq import states
from actorq.config import WorkerSettings
from actorq.testing.coordinator_node import ADDRESS
from actorq.testing.pool import Pool
from actorq.testing.scheduler import Scheduler
from actorq.transport import Down, Event, Peer, Received, Up
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.payload import dumps
from actorq.wire.records import Note
from actorq.worker.commands import Commands
from actorq.worker.core import Effects, Worker
from actorq.worker.endings import forgotten, terminated
from actorq.worker.jobs import Application, Jobs
from actorq.worker.replies import Replies
from actorq.worker.sender import Sender


class WorkerNode:
    """One incarnation of a worker. It has two connections to the coordinator, as a worker has."""

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        epoch: str,
        application: Application,
        queues: Sequence[str],
        settings: WorkerSettings,
    ) -> None:
        self.name = name
        self.has_left = False
        """It was told to end, and has."""
        self._scheduler = scheduler
        now_s = scheduler.loop.now_s
        self._jobs = jobs = Jobs(application)
        self.core = Worker(name, epoch, os.getpid(), queues, jobs.offers(), jobs.make, settings, [ADDRESS], now_s)
        self.link = scheduler.link(name, self._turn)
        self.pool = Pool(scheduler, self.core.ready, name, settings.concurrency, self.link.wake)
        self.pool.cancelled = self.core.leases.cancelled
        self._commands = Commands(self.core, self.pool, jobs, self.drain, self._consume)  # type: ignore[arg-type]
        self._sender = Sender(self.link)
        self._replies = Replies(self.link, self._sender)  # type: ignore[arg-type]
        self._work: Peer = 0
        self._control: Peer = 0
        self._is_control_open = False
        self._nonce = 0
        self._whereabouts = dumps({"pid": os.getpid(), "hostname": name})
        self._told: list[tuple[str, int]] = []
        """What runs, as the coordinator knows."""

    def _consume(self, queues: list[str]) -> None:
        self.core.consume(queues)
        self.link.wake()

    def drain(self) -> None:
        """Take nothing new, and end when what runs has ended."""
        self.core.drain()
        self.link.wake()

    def crash(self) -> None:
        """It ends without a word, in the middle of all that it does."""
        self.has_left = True
        self._scheduler.remove(self.link)
        self.pool.stop()

    def _turn(self, events: list[Event]) -> float:
        core, now_s = self.core, self._scheduler.loop.now_s
        core.advance(now_s)
        for event in events:
            if event.peer == self._control:
                self._take_control(event)
            elif event.peer == self._work:
                self._take_work(event)
            elif isinstance(event, Down):
                for reply_to in self._replies.lose(event.peer):
                    core.unreachable(reply_to)
        core.slots = self.pool.concurrency + self.pool.paused
        self._tell_what_runs(now_s)
        notes, self.pool.notes = self.pool.notes, []
        if notes:
            core.noted(notes)
        outcomes, self.pool.finished = self.pool.finished, []
        if outcomes:
            core.ended(outcomes)
        self._carry_out(core.finish(), now_s)
        if core.draining and not core.held and core.is_idle() and not self.pool.running():
            self._leave()
        return max(core.next_s() - now_s, 0.0)

    def _take_work(self, event: Event) -> None:
        if isinstance(event, Up):
            self.core.opened(event.peer)
        elif isinstance(event, Down):
            self.core.lose(event.peer)
            self._work = 0
        elif isinstance(event, Received):
            message = frames.unpack(event.frames, frames.TO_WORKER)
            self.core.receive(event.peer, message)
            if isinstance(message, m.Welcome):
                if message.max_body_bytes:
                    self._jobs.max_body_bytes = message.max_body_bytes
                if not self._control:
                    self._control = self.link.dial(ADDRESS)

    def _take_control(self, event: Event) -> None:
        if isinstance(event, Up):
            self._nonce += 1
            versions = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
            self._say(m.ControlHello(versions, str(self._nonce), self.name, self.core.epoch))
        elif isinstance(event, Down):
            self._control, self._is_control_open = 0, False
        elif isinstance(event, Received):
            message = frames.unpack(event.frames, frames.TO_CONTROL)
            if isinstance(message, m.Welcome):
                self._is_control_open = True
                self._told = []
            elif isinstance(message, m.Command):
                self._sender.send(
                    self._control, m.Reply(message.token, self._commands.answer(message.command, message.arguments))
                )

    def _carry_out(self, effects: Effects, now_s: float) -> None:
        for reply_to, notes in effects.told.items():
            self._replies.tell(reply_to, notes, now_s)
        for reply_to, outcomes in effects.results.items():
            if not self._replies.send(reply_to, outcomes, now_s):
                self.core.unreachable(reply_to)
        for peer, messages in effects.sends.items():
            for message in messages:
                self._sender.send(peer, message)
        for task_id, attempt, is_wanted in effects.end:
            self.pool.end(task_id, attempt, terminated() if is_wanted else forgotten())
        for peer in effects.hang_ups:
            self.link.hang_up(peer)
        for address in effects.dial:
            self._work = self.link.dial(address)
            self.core.dialled(address, self._work)

    def _tell_what_runs(self, now_s: float) -> None:
        """As heartbeats do, but only when that is news; and calls that have not ended at once say where they run."""
        runs = {(run.call.id, run.call.attempt): run for run in self.pool.running()}
        if self._is_control_open and list(runs) != self._told:
            have_spoken = {note.id for _, _, note in self.pool.notes}
            for key, run in runs.items():
                if key not in self._told and key[0] not in have_spoken and self._jobs.tracks_start(run.spec):
                    run.tell(Note(*key, states.STARTED, self._whereabouts))
            self._told = list(runs)
            self._say(m.Heartbeat(now_s, 0.0, self._told))

    def _say(self, message: m.Message) -> None:
        self._sender.send(self._control, message)

    def _leave(self) -> None:
        self.has_left = True
        self._sender.send(self._work, m.Bye("told to shut down"))
        self.link.stop()
        self.pool.stop()
