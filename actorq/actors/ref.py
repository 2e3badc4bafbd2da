"""What one holds of an actor, and what one hears of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from gevent import getcurrent

from actorq import errors
from actorq.actors.bells import new_bell
from actorq.actors.envelope import Envelope
from actorq.actors.mailbox import Mailbox, type_name
from actorq.actors.reasons import Ended, Reason
from actorq.actors.reply import Reply
from actorq.actors.signals import Stop, Unwatch, Watch


class ActorRef:
    """An actor's address. Valid for as long as the actor is not stopped for good: a restart does not change it.

    All methods may be called from any native thread. Where the caller's thread has a gevent hub they block its
    greenlet, elsewhere the thread.
    """

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    @property
    def name(self) -> str:
        """Where the actor stands: the names from its system down to itself, such as ``node/pool/watchdog``."""
        return self._mailbox.name

    @property
    def stopped(self) -> bool:
        """Whether it has stopped for good."""
        return self._mailbox.closed is not None

    @property
    def waiting(self) -> int:
        """Messages in its mailbox now."""
        return len(self._mailbox)

    @property
    def dropped(self) -> int:
        """Messages that its mailbox has dropped for want of room, since it exists."""
        return self._mailbox.dropped

    def tell(self, message: Any) -> None:
        """Put `message` into the mailbox and go on. Messages from one sender are handled in the order they were told.

        Raises MailboxFull, as the mailbox's overflow policy says, or ActorStopped. That neither is raised does not
        promise that the message is handled, as the actor may stop before: who must know asks, or monitors.
        """
        self._mailbox.put(message)

    def ask(self, message: Any, timeout_s: float | None = None) -> Any:
        """Put `message` into the mailbox, wait for the answer (what the handler returns) and return it.

        An exception in the handler is raised here as well; for the actor it is a failure like that of a message that
        was told. Also raises

        * ActorStopped if the actor has stopped, or ends before it has answered;
        * MailboxFull, as for `tell`;
        * TimeoutError if there is no answer after `timeout_s`. If the actor has not begun with the message by then, it
          will not.
        """
        self._refuse_own("ask")
        begin_s = time.monotonic()
        reply = Reply(new_bell())
        try:
            self._mailbox.put(Envelope(message, reply), timeout_s)
        except errors.MailboxFull as error:
            if timeout_s is not None and time.monotonic() - begin_s >= timeout_s:
                raise self._no_answer(message, timeout_s) from error
            raise
        left_s = None if timeout_s is None else timeout_s - (time.monotonic() - begin_s)
        if not reply.wait(left_s):
            assert timeout_s is not None
            raise self._no_answer(message, timeout_s)
        return reply.value()

    def stop(self, reason: Reason = Ended.NORMAL) -> None:
        """Have the actor end before the next message, and go on. What `reason` means is said at `Actor.stop`.

        A supervisor starts a *permanent* child again: to stop that one for good, ask the supervisor to `StopChild`.
        """
        self._mailbox.signal(Stop(reason))

    def join(self, timeout_s: float | None = None) -> Reason:
        """Wait until the actor has stopped for good, and return why. Raises TimeoutError after `timeout_s`."""
        self._refuse_own("wait for the end of")
        reply = Reply(new_bell())
        self._mailbox.signal(Watch(reply, reply.answer))
        try:
            if not reply.wait(timeout_s):
                raise errors.TimeoutError(f"actor {self.name} has not stopped within {timeout_s:g} s")
        finally:
            if not reply.settled:
                self._mailbox.signal(Unwatch(reply))
        reason: Reason = reply.value()
        return reason

    def monitor(self, watcher: ActorRef) -> None:
        """Have `watcher` get one ``Down(self, reason)`` when this actor has stopped for good, or at once if it has.

        A restart is no end. Down overtakes what stands in the watcher's mailbox.
        """
        self._mailbox.signal(Watch(watcher, lambda reason: watcher._mailbox.signal(Down(self, reason))))

    def unmonitor(self, watcher: ActorRef) -> None:
        """Take `monitor` back. A Down that is under way still arrives."""
        self._mailbox.signal(Unwatch(watcher))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and other._mailbox is self._mailbox

    def __hash__(self) -> int:
        return hash(self._mailbox)

    def __repr__(self) -> str:
        return f"<actor {self.name}{', stopped' if self.stopped else ''}>"

    def _refuse_own(self, verb: str) -> None:
        if getcurrent() is self._mailbox.owner:
            raise RuntimeError(f"actor {self.name} would {verb} itself and wait for ever: tell, or call the method")

    def _no_answer(self, message: Any, timeout_s: float) -> errors.TimeoutError:
        return errors.TimeoutError(f"actor {self.name} has not answered {type_name(message)} within {timeout_s:g} s")


@dataclass(frozen=True, slots=True)
class Down:
    """A monitored actor has stopped for good."""

    ref: ActorRef
    reason: Reason


@dataclass(frozen=True, slots=True)
class Exited:
    """A linked actor has ended, for good or until its supervisor starts it again; the link is gone.

    Comes as a message only to an actor that has `traps_exits`.
    """

    ref: ActorRef
    reason: Reason
