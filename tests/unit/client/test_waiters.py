"""Whoever waits for a call may be gone when it settles: that is nobody else's trouble."""

from __future__ import annotations

import asyncio
import logging

import pytest

from actorq import native
from actorq.actors.bells import GreenBell
from actorq.client.bells import new_bell
from actorq.client.callbacks import Callbacks
from actorq.client.pending import Pending
from actorq.native import NativeBell


def test_a_waiter_that_fails_keeps_no_other_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def fail() -> None:
        raise RuntimeError("nobody is here")

    pending = Pending("one", None)
    pending.waiters = [fail, lambda: heard.append("second")]
    with caplog.at_level(logging.ERROR, "actorq.client"):
        pending.fail(ValueError("why"))
    assert heard == ["second"]
    assert "nobody is here" in caplog.text


def test_a_callback_of_a_closed_event_loop_is_left_out() -> None:
    heard: list[str] = []

    async def register() -> object:
        return Callbacks().deliverer(lambda: heard.append("called"))

    deliver = asyncio.run(register())
    assert callable(deliver)
    deliver()
    assert heard == []


def test_the_bell_of_a_destroyed_hub_is_rung_without_effect() -> None:
    from gevent.threadpool import ThreadPool

    bells: list[GreenBell] = []

    def wait_elsewhere() -> None:
        from gevent import get_hub

        bells.append(GreenBell(get_hub()))
        get_hub().destroy(destroy_loop=True)

    pool = ThreadPool(1)
    try:
        pool.spawn(wait_elsewhere).get(timeout=10)
    finally:
        pool.kill()
    bells[0].ring()


def test_a_thread_that_rings_or_calls_back_into_a_hub_does_not_touch_the_counts_of_its_loop() -> None:
    # Counts that are lost between two threads end the hub with LoopExit (see HubGate in actorq.actors.gate).
    from gevent import get_hub, monkey, spawn
    from gevent.event import Event

    loop, heard, done = get_hub().loop, Event(), native.new_lock()
    done.acquire()
    bell = new_bell()
    assert monkey and not isinstance(bell, NativeBell)
    deliver = spawn(Callbacks().deliverer, heard.set).get(timeout=10)

    def settle() -> None:
        bell.ring()
        deliver()
        done.release()

    before = loop.activecnt
    native.start_thread(settle)
    assert done.acquire(True, 10)  # Blocks this thread, so that its loop does not run.
    assert loop.activecnt == before
    assert bell.wait(10)
    assert heard.wait(10)
