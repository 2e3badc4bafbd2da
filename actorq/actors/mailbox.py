"""The bounded queue before an actor, and what happens to a message that it has no room for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gevent import GreenletExit, getcurrent
from gevent.hub import Waiter

from actorq.actors.bells import new_bell
from actorq.actors.envelope import Envelope
from actorq.actors.gate import HubGate
from actorq.actors.reasons import Reason, describe
from actorq.errors import ActorStopped, ImproperlyConfigured, MailboxFull
from actorq.native import Bell


class Overflow(Enum):
    """What becomes of a message for a full mailbox. Nothing is dropped in silence: drops are counted."""

    BLOCK = "block"
    """The sender waits for room, `block_timeout_s` at most, then gets MailboxFull."""
    REFUSE = "refuse"
    """The sender gets MailboxFull."""
    DROP_OLDEST = "drop oldest"
    """The oldest message goes. If it was an ask, its asker gets MailboxFull."""
    DROP_NEWEST = "drop newest"
    """This message goes. If it is an ask, its asker gets MailboxFull."""


@dataclass(frozen=True, slots=True)
class MailboxSettings:
    """How many messages may wait for an actor, and what happens beyond.

    The limit is exact for senders on the actor's own native thread. Others look and append without a lock, so that
    each of them may be one message over it.
    """

    limit: int = 10_000
    overflow: Overflow = Overflow.BLOCK
    block_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ImproperlyConfigured(f"a mailbox needs room for one message at least, not limit={self.limit}")


class Mailbox:
    """Many put, from any native thread; one greenlet of the gate's hub takes.

    Beside the queue it has `signals`, which have no limit and are taken first.
    """

    __slots__ = (
        "_asleep",
        "_blocked",
        "_bury",
        "_queue",
        "_room",
        "_settings",
        "_waiter",
        "closed",
        "dropped",
        "gate",
        "name",
        "owner",
        "signals",
    )

    def __init__(self, name: str, settings: MailboxSettings, gate: HubGate, bury: Callable[[object], None]) -> None:
        self.name = name
        self.gate = gate
        self.owner: Any = None
        """The greenlet that takes; it must not wait for room in its own mailbox."""
        self.closed: Reason | None = None
        self.dropped = 0
        """Messages that overflow has cost, since the beginning."""
        self.signals: deque[object] = deque()
        self._queue: deque[Any] = deque()
        self._settings = settings
        self._room = settings.limit  # 0 once it is closed, so that `put` has one comparison to make.
        self._bury = bury  # Answers a signal that came to a closed mailbox.
        self._waiter = Waiter(gate.hub)
        self._asleep = False
        self._blocked: deque[Bell] = deque()  # Senders that wait for room, in order.

    def __len__(self) -> int:
        return len(self._queue)

    # -- senders, on any native thread ---------------------------------------------------------------------------

    def put(self, item: Any, timeout_s: float | None = None) -> None:
        """Append a message or an envelope, and wake the actor if it sleeps.

        Where the policy is to wait for room, at most `timeout_s` as well. Raises MailboxFull or ActorStopped.
        """
        queue = self._queue
        if len(queue) >= self._room and not self._make_room(item, timeout_s):
            return
        queue.append(item)
        if self._asleep:
            self._wake()
        elif not self._room:  # It was closed between the look and the append.
            self._drain()

    def signal(self, signal: object) -> None:
        """Append a signal. A closed mailbox still answers those that want an answer."""
        self.signals.append(signal)
        if self._asleep:
            self._wake()
        elif not self._room:
            self._drain()

    def _wake(self) -> None:
        self._asleep = False
        self.gate.call_soon(self._waiter.switch, None)

    def _make_room(self, item: Any, timeout_s: float | None) -> bool:
        """Deal with a mailbox that is full or closed. Returns whether `item` may be appended now."""
        if self.closed is not None:
            raise self.stopped_error(item)
        overflow = self._settings.overflow
        if overflow is Overflow.BLOCK:
            self._wait_for_room(item, timeout_s)
            return True
        if overflow is Overflow.REFUSE:
            raise self._full_error(item)
        self.dropped += 1
        if overflow is Overflow.DROP_NEWEST:
            self._discard(item, self._full_error(item))
            return False
        try:
            oldest = self._queue.popleft()
        except IndexError:
            return True  # The actor took it just now.
        self._discard(oldest, self._full_error(oldest))
        return True

    def _wait_for_room(self, item: Any, timeout_s: float | None) -> None:
        current = getcurrent()
        if current is self.owner or current is self.gate.hub:
            raise self._full_error(item)  # Nobody could make room while this one waits.
        limit_s = self._settings.block_timeout_s
        deadline_s = time.monotonic() + (limit_s if timeout_s is None else min(limit_s, timeout_s))
        blocked, bell = self._blocked, new_bell()
        blocked.append(bell)
        try:
            while len(self._queue) >= self._room:
                if self.closed is not None:
                    raise self.stopped_error(item)
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise self._full_error(item)
                if bell not in blocked:
                    blocked.appendleft(bell)  # Somebody else was faster; it is still the first in line.
                bell.wait(left_s)
        except BaseException:
            if not self._leave_line(bell):
                self._admit()  # Its turn had come just when it gave up: now it is the next one's.
            raise
        self._leave_line(bell)

    def _leave_line(self, bell: Bell) -> bool:
        try:
            self._blocked.remove(bell)
        except ValueError:
            return False
        return True

    # -- the actor, in its greenlet ------------------------------------------------------------------------------

    def take(self) -> Any:
        """The oldest message or envelope. Raises IndexError if there is none."""
        item = self._queue.popleft()
        if self._blocked:
            self._admit()
        return item

    def wait(self) -> None:
        """Sleep until there is a message or a signal; may return before. Raises GreenletExit if it is closed."""
        self._asleep = True  # First this, then the look: a sender does it the other way round, so none is missed.
        try:
            if not self._queue and not self.signals:
                if self.closed is not None:
                    raise GreenletExit  # A greenlet that could not be stopped in time has come back.
                self._waiter.get()
        finally:
            self._asleep = False
            self._waiter.clear()

    def close(self, reason: Reason) -> None:
        """Take no more messages, and answer all who wait for one of those that are left."""
        self.closed = reason
        self._room = 0
        self._drain()

    # -- both ----------------------------------------------------------------------------------------------------

    def stopped_error(self, item: Any) -> ActorStopped:
        """What to raise at the sender of `item`, when the mailbox is closed."""
        why = "stopped" if self.closed is None else describe(self.closed)
        return ActorStopped(f"actor {self.name} {why}, and does not take {type_name(item)} any more")

    def _full_error(self, item: Any) -> MailboxFull:
        return MailboxFull(
            f"the mailbox of actor {self.name} is full ({self._settings.limit:,} messages) and has no room for "
            f"{type_name(item)}: send less at a time, or give the actor's mailbox a higher limit"
        )

    def _admit(self) -> None:
        """Tell the first sender that waits for room."""
        try:
            self._blocked.popleft().ring()
        except IndexError:
            pass

    def _drain(self) -> None:
        """Empty a closed mailbox. Each item is popped once, by whichever thread, so that each is answered once."""
        while self._blocked:
            self._admit()
        try:
            while True:
                self._bury(self.signals.popleft())
        except IndexError:
            pass
        try:
            while True:
                item = self._queue.popleft()
                self._discard(item, self.stopped_error(item))
        except IndexError:
            pass

    def _discard(self, item: Any, error: Exception) -> None:
        if isinstance(item, Envelope):
            item.discard(error)


def type_name(item: Any) -> str:
    """The name of a message's type, for errors."""
    message = item.message if isinstance(item, Envelope) else item
    return type(message).__qualname__
