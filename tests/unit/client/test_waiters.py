"""Whoever waits for a call may be gone when it settles: that is nobody else's trouble."""

from __future__ import annotations

import asyncio
import logging

import pytest

from actorq.client.bells import GreenBell
from actorq.client.callbacks import Callbacks
from actorq.client.pending import Pending


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

        bells.append(GreenBell())
        get_hub().destroy(destroy_loop=True)

    pool = ThreadPool(1)
    try:
        pool.spawn(wait_elsewhere).get(timeout=10)
    finally:
        pool.kill()
    bells[0].ring()
