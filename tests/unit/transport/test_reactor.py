"""Sources get their share, timers come in order, and a ring that was missed is found and counted."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from actorq.transport.limits import LinkStats
from actorq.transport.reactor import Reactor, Source


class StillWaiter:
    """Never hears anything, as if every ring were swallowed."""

    def open(self) -> None:
        pass

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        pass

    def unwatch(self, fd: int) -> None:
        pass

    def wait(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def breathe(self) -> None:
        pass

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


class Inbox(Source):
    """Takes what it may, and remembers it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        super().__init__(socket)
        self.taken: list[bytes] = []
        self.limits: list[int] = []

    def receive(self, limit: int) -> bool:
        self.limits.append(limit)
        for _ in range(limit):
            try:
                self.taken.append(self.socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return True
        return False


@pytest.fixture
def pairs() -> Iterator[Callable[[], tuple[zmq.Socket[bytes], Inbox]]]:
    context: zmq.Context[Any] = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def new_pair() -> tuple[zmq.Socket[bytes], Inbox]:
        near, far = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        far.bind(f"inproc://{len(sockets)}")
        near.connect(f"inproc://{len(sockets)}")
        sockets.extend((near, far))
        return near, Inbox(far)

    yield new_pair
    for socket in sockets:
        socket.close(0)
    context.term()


NewPair = Callable[[], "tuple[zmq.Socket[bytes], Inbox]"]


def new_reactor() -> tuple[Reactor, StillWaiter, LinkStats]:
    waiter, stats = StillWaiter(), LinkStats()
    return Reactor(waiter, stats), waiter, stats


def test_a_new_source_is_looked_at_and_then_only_when_it_is_touched(pairs: NewPair) -> None:
    sender, inbox = pairs()
    reactor, _, _ = new_reactor()
    sender.send(b"1")
    reactor.watch(inbox)
    reactor.receive(100)
    assert inbox.taken == [b"1"] and not reactor.is_busy
    sender.send(b"2")
    reactor.receive(100)
    assert inbox.taken == [b"1"]
    reactor.touch(inbox)
    reactor.touch(inbox)
    reactor.receive(100)
    assert inbox.taken == [b"1", b"2"] and len(inbox.limits) == 2


def test_a_source_that_has_more_waits_for_the_next_round_and_leaves_others_their_share(pairs: NewPair) -> None:
    (noisy_sender, noisy), (quiet_sender, quiet) = pairs(), pairs()
    reactor, _, _ = new_reactor()
    reactor.watch(noisy)
    reactor.watch(quiet)
    for _ in range(300):
        noisy_sender.send(b"n")
    quiet_sender.send(b"q")
    reactor.receive(200)
    assert len(noisy.taken) == 100 and quiet.taken == [b"q"]
    assert reactor.is_busy
    reactor.receive(200)
    assert len(noisy.taken) == 300


def test_after_a_sleep_one_message_of_each_goes_first_and_the_others_follow(pairs: NewPair) -> None:
    (busy_sender, busy), (calm_sender, calm) = pairs(), pairs()
    reactor, _, _ = new_reactor()
    for inbox in (busy, calm):
        reactor.watch(inbox)
    reactor.receive(100)
    reactor.wait(0, 0)
    for _ in range(10):
        busy_sender.send(b"b")
    calm_sender.send(b"c")
    reactor.touch(busy)
    reactor.touch(calm)
    reactor.receive(100)
    assert busy.taken == [b"b"] and calm.taken == [b"c"]
    # When the answers are on their way, it turns out that one of them had more
    reactor.look_again()
    assert reactor.is_busy
    reactor.receive(100)
    reactor.look_again()
    assert busy.taken == [b"b"] * 10 and calm.limits[1:] == [1]
    assert not reactor.is_busy
    # And what comes for the other one rings again
    calm_sender.send(b"c")
    assert select.select([calm.fd], [], [], 10)[0]


def test_a_source_that_waits_for_a_last_look_gets_it_although_there_is_nothing(pairs: NewPair) -> None:
    sender, inbox = pairs()
    reactor, _, _ = new_reactor()
    reactor.watch(inbox)
    reactor.receive(100)
    reactor.wait(0, 0)
    sender.send(b"1")
    inbox.needs_last_look = True
    reactor.touch(inbox)
    reactor.receive(100)
    reactor.look_again()
    reactor.receive(100)
    assert inbox.limits == [100, 1, 100] and not reactor.is_busy


def test_a_source_that_is_no_longer_watched_is_left_alone(pairs: NewPair) -> None:
    sender, inbox = pairs()
    reactor, _, _ = new_reactor()
    reactor.watch(inbox)
    reactor.unwatch(inbox)
    sender.send(b"1")
    reactor.receive(100)
    assert inbox.limits == [] and not reactor.is_busy


def test_a_message_whose_ring_was_missed_is_found_within_two_periods_and_counted(pairs: NewPair) -> None:
    sender, inbox = pairs()
    reactor, _, stats = new_reactor()
    reactor.watch(inbox)
    reactor.receive(100)
    # Given a message whose ring was swallowed by another use of the socket
    sender.send(b"1")
    inbox.socket.getsockopt(zmq.EVENTS)
    now_s = time.monotonic()
    # When two seconds pass in which nothing else happens on that socket
    for seconds in (1.1, 2.2):
        reactor.run_timers(now_s + seconds)
        reactor.receive(100)
    # Then
    assert inbox.taken == [b"1"]
    assert stats.missed_wakeups == 1


def test_a_message_whose_ring_is_still_to_be_heard_is_not_counted(pairs: NewPair) -> None:
    sender, inbox = pairs()
    reactor, _, stats = new_reactor()
    reactor.watch(inbox)
    reactor.receive(100)
    sender.send(b"1")
    now_s = time.monotonic()
    for seconds in (1.1, 2.2):
        reactor.run_timers(now_s + seconds)
    assert stats.missed_wakeups == 0


def test_timers_run_in_the_order_in_which_they_are_due_and_once() -> None:
    reactor, waiter, _ = new_reactor()
    ran: list[str] = []
    now_s = time.monotonic()
    reactor.after(0.2, lambda: ran.append("second"))
    reactor.after(0.1, lambda: ran.append("first"))
    reactor.after(0.2, lambda: ran.append("third"))
    reactor.after(9.0, lambda: ran.append("late"))
    reactor.wait(now_s, now_s + 100)
    assert waiter.timeout_s == pytest.approx(0.1, abs=0.05)
    reactor.run_timers(now_s + 0.5)
    reactor.run_timers(now_s + 0.5)
    assert ran == ["first", "second", "third"]


def test_a_wait_ends_with_the_safety_period_or_earlier_if_the_owner_wants(pairs: NewPair) -> None:
    reactor, waiter, _ = new_reactor()
    now_s = time.monotonic()
    reactor.wait(now_s, now_s + 100)
    assert waiter.timeout_s <= 1.0
    reactor.wait(now_s, now_s + 0.25)
    assert waiter.timeout_s == pytest.approx(0.25, abs=0.01)
    reactor.wait(now_s, now_s - 1)
    assert waiter.timeout_s == 0
