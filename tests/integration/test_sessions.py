"""What a session survives, what ends it, and what users are told."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from itertools import repeat
from typing import Any

import pytest

from actorq import ActorQ
from actorq.client.session import Session
from actorq.config import ClientSettings
from actorq.errors import ActorqError, EncodeError, ImproperlyConfigured, MessageTooLarge, OperationalError
from actorq.transport.routes import host_towards
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers
from tests.support import eventually, free_address


def works(app: ActorQ) -> bool:
    return bool(app.send_task("tests.integration.tasks.add", (2, 3)).get(timeout=10) == 5)


# -- waiters that are gone ---------------------------------------------------------------------------------------


def test_a_result_that_comes_when_its_event_loop_is_closed_harms_nobody(shared_app: ActorQ) -> None:
    assert works(shared_app)
    session, late, other = shared_app.session, tasks.pid_after.delay(0.5), tasks.pid_after.delay(1.0)

    async def wait_too_short() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(_await(late)), 0.05)

    asyncio.run(wait_too_short())
    assert late.get(timeout=10) > 0 and other.get(timeout=10) > 0
    assert shared_app.session is session and works(shared_app)


def test_who_no_longer_awaits_a_result_is_forgotten(shared_app: ActorQ) -> None:
    late = tasks.pid_after.delay(0.5)

    async def wait_too_short() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_await(late), 0.05)

    asyncio.run(wait_too_short())
    assert not late.waiters
    assert late.get(timeout=10) > 0


async def _await(result: Any) -> Any:
    return await result


# -- a session that has failed -----------------------------------------------------------------------------------


def test_a_session_that_has_failed_says_why_and_the_next_call_begins_another(
    shared_app: ActorQ, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert works(shared_app)
    session, waiting = shared_app.session, tasks.pid_after.delay(30)

    def fail() -> None:
        raise RuntimeError("the moon is full")

    with caplog.at_level(logging.CRITICAL, "actorq.client"):
        monkeypatch.setattr(session.core, "finish", fail)
        session._link.wake()
        with pytest.raises(OperationalError, match="the moon is full"):
            waiting.get(timeout=10)
        eventually(lambda: session.is_over)
    assert "the moon is full" in caplog.text
    for use in (lambda: session.look_up(["one"], 5.0), lambda: session.wait_open(5.0)):
        with pytest.raises(OperationalError, match="the moon is full"):
            use()
    assert shared_app.session is not session
    assert works(shared_app) and tasks.add.delay(1, 1).get(timeout=10) == 2


# -- users' mistakes ---------------------------------------------------------------------------------------------


def test_what_cannot_be_sent_is_refused_to_who_gives_it_and_nobody_else_is_affected(shared_app: ActorQ) -> None:
    assert works(shared_app)
    session = shared_app.session
    with pytest.raises(EncodeError, match="control command 'x'"):
        shared_app.control.broadcast("x", {"a": object()})
    with pytest.raises(ImproperlyConfigured, match="timeout"):
        shared_app.control.ping(timeout=math.nan)
    large = bytes(70 * 1024 * 1024)
    with pytest.raises(MessageTooLarge, match="function"):
        shared_app.submit(lambda: len(large))
    for task_id in ("\ud800", "x" * 300):
        with pytest.raises(ImproperlyConfigured, match="task_id"):
            tasks.add.apply_async((1, 1), task_id=task_id)
        with pytest.raises(ImproperlyConfigured, match="task_id"):
            shared_app.AsyncResult(task_id)
    for name in ("\ud800", "x" * 600):
        with pytest.raises(ImproperlyConfigured):
            shared_app.send_task(name)
        with pytest.raises(ImproperlyConfigured):
            tasks.add.apply_async((1, 1), queue=name)
    with pytest.raises(EncodeError):
        shared_app.revoke(["\ud800"], False, False, 1.0)
    assert shared_app.session is session and works(shared_app)


def test_a_function_with_a_very_long_name_can_be_submitted(shared_app: ActorQ) -> None:
    def fn() -> int:
        return 1

    fn.__qualname__ = "f" * 1000
    assert shared_app.submit(fn).get(timeout=10) == 1


def test_a_message_that_cannot_be_sent_after_all_fails_its_calls_and_not_the_session(
    shared_app: ActorQ, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert works(shared_app)
    session = shared_app.session
    with caplog.at_level(logging.CRITICAL + 1, "actorq.client"):
        monkeypatch.setattr("actorq.tasks.sending.check_id", lambda task_id: task_id)
        result = tasks.add.apply_async((1, 1), task_id="\ud800")
        with pytest.raises(EncodeError, match="could not be sent"):
            result.get(timeout=10)
        with pytest.raises(EncodeError, match="could not be sent"):
            shared_app.session.look_up(["\ud800"], 5.0)
    assert shared_app.session is session and works(shared_app)


@pytest.mark.parametrize(
    "options", [{"countdown": math.nan}, {"expires": math.inf}, {"publish_timeout": math.nan}, {"time_limit": math.nan}]
)
def test_times_that_are_no_times_are_refused_at_the_call(shared_app: ActorQ, options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        tasks.add.apply_async((1, 1), **options)


def test_no_wait_lasts_for_not_a_number_of_seconds(shared_app: ActorQ) -> None:
    late = tasks.pid_after.delay(0.3)
    with pytest.raises(ImproperlyConfigured, match="timeout"):
        late.get(timeout=math.nan)
    with pytest.raises(ImproperlyConfigured, match="timeout"):
        shared_app.gather(late, timeout=math.nan)
    with pytest.raises(ImproperlyConfigured, match="timeout"):
        list(shared_app.as_completed([late], timeout=math.nan))
    assert late.get(timeout=math.inf) > 0


def test_a_host_that_cannot_be_found_is_named() -> None:
    with pytest.raises(OperationalError, match=r"tcp://no-such-host\.invalid:5570"):
        host_towards(["tcp://no-such-host.invalid:5570"])
    with pytest.raises(OperationalError, match=r"no-such-host\.invalid"):
        Session(["tcp://no-such-host.invalid:5570"], insecure=True)


def test_the_way_to_an_address_of_ipv6_is_looked_up_with_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    class Probe:
        def __init__(self, family: int, kind: int) -> None:
            assert (family, kind) == (socket.AF_INET6, socket.SOCK_DGRAM)

        def __enter__(self) -> Probe:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, address: tuple[str, int]) -> None:
            assert address == ("2001:db8::1", 5570)

        def getsockname(self) -> tuple[str, int, int, int]:
            return ("2001:db8::2", 40_000, 0, 0)

    monkeypatch.setattr("actorq.native.original", lambda module, name: Probe)
    assert host_towards(["tcp://[2001:db8::1]:5570"]) == "[2001:db8::2]"


def test_an_address_that_cannot_be_dialled_is_refused_in_the_caller() -> None:
    with pytest.raises(ActorqError, match="IPV6"):
        Session(["tcp://fe80::1:5570"], insecure=True)


# -- two handles to one call -------------------------------------------------------------------------------------


def test_a_second_call_under_an_id_that_is_awaited_leaves_the_first_one_its_result(shared_app: ActorQ) -> None:
    heard: list[str] = []
    task_id = f"chosen-{time.time_ns()}"
    first = tasks.pid_after.apply_async((0.3,), task_id=task_id)
    first.then(lambda result: heard.append("first"))
    second = tasks.pid_after.apply_async((0.3,), task_id=task_id)
    second.then(lambda result: heard.append("second"))
    eventually(lambda: sorted(heard) == ["first", "second"], what="both have heard of the outcome")
    eventually(second.is_settled, what="the second handle has the outcome")
    assert first.is_settled() and second.get(timeout=10) == first.get(timeout=10)


# -- waits inside of tasks ---------------------------------------------------------------------------------------


def test_a_task_that_waits_in_any_way_leaves_its_only_slot_to_what_it_waits_for(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("--processes", "1", "-c", "1")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        assert tasks.await_another.delay(1).get(timeout=20) == 2
        assert tasks.take_as_completed.delay(5).get(timeout=20) == 10
        assert tasks.map_in_any_order.delay(50).get(timeout=20) == 1225
        assert tasks.look_up_another.delay(1).get(timeout=20) == "SUCCESS"


# -- how much a session holds --------------------------------------------------------------------------------------


def test_a_session_keeps_functions_by_value_up_to_a_size_and_says_so_beyond_it() -> None:
    session = Session([free_address()], ClientSettings(code_bytes=10))
    try:
        session.add_code("first", bytes(10))
        session.add_code("first", bytes(10))
        with pytest.raises(ImproperlyConfigured, match="more than 10 bytes together"):
            session.add_code("second", b"1")
        assert list(session.core.codes) == ["first"]
    finally:
        session.close()


def test_a_producer_of_large_arguments_waits_when_few_of_them_wait(mesh: Mesh) -> None:
    # Given a mesh that has accepted nothing of what it was sent yet, because it is full
    mesh.start_coordinator().wait_for_output("listens")
    app = ActorQ("large", mesh.address, settings=ClientSettings(outbox_bytes=3 * 2**20, publish_timeout_s=0.5))
    try:
        app.session.wait_open(20)
        app.session.core.window = app.session.core.window_bytes = 0
        # When large calls are submitted, then the producer is stopped long before it has submitted as many as fit in count
        with pytest.raises(OperationalError, match="calls wait to be accepted"):
            list(map(app.send_task, repeat("nobody.runs.it", 100), repeat((bytes(2**20),))))
        assert app.session.core.backlog() < 100
    finally:
        app.close()
