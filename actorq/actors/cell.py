"""The life of one actor: its greenlet, from the start through each message to the end, and to the next start.

            start()                      on_start returned
    none ─────────────► starting ─────────────────────────► running ──┐ Stop, Exit, failure, kill
      ▲                    │ on_start raised                          ▼
      │                    ▼                                       on_stop
      └──────────────── concluded ◄───────────────────────────────────┘
        the supervisor     │ it is not to be started again
        starts it again    ▼
                         closed: mailbox empty, askers and monitors answered

What is bound to one *incarnation* (timers, links, deferred replies) is in its Context and ends in *concluded*; mailbox,
reference and monitors belong to the cell and end in *closed*.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from gevent import Greenlet, GreenletExit, getcurrent, sleep
from gevent.event import AsyncResult

from actorq.actors.actor import Actor, Context
from actorq.actors.envelope import Envelope
from actorq.actors.gate import HubGate
from actorq.actors.mailbox import Mailbox
from actorq.actors.reasons import FATAL, Ended, Reason, describe, is_interrupt, reason_of
from actorq.actors.ref import ActorRef, Exited
from actorq.actors.signals import Exit, Link, Stop, Unlink, Unwatch, Watch
from actorq.actors.spec import ChildSpec
from actorq.actors.timers import Timers

TURN = 64
"""Messages that an actor handles before the others on its hub get their turn."""
KILL_GRACE_S = 1.0
"""How long a killed actor may take for `on_stop`, before that is killed too."""
KILLS = 3
"""An actor that goes on after so many kills is left behind."""

log = logging.getLogger("actorq.actors")


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """Tells a supervisor that an incarnation of its child has ended."""

    cell: Cell
    incarnation: int
    reason: Reason


class Cell:
    """One actor through all its incarnations. For the hub's own native thread, but for `kill`."""

    def __init__(self, spec: ChildSpec, gate: HubGate, parent: ActorRef | None) -> None:
        name = spec.name if parent is None else f"{parent.name}/{spec.name}"
        self.spec = spec
        self.mailbox = Mailbox(name, spec.mailbox, gate, self._bury)
        self.ref = ActorRef(self.mailbox)
        self.incarnation = 0
        self.reason: Reason = Ended.NORMAL
        """Why the last incarnation ended."""
        self._parent = parent
        self._greenlet: Any = None
        self._context: Context | None = None
        self._started: Any = None
        self._decides_itself = True
        """Whether it closes when its end is one that no restart follows; not when its supervisor has stopped it."""
        self._watchers: dict[Hashable, Callable[[Reason], None]] = {}

    # -- for the supervisor --------------------------------------------------------------------------------------

    def start(self) -> Reason | None:
        """Begin a new incarnation, and wait until it has started. Returns why it has not, or None if it has."""
        self.incarnation += 1
        self._decides_itself = True
        context = self._context = Context(self.incarnation, self.ref, self.mailbox, Timers(self.mailbox))
        started = self._started = AsyncResult()
        greenlet = self._greenlet = Greenlet(self._run, context, started)
        greenlet.name = self.ref.name
        greenlet.rawlink(lambda _: self._conclude(context, started, Ended.KILLED))  # If it was killed before it began.
        greenlet.start()
        reason: Reason | None = started.get()
        return reason

    def stop(self, within_s: float | None) -> bool:
        """End the incarnation: ask it to, and kill it if it has not ended `within_s`. Returns whether it has ended.

        The supervisor then starts it again or closes it.
        """
        self._decides_itself = False
        if within_s != 0 and not self.has_ended:
            self.mailbox.signal(Stop(Ended.SHUTDOWN, self.incarnation))
            self._greenlet.join(within_s)
        for _ in range(KILLS):
            if self.has_ended:
                return True
            self.kill()
            self._greenlet.join(KILL_GRACE_S)
        if not self.has_ended:
            self.abandon()
        return self.has_ended

    def kill(self) -> None:
        """Raise GreenletExit where the actor is now. Does nothing if it has ended. From any thread; never waits."""
        self.mailbox.gate.call_soon(self._kill)

    def _kill(self) -> None:
        if not self.has_ended:
            self.mailbox.signals.append(Stop(Ended.KILLED, self.incarnation))  # For one that catches the exception.
            self._greenlet.throw(GreenletExit)

    def abandon(self) -> None:
        """Give up an incarnation that goes on although it was killed. It must not be started again."""
        log.error("actor %s goes on although it was killed %d times; it is left behind", self.ref.name, KILLS)
        if self._context is not None:
            self._conclude(self._context, self._started, Ended.KILLED)

    def join(self, timeout_s: float) -> None:
        """Wait until the incarnation has ended, or the time is over."""
        if not self.has_ended:
            self._greenlet.join(timeout_s)

    def close(self) -> None:
        """Stop for good: the actor will not be started again. Answers all who wait for it."""
        if self.mailbox.closed is None:
            self.mailbox.close(self.reason)
            for notify in self._watchers.values():
                notify(self.reason)

    @property
    def has_ended(self) -> bool:
        """Whether there is no incarnation at present."""
        return self._greenlet is None or bool(self._greenlet.ready())

    @property
    def is_closed(self) -> bool:
        """Whether it has stopped for good."""
        return self.mailbox.closed is not None

    # -- in the actor's greenlet ---------------------------------------------------------------------------------

    def _run(self, context: Context, started: Any) -> None:
        reason: Reason = Ended.KILLED
        try:
            reason = self._live(context, started)
        except BaseException as error:
            reason = reason_of(error)
            if is_interrupt(error):
                raise  # gevent hands it to the main greenlet.
        finally:
            self._conclude(context, started, reason)

    def _live(self, context: Context, started: Any) -> Reason:
        """From the factory to `on_stop`. Returns why the actor was told to end, or raises what ended it."""
        self.mailbox.owner = getcurrent()
        actor = self.spec.factory()
        actor._bind(context)
        actor.on_start()
        started.set(None)
        try:
            reason = self._handle_messages(actor, context)
        except BaseException as error:
            self._stop_after(actor, error)
            raise
        actor.on_stop(reason)
        return reason

    def _stop_after(self, actor: Actor, error: BaseException) -> None:
        """Call `on_stop` of an actor that has failed or was killed: that stays the reason, whatever `on_stop` does."""
        try:
            actor.on_stop(reason_of(error))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            log.exception("actor %s failed in on_stop, after it had ended already", self.ref.name)

    def _handle_messages(self, actor: Actor, context: Context) -> Reason:
        mailbox, signals = self.mailbox, self.mailbox.signals
        take, receive = mailbox.take, actor.receive
        left = TURN
        while True:
            if not left:
                sleep(0)
                left = TURN
            left -= 1
            if signals:
                reason = self._obey(signals.popleft(), actor, context)
                if reason is not None:
                    return reason
                continue
            try:
                item = take()
            except IndexError:
                item = None  # The last message is not kept alive by an actor that sleeps.
                mailbox.wait()
                left = TURN
                continue
            if isinstance(item, Envelope):
                self._open(item, actor, context)
                continue
            try:
                receive(item)
            except FATAL:
                raise
            except BaseException as error:
                actor.on_failure(error, item)

    def _obey(self, signal: object, actor: Actor, context: Context) -> Reason | None:
        """Do what a signal says. Returns the reason if the actor is to end."""
        match signal:
            case Stop(reason, incarnation):
                return reason if incarnation in (None, context.incarnation) else None
            case Watch(watcher, notify):
                self._watchers[watcher] = notify
            case Unwatch(watcher):
                self._watchers.pop(watcher, None)
            case Link(peer):
                context.links.add(peer)
            case Unlink(peer):
                context.links.discard(peer)
            case Exit(peer, reason):
                return self._linked_ended(peer, reason, actor, context)
            case Envelope():
                self._open(signal, actor, context)
            case _:
                self._open(Envelope(signal), actor, context)
        return None

    def _linked_ended(self, peer: Mailbox, reason: Reason, actor: Actor, context: Context) -> Reason | None:
        if peer not in context.links:
            return None  # It was unlinked, or linked to an incarnation before this one.
        context.links.remove(peer)
        if actor.traps_exits:
            self._open(Envelope(Exited(ActorRef(peer), reason)), actor, context)
            return None
        return None if reason is Ended.NORMAL else reason

    def _open(self, envelope: Envelope, actor: Actor, context: Context) -> None:
        if not envelope.open():
            return
        reply = context.asked = envelope.reply
        try:
            value = actor.receive(envelope.message)
        except FATAL:
            raise  # The asker is answered when all others are.
        except BaseException as error:
            context.asked = None
            if reply is not None:
                reply.fail(error)
            actor.on_failure(error, envelope.message)
        else:
            if context.asked is not None:  # Else the handler has deferred the answer.
                context.asked.answer(value)
                context.asked = None

    # -- at the end ----------------------------------------------------------------------------------------------

    def _conclude(self, context: Context, started: Any, reason: Reason) -> None:
        """End all that belongs to the incarnation, and tell those concerned. Never waits."""
        if context.ended:
            return
        self.reason = reason
        self.mailbox.owner = None
        if isinstance(reason, BaseException) and not is_interrupt(reason):
            log.error("actor %s %s", self.ref.name, describe(reason), exc_info=reason)
        context.end(reason)
        if self._decides_itself and (self._parent is None or not self.spec.restart.follows(reason)):
            self.close()
        if self._parent is not None:
            self._parent._mailbox.signal(ChildEnded(self, context.incarnation, reason))
        if not started.ready():
            started.set(reason)

    def _bury(self, signal: object) -> None:
        """Answer a signal that came after the end. In any thread."""
        match signal:
            case Watch(_, notify):
                notify(self.reason)
            case Link(peer):
                peer.signal(Exit(self.mailbox, self.reason))
