"""What happens to a message for a full mailbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from actorq import errors
from actorq.actors import Actor, ActorRef, ActorSystem, ChildSpec, MailboxSettings, Overflow, Restart, handles
from actorq.actors.mailbox import Mailbox
from actorq.errors import ActorStopped, ImproperlyConfigured, MailboxFull
from tests.unit.actors.support import LIMIT_S, Add, Busy, Get, Part, bounded, in_thread, occupy, part, until


def full(
    system: ActorSystem, overflow: Overflow, limit: int = 2, block_timeout_s: float = LIMIT_S
) -> tuple[ActorRef, Busy]:
    """A busy actor, and as many messages as there is room for: 0, 1, ..."""
    ref = system.start(part(restart=Restart.TRANSIENT, mailbox=bounded(limit, overflow, block_timeout_s)))
    busy = occupy(ref)
    for number in range(limit):
        ref.tell(Add(number))
    return ref, busy


def attempt(send: Callable[[Any], Any], message: object) -> Any:
    try:
        return send(message)
    except Exception as error:
        return error


def test_by_default_a_sender_waits_for_room_among_ten_thousand() -> None:
    assert MailboxSettings() == MailboxSettings(limit=10_000, overflow=Overflow.BLOCK, block_timeout_s=5.0)


def test_a_mailbox_needs_room() -> None:
    with pytest.raises(ImproperlyConfigured, match="room for one message at least, not limit=0"):
        MailboxSettings(limit=0)


# -- REFUSE ------------------------------------------------------------------------------------------------------


def test_refuse_raises_at_the_sender(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.REFUSE)
    with pytest.raises(MailboxFull, match=r"mailbox of actor test/part is full \(2 messages\) and has no room for Add"):
        ref.tell(Add("too much"))
    with pytest.raises(MailboxFull, match="no room for Get"):
        ref.ask(Get())
    busy.over.set()
    until(lambda: ref.waiting == 0)
    assert ref.ask(Get()) == [0, 1]
    assert ref.dropped == 0


# -- DROP --------------------------------------------------------------------------------------------------------


def test_drop_newest_keeps_what_came_first_and_counts(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.DROP_NEWEST)
    ref.tell(Add("dropped"))
    ref.tell(Add("dropped"))
    assert ref.dropped == 2
    busy.over.set()
    until(lambda: ref.waiting == 0)
    assert ref.ask(Get()) == [0, 1]


def test_drop_oldest_keeps_what_came_last_and_counts(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.DROP_OLDEST)
    ref.tell(Add(2))
    ref.tell(Add(3))
    assert ref.dropped == 2
    assert ref.waiting == 2
    busy.over.set()
    until(lambda: ref.waiting == 0)
    assert ref.ask(Get()) == [2, 3]


def test_the_asker_of_a_newest_message_that_is_dropped_is_answered(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.DROP_NEWEST)
    with pytest.raises(MailboxFull, match="no room for Get"):
        ref.ask(Get())
    assert ref.dropped == 1
    busy.over.set()


def test_the_asker_of_an_oldest_message_that_is_dropped_is_answered(system: ActorSystem) -> None:
    ref = system.start(part(mailbox=bounded(1, Overflow.DROP_OLDEST)))
    busy = occupy(ref)
    asker = gevent.spawn(attempt, ref.ask, Get())
    until(lambda: ref.waiting == 1)
    ref.tell(Add("newer"))
    assert isinstance(asker.get(timeout=LIMIT_S), MailboxFull)
    busy.over.set()


# -- BLOCK -------------------------------------------------------------------------------------------------------


def test_block_lets_senders_in_one_by_one_in_their_order(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK)
    senders = [gevent.spawn(ref.tell, Add(number)) for number in range(2, 6)]
    gevent.sleep(0)
    assert ref.waiting == 2
    assert not any(sender.ready() for sender in senders)
    busy.over.set()
    assert gevent.joinall(senders, timeout=LIMIT_S, raise_error=True) == senders
    assert ref.ask(Get()) == [0, 1, 2, 3, 4, 5]


def test_block_never_lets_more_in_than_the_limit(system: ActorSystem) -> None:
    most = 0

    class Measured(Part):
        @handles(Add)
        def add(self, message: Add) -> int:
            nonlocal most
            gevent.sleep(0)  # Senders that were let in put their message.
            most = max(most, self.ref.waiting)
            return super().add(message)

    ref = system.start(ChildSpec(Measured, "measured", mailbox=bounded(3, Overflow.BLOCK)))
    senders = [gevent.spawn(ref.tell, Add(number)) for number in range(50)]
    assert len(gevent.joinall(senders, timeout=LIMIT_S, raise_error=True)) == 50
    assert len(ref.ask(Get())) == 50
    assert most == 3


def test_block_ends_with_an_error_after_its_time(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK, block_timeout_s=0.01)
    with pytest.raises(MailboxFull, match="has no room for Add"):
        ref.tell(Add("too much"))
    with pytest.raises(MailboxFull, match="has no room for Get"):
        ref.ask(Get(), timeout_s=LIMIT_S)
    busy.over.set()
    until(lambda: ref.waiting == 0)
    assert ref.ask(Get()) == [0, 1]


def test_an_ask_that_waits_for_room_keeps_its_own_time(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK, block_timeout_s=1000)
    with pytest.raises(errors.TimeoutError, match=r"test/part has not answered Get within 0\.01 s"):
        ref.ask(Get(), timeout_s=0.01)
    busy.over.set()


def test_a_sender_that_is_killed_while_it_waits_leaves_its_place_to_the_next(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK, limit=1)
    first, second = gevent.spawn(ref.tell, Add("first")), gevent.spawn(ref.tell, Add("second"))
    gevent.sleep(0)
    first.kill()
    busy.over.set()
    second.get(timeout=LIMIT_S)
    assert ref.ask(Get()) == [0, "second"]


def test_a_sender_that_is_killed_when_its_turn_has_come_passes_it_on(system: ActorSystem) -> None:
    mailbox = Mailbox("test", bounded(1, Overflow.BLOCK), system.root._mailbox.gate, bury=lambda _: None)
    mailbox.put(0)
    first, second = gevent.spawn(mailbox.put, "first"), gevent.spawn(mailbox.put, "second")
    gevent.sleep(0)
    first.kill(block=False)  # Happens just after `take` has told it that there is room.
    assert mailbox.take() == 0
    second.get(timeout=LIMIT_S)
    assert mailbox.take() == "second"


def test_a_sender_whose_room_was_taken_stays_the_first_in_line(system: ActorSystem) -> None:
    mailbox = Mailbox("test", bounded(1, Overflow.BLOCK), system.root._mailbox.gate, bury=lambda _: None)
    mailbox.put(0)
    senders = [gevent.spawn(mailbox.put, "first"), gevent.spawn(mailbox.put, "second")]
    gevent.sleep(0)
    assert mailbox.take() == 0
    mailbox.put("faster")
    gevent.sleep(0)
    taken = []
    for _ in range(3):
        until(lambda: len(mailbox) == 1)
        taken.append(mailbox.take())
    assert taken == ["faster", "first", "second"]
    gevent.joinall(senders, timeout=LIMIT_S, raise_error=True)


def test_senders_that_wait_for_room_hear_that_the_actor_has_stopped(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK)
    senders = [gevent.spawn(attempt, ref.tell, Add("late")), gevent.spawn(attempt, ref.ask, Get())]
    gevent.sleep(0)
    ref.stop()
    busy.over.set()
    for sender in senders:
        assert isinstance(sender.get(timeout=LIMIT_S), ActorStopped)


def test_a_native_thread_waits_for_room_too(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK)
    begun: list[bool] = []

    def send() -> None:
        begun.append(True)
        for number in range(2, 100):
            ref.tell(Add(number))

    sent = in_thread(send)
    until(lambda: begun)
    busy.over.set()
    sent()
    assert ref.ask(Get()) == list(range(100))


def test_an_actor_does_not_wait_for_room_in_its_own_mailbox(system: ActorSystem) -> None:
    class Flood(Actor):
        @handles(Get)
        def get(self, message: Get) -> Any:
            self.ref.tell("one")
            return attempt(self.ref.tell, "two")

        @handles(str)
        def ignore(self, message: str) -> None: ...

    ref = system.start(ChildSpec(Flood, "flood", mailbox=bounded(1, Overflow.BLOCK)))
    assert isinstance(ref.ask(Get(), timeout_s=LIMIT_S), MailboxFull)


def test_a_callback_of_the_hub_does_not_wait_for_room(system: ActorSystem) -> None:
    ref, busy = full(system, Overflow.BLOCK)
    outcomes: list[Any] = []
    gevent.get_hub().loop.run_callback(lambda: outcomes.append(attempt(ref.tell, Add("from the hub"))))
    until(lambda: outcomes)
    assert isinstance(outcomes[0], MailboxFull)
    busy.over.set()


# -- what has no limit -------------------------------------------------------------------------------------------


def test_a_stop_overtakes_what_stands_in_a_full_mailbox(system: ActorSystem) -> None:
    journal: list[object] = []

    class Noted(Part):
        @handles(Add)
        def add(self, message: Add) -> int:
            journal.append(message.item)
            return 0

    ref = system.start(ChildSpec(Noted, "noted", Restart.TRANSIENT, mailbox=bounded(2, Overflow.REFUSE)))
    busy = occupy(ref)
    ref.tell(Add(1))
    ref.tell(Add(2))
    ref.stop()
    busy.over.set()
    ref.join(LIMIT_S)
    assert journal == []
