"""A waiter returns when something can be read, when it is woken, or when the time is over, and does not lose a wake."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from actorq.transport import GreenWaiter, ThreadWaiter, Waiter

LONG_S = 20.0  # A wait that ends only with this one has failed.


@pytest.fixture(params=[ThreadWaiter, GreenWaiter], ids=["thread", "green"])
def waiter(request: pytest.FixtureRequest) -> Iterator[Waiter]:
    made = cast(Waiter, request.param())
    made.open()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def waited_s(waiter: Waiter, timeout_s: float = LONG_S) -> float:
    began_s = time.monotonic()
    waiter.wait(timeout_s)
    return time.monotonic() - began_s


def test_it_waits_for_the_time_it_is_given(waiter: Waiter) -> None:
    deadline_s = time.monotonic() + 0.05
    while (left_s := deadline_s - time.monotonic()) > 0:
        assert waited_s(waiter, left_s) < LONG_S


def test_a_shorter_time_counts_after_a_longer_one(waiter: Waiter) -> None:
    waiter.wake()
    waiter.wait(LONG_S)
    assert waited_s(waiter, 0.02) < LONG_S / 2


def test_what_can_be_read_ends_the_wait_and_is_named(waiter: Waiter, pipe: tuple[int, int]) -> None:
    read, write = pipe
    heard: list[str] = []
    waiter.watch(read, lambda: heard.append("read"))
    threading.Timer(0.02, os.write, (write, b"x")).start()
    while not heard:
        assert waited_s(waiter) < LONG_S
    # And as long as it is not read, it is named again
    heard.clear()
    waiter.wait(LONG_S)
    assert heard
    waiter.unwatch(read)
    heard.clear()
    waiter.wait(0.02)
    assert not heard


def test_a_breath_tells_what_can_be_read_without_waiting(waiter: Waiter, pipe: tuple[int, int]) -> None:
    read, write = pipe
    heard: list[str] = []
    waiter.watch(read, lambda: heard.append("read"))
    waiter.breathe()
    assert not heard
    os.write(write, b"x")
    deadline_s = time.monotonic() + LONG_S
    while not heard and time.monotonic() < deadline_s:
        waiter.breathe()
    assert heard
    waiter.unwatch(read)


def test_a_wake_before_the_wait_ends_it_at_once(waiter: Waiter) -> None:
    waiter.wake()
    assert waited_s(waiter) < LONG_S / 2
    waiter.wake()
    waiter.wake()
    assert waited_s(waiter) < LONG_S / 2


def test_a_wake_from_another_thread_ends_the_wait(waiter: Waiter) -> None:
    threading.Timer(0.02, waiter.wake).start()
    assert waited_s(waiter) < LONG_S / 2


def test_no_wake_is_lost_however_often_it_comes(waiter: Waiter) -> None:
    count, seen, done = 2000, 0, threading.Event()
    appended: list[int] = []

    def append() -> None:
        for number in range(count):
            appended.append(number)
            waiter.wake()
        done.set()

    thread = threading.Thread(target=append)
    thread.start()
    while seen < count:
        assert waited_s(waiter) < LONG_S
        seen = len(appended)
    thread.join(LONG_S)
    assert done.is_set()


def test_a_greenlet_of_the_same_hub_ends_the_wait() -> None:
    import gevent

    waiter = GreenWaiter()
    waiter.open()
    gevent.spawn_later(0.01, waiter.wake)
    assert waited_s(waiter) < LONG_S / 2
    waiter.close()


def test_other_greenlets_run_while_one_waits() -> None:
    import gevent

    waiter = GreenWaiter()
    waiter.open()
    steps: list[int] = []

    def step() -> None:
        for number in range(5):
            steps.append(number)
            gevent.sleep(0)
        waiter.wake()

    gevent.spawn(step)
    waiter.wait(LONG_S)
    assert steps == [0, 1, 2, 3, 4]
    waiter.close()


def test_a_wake_after_the_end_does_nothing(waiter: Waiter) -> None:
    other = type(waiter)()
    other.open()
    other.close()
    other.wake()
