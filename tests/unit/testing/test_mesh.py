"""A mesh in the test's own process: the real cores and serializers, no other process, thread or socket, and no real time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from actorq import ActorQ, ResultSet, chain, chord, group
from actorq.errors import (
    EncodeError,
    ImproperlyConfigured,
    NotRegistered,
    SoftTimeLimitExceeded,
    TaskRevokedError,
    Terminated,
    TimeLimitExceeded,
    TimeoutError,
    WorkerLostError,
)
from actorq.testing import Mesh, WouldWaitForEver, mesh
from actorq.wire.payload import remote_traceback

HOUR_S = 3600.0


class Log(list[Any]):
    """What tasks have done, in order."""


log = Log()


@pytest.fixture
def app() -> ActorQ:
    """An application with some tasks. It would connect to nobody: there is nobody at its address."""
    log.clear()
    app = ActorQ("tasks", url="tcp://127.0.0.1:1")

    @app.task(name="add")
    def add(x: Any, y: Any) -> Any:
        log.append((x, y))
        return x + y

    @app.task(name="length", compression="gzip")
    def length(text: str) -> int:
        return len(text)

    @app.task(name="kind")
    def kind(value: Any) -> str:
        return type(value).__name__

    @app.task(name="fib")
    def fib(n: int) -> int:
        if n < 2:
            return n
        left, right = fib.delay(n - 1), fib.delay(n - 2)
        return int(left.get() + right.get())

    @app.task(name="fail")
    def fail(text: str) -> None:
        raise ValueError(text)

    @app.task(name="sleep")
    async def sleep(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "awake"

    @app.task(name="awaiting")
    async def awaiting(x: int) -> Any:
        return await add.delay(x, 1) + await add.delay(x, 2)

    return app


@pytest.fixture
def running(app: ActorQ) -> Iterator[Mesh]:
    """A mesh with one worker."""
    with mesh(app) as running:
        yield running


def task(mesh: Mesh, name: str) -> Any:
    return mesh.app.tasks[name]


# -- calls -------------------------------------------------------------------------------------------------------


def test_calls_and_results_work_as_on_any_mesh(running: Mesh) -> None:
    add = task(running, "add")
    assert add.delay(2, 3).get(timeout=5) == 5
    assert running.app.send_task("add", (2, 3)).get() == 5
    assert running.app.gather(*[add.delay(i, 1) for i in range(20)]) == list(range(1, 21))
    assert {result.get() for result in running.app.as_completed([add.delay(i, 1) for i in range(5)])} == {1, 2, 3, 4, 5}
    assert list(running.app.map(lambda x: x * x, range(100))) == [x * x for x in range(100)]
    assert running.app.submit(lambda: threading.get_ident()).get() == threading.get_ident()


def test_nothing_runs_before_somebody_waits(running: Mesh) -> None:
    result = task(running, "add").delay(2, 3)
    assert log == []
    running.run_until_idle()
    assert log == [(2, 3)] and result.state == "SUCCESS"


def test_a_task_may_be_registered_while_the_mesh_runs(running: Mesh) -> None:
    asleep = task(running, "sleep").delay(60)
    running.clock.advance(1)

    @running.app.task(name="late", queue="of its own")
    def late() -> str:
        return "late"

    assert late.delay().get() == "late" and running.workers == ["worker-1"]
    assert asleep.get(timeout=60) == "awake"


def test_tasks_run_in_the_thread_of_the_test(running: Mesh) -> None:
    threads: list[int] = []

    @running.app.task(name="late")
    def late() -> None:
        threads.append(threading.get_ident())  # A closure: nothing travels by value here.

    late.delay().get()
    assert threads == [threading.get_ident()]


def test_eager_mode_differs_from_reality_and_this_does_not(running: Mesh) -> None:
    # Arguments and results go through the serializer, as they do between processes: a tuple is a list to msgpack, what
    # cannot be sent fails at the call, and the task gets a copy.
    shared: list[int] = []
    assert task(running, "kind").delay([1, (2, 3)]).get() == "list"
    with pytest.raises(EncodeError):
        task(running, "kind").delay(object())

    result = task(running, "add").delay(shared, [1])
    shared.append(7)
    assert result.get() == [1]


def test_what_a_task_raises_comes_with_its_traceback(running: Mesh) -> None:
    result = task(running, "fail").delay("no such invoice")
    with pytest.raises(ValueError, match="no such invoice"):
        result.get()
    assert result.failed() and "in fail" in (result.traceback or "")


def test_a_task_that_waits_for_others_gives_its_slot_away(app: ActorQ) -> None:
    # With one slot, and deeper than the stack would allow if one ran inside the other.
    with mesh(app, workers=1, concurrency=1) as running:
        assert task(running, "fib").delay(10).get() == 55
        assert len(running.calls("fib")) == 177


def test_one_task_may_wait_for_another_that_was_there_before(running: Mesh) -> None:
    # What waits does not stand on the stack of what runs meanwhile: each goes on when it is its turn.
    app = running.app

    @app.task(name="first")
    def first() -> str:
        running.clock.advance(10)
        return "first"

    @app.task(name="second")
    def second(task_id: str) -> str:
        return "second after " + str(app.AsyncResult(task_id).get())

    one = first.delay()
    assert second.delay(one.id).get() == "second after first"


def test_coroutine_functions_are_tasks_too(running: Mesh) -> None:
    assert task(running, "awaiting").delay(10).get() == 23
    before_s = running.clock.elapsed_s
    results = [task(running, "sleep").delay(HOUR_S) for _ in range(3)]
    assert running.app.gather(*results) == ["awake"] * 3
    assert running.clock.elapsed_s - before_s == pytest.approx(HOUR_S)


def test_a_coroutine_may_wait_for_the_world_outside(running: Mesh) -> None:
    @running.app.task(name="outside")
    async def outside() -> str:
        reader, writer = await asyncio.open_connection(sock=near)
        line = await asyncio.to_thread(lambda: "thread")
        far.sendall(b"socket\n")
        line += " " + (await reader.readline()).decode().strip()
        writer.close()
        return line

    import socket

    near, far = socket.socketpair()
    near.setblocking(False)
    with far:
        assert running.app.gather(outside.delay()) == ["thread socket"]


def test_in_a_coroutine_of_the_test_results_can_be_awaited(running: Mesh) -> None:
    add, sleep = task(running, "add"), task(running, "sleep")

    async def main() -> list[Any]:
        first = await add.apply_async((1, 2), countdown=60)
        return [first, *await asyncio.gather(add.delay(3, 4), sleep.delay(5), add.delay(5, 6))]

    assert asyncio.run(main()) == [3, 7, "awake", 11]


@pytest.mark.parametrize("wait", ["get", "gather", "await"])
@pytest.mark.parametrize("fails_here", [False, True])
def test_whoever_waits_for_many_hears_of_a_failure_before_time_goes_on(
    running: Mesh, wait: str, fails_here: bool
) -> None:
    late, failing = task(running, "add").s(1, 2).set(countdown=60), task(running, "fail")
    failed = (
        failing.apply(("no",)) if fails_here else failing.delay("no")
    )  # The mesh hears nothing of the one that ran here.
    results = ResultSet([failed, late.delay()], running.app)

    async def main() -> Any:
        return await results

    waits: dict[str, Callable[[], Any]] = {
        "get": results.get,
        "gather": lambda: running.app.gather(*results),
        "await": lambda: asyncio.run(main()),
    }
    before_s = running.clock.elapsed_s
    with pytest.raises(ValueError, match="no"):
        waits[wait]()
    assert running.clock.elapsed_s == before_s
    assert results.waiting()


def test_a_result_that_nobody_keeps_is_not_waited_for(running: Mesh) -> None:
    add = task(running, "add")
    results = [add.delay(1, 2), add.apply_async((1, 2), ignore_result=True, countdown=60)]
    assert running.app.gather(*results) == [3, None]
    assert ResultSet(results, running.app).get() == [3, None]
    assert list(ResultSet(results, running.app).iterate()) == [3]
    assert running.clock.elapsed_s < 60


def test_other_threads_may_submit_and_wait(running: Mesh) -> None:
    # As clients of web applications do it in tests: the view runs in a thread of its own.
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(task(running, "fib").delay(5).get()))
    thread.start()
    assert task(running, "fib").delay(6).get() == 8
    thread.join(20)
    assert results == [5]


def test_callbacks_run_and_may_wait(running: Mesh) -> None:
    add = task(running, "add")
    seen: list[Any] = []
    add.delay(1, 2).then(lambda result: seen.append(add.delay(result.get(), 10).get()))
    running.run_until_idle()
    assert seen == [13]


# -- workflows ---------------------------------------------------------------------------------------------------


def test_workflows_run_as_on_any_mesh(running: Mesh) -> None:
    add = task(running, "add")

    @running.app.task(name="total")
    def total(values: list[int]) -> int:
        return sum(values)

    assert chain(add.s(1, 2), add.s(10)).apply_async().get() == 13
    assert group(add.s(i, 1) for i in range(5)).apply_async().get() == [1, 2, 3, 4, 5]
    assert chord([add.s(i, 1) for i in range(5)], total.s()).apply_async().get() == 15
    assert [call.args for call in running.calls("total")] == [()]  # What comes from others is not submitted with it.


def test_what_follows_a_call_that_fails_does_not_run(running: Mesh) -> None:
    seen: list[Any] = []

    @running.app.task(name="note")
    def note(*args: Any) -> None:
        seen.append(args)

    result = chain(task(running, "fail").s("no such invoice"), note.s()).apply_async(link_error=note.si("failed"))
    with pytest.raises(ValueError, match="no such invoice"):
        result.get()
    running.run()
    assert ("failed",) in seen and all(args == ("failed",) for args in seen)


# -- time --------------------------------------------------------------------------------------------------------


def test_a_call_starts_at_its_eta_and_not_before(running: Mesh) -> None:
    add = task(running, "add")
    results = [
        add.apply_async((1, 1), countdown=HOUR_S),
        add.apply_async((1, 2), eta=running.clock.now + timedelta(hours=1)),
    ]
    running.clock.advance(HOUR_S - 1)
    assert log == [] and [result.state for result in results] == ["PENDING", "PENDING"]
    running.clock.advance(timedelta(seconds=1.001))
    assert [result.get() for result in results] == [2, 3]


def test_who_waits_lets_time_pass(running: Mesh) -> None:
    month_s = 30 * 86_400.0
    result = task(running, "add").apply_async((1, 1), countdown=month_s)
    with pytest.raises(TimeoutError):
        result.get(timeout=month_s - 1)
    assert log == []
    assert result.get(timeout=2) == 2
    assert running.clock.elapsed_s == pytest.approx(month_s)


def test_run_lets_as_much_time_pass_as_the_calls_take(running: Mesh) -> None:
    for seconds in (5.0, HOUR_S, 1.0):
        task(running, "add").apply_async((seconds, 0), countdown=seconds)
    running.run()
    assert log == [(1.0, 0), (5.0, 0), (HOUR_S, 0)]


def test_a_call_that_expires_does_not_start(running: Mesh) -> None:
    result = task(running, "add").apply_async((1, 1), countdown=20, expires=10)
    running.clock.advance(30)
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get()
    assert log == []


def test_the_clock_begins_where_the_test_says(app: ActorQ) -> None:
    start = datetime(2030, 1, 1, tzinfo=timezone.utc)
    with mesh(app, start=start) as running:
        assert running.clock.now == start
        running.clock.advance(timedelta(days=1))
        assert running.clock.now == datetime(2030, 1, 2, tzinfo=timezone.utc)
        eta = datetime(2030, 1, 3, tzinfo=timezone.utc)
        task(running, "add").apply_async((1, 1), eta=eta).get()
        assert running.clock.now - eta < timedelta(seconds=1)
    with mesh(app) as running, pytest.raises(ImproperlyConfigured, match="from 0 on"):
        running.clock.advance(-1)


def test_time_limits_end_what_takes_time(running: Mesh) -> None:
    ended: list[str] = []

    @running.app.task(name="long", soft_time_limit=10, time_limit=20)
    def long(seconds: float) -> str:
        try:
            running.clock.advance(seconds)
        except SoftTimeLimitExceeded:
            ended.append("soft")
            running.clock.advance(seconds - 10)
        finally:
            ended.append("over")
        return "done"

    assert long.delay(9).get() == "done"
    assert long.delay(11).get(timeout=100) == "done"
    assert ended == ["over", "soft", "over"]
    with pytest.raises(TimeLimitExceeded) as raised:
        long.delay(30).get()
    assert "actorq/testing/pool.py" not in (remote_traceback(raised.value) or "")  # It begins with the task.
    assert ended == ["over", "soft", "over", "soft", "over"]
    with pytest.raises(SoftTimeLimitExceeded):
        task(running, "sleep").apply_async((30,), soft_time_limit=10).get()
    with pytest.raises(TimeLimitExceeded):
        task(running, "sleep").apply_async((30,), time_limit=10).get()


def test_retries_come_when_their_delay_is_over(running: Mesh) -> None:
    attempts: list[tuple[int, float]] = []

    @running.app.task(name="flaky", bind=True, default_retry_delay=60, max_retries=3)
    def flaky(self: Any, failures: int) -> str:
        attempts.append((self.request.retries, round(running.clock.elapsed_s)))
        if self.request.retries < failures:
            raise self.retry(exc=ConnectionError("the database is gone"))
        return "done"

    result = flaky.delay(2)
    running.run_until_idle()
    assert result.state == "RETRY" and attempts == [(0, 0)]
    running.clock.advance(61)
    assert attempts == [(0, 0), (1, 60)]
    assert result.get() == "done" and attempts == [(0, 0), (1, 60), (2, 120)]
    with pytest.raises(ConnectionError, match="database"):
        flaky.delay(9).get()
    assert [retries for retries, _ in attempts[3:]] == [0, 1, 2, 3]


def test_a_task_that_is_made_to_fail_is_retried_as_it_says(running: Mesh) -> None:
    @running.app.task(name="steady", autoretry_for=(ConnectionError,), retry_backoff=10, retry_jitter=False)
    def steady() -> str:
        return "done"

    running.fail_next(steady, ConnectionError("the database is gone"), times=3)
    before_s = running.clock.elapsed_s
    assert steady.delay().get() == "done"
    assert running.clock.elapsed_s - before_s == pytest.approx(10 + 20 + 40, abs=0.1)


def test_what_a_task_says_of_itself_can_be_seen(running: Mesh) -> None:
    @running.app.task(name="talking", bind=True)
    def talking(self: Any) -> str:
        self.update_state(state="PROGRESS", meta={"done": 1})
        running.clock.advance(60)
        return "done"

    result = talking.delay()
    running.clock.advance(1)
    assert result.state == "PROGRESS"
    assert result.get() == "done"


def test_a_wait_that_cannot_end_is_an_error_and_no_hang(running: Mesh) -> None:
    nobody = running.app.send_task("nobody.offers.this")
    with pytest.raises(WouldWaitForEver, match="no worker offers"):
        nobody.get()
    with pytest.raises(TimeoutError):
        nobody.get(timeout=5)


def test_a_running_call_can_be_ended(running: Mesh) -> None:
    ended: list[bool] = []

    @running.app.task(name="endless")
    def endless() -> None:
        try:
            while True:
                running.clock.advance(60)
        finally:
            ended.append(True)

    results = [endless.delay(), task(running, "sleep").delay(HOUR_S)]
    running.clock.advance(100)
    assert [result.state for result in results] == ["STARTED", "STARTED"]
    for result in results:
        result.revoke()
    running.run_until_idle()
    assert [result.state for result in results] == ["STARTED", "STARTED"]
    for result in results:
        result.revoke(terminate=True)
        with pytest.raises(Terminated):
            result.get()
    assert ended == [True] and all(result.state == "REVOKED" for result in results)


def test_a_call_that_has_not_started_can_be_revoked(running: Mesh) -> None:
    result = task(running, "add").apply_async((1, 1), countdown=60)
    assert result.revoke(wait=True) == "removed"
    with pytest.raises(TaskRevokedError):
        result.get()
    running.clock.advance(100)
    assert log == []


# -- what a test looks at ------------------------------------------------------------------------------------------


def test_what_was_submitted_can_be_looked_at(running: Mesh) -> None:
    add = task(running, "add")
    add.delay(1, y=2)
    add.apply_async((3, 4), countdown=60, expires=100, queue="fast", priority=9)
    running.run_until_idle()
    first, second = running.calls("add")
    assert (first.name, first.args, first.kwargs, first.queue, first.eta) == ("add", (1,), {"y": 2}, "default", None)
    now_s = running.clock.now.timestamp()
    assert (second.args, second.queue, second.priority) == ((3, 4), "fast", 9)
    assert second.eta == pytest.approx(now_s + 60) and second.expires == pytest.approx(now_s + 100)
    assert first.state == "SUCCESS" and first.result.get() == 3 and second.state == "PENDING"
    assert running.calls(add) == running.calls() == [first, second]
    running.forget_calls()
    assert running.calls() == []
    with pytest.raises(NotRegistered, match="did you mean 'add'"):
        running.calls("ad")


def test_tasks_that_tasks_submit_are_seen_too(running: Mesh) -> None:
    task(running, "fib").delay(2).get()
    assert [call.args for call in running.calls("fib")] == [(2,), (1,), (0,)]


def test_the_next_runs_of_a_task_can_be_made_to_fail(running: Mesh) -> None:
    add, sleep = task(running, "add"), task(running, "sleep")
    running.fail_next(add, ConnectionError("the database is gone"), times=2)
    running.fail_next("sleep", ConnectionError("the database is gone"))
    for result in (add.delay(1, 2), add.delay(1, 2), sleep.delay(1)):
        with pytest.raises(ConnectionError, match="database"):
            result.get()
    assert log == [] and add.delay(1, 2).get() == 3 and sleep.delay(1).get() == "awake"
    with pytest.raises(NotRegistered):
        running.fail_next("ad", ValueError())


def test_nodes_answer_control_commands(app: ActorQ) -> None:
    with mesh(app, workers=2) as running:
        assert app.control.ping() == [{"worker-1": {"ok": "pong"}}, {"worker-2": {"ok": "pong"}}]
        registered = app.control.inspect().registered()
        assert {"add", "awaiting", "fail", "fib", "kind", "sleep"} <= set(registered["worker-1"])
        task(running, "add").apply_async((1, 1), countdown=60)
        running.run_until_idle()
        assert app.control.inspect().coordinator()["coordinator"]["scheduled"] == 1


def test_queues_are_all_unless_they_are_given(app: ActorQ) -> None:
    @app.task(name="fast", queue="fast")
    def fast() -> str:
        return "fast"

    with mesh(app):
        assert fast.delay().get() == fast.apply_async(queue="other").get() == "fast"
    with mesh(app, queues=["default"]) as running:
        with pytest.raises(WouldWaitForEver):
            fast.delay().get()
        running.add_worker(queues=["fast"])
        assert running.calls(fast)[0].result.get() == "fast"


# -- trouble -----------------------------------------------------------------------------------------------------


def test_what_a_lost_worker_was_running_is_delivered_again(app: ActorQ) -> None:
    with mesh(app) as running:
        for restart in (True, False):
            result = task(running, "sleep").delay(60)
            running.clock.advance(30)
            assert result.state == "STARTED"
            running.kill_worker(restart=restart)
            if not restart:
                assert running.workers == []
                running.add_worker()
            before_s = running.clock.elapsed_s
            assert result.get(timeout=65) == "awake"
            assert running.clock.elapsed_s - before_s >= 60


def test_a_task_that_kills_its_worker_again_and_again_is_given_up(running: Mesh) -> None:
    runs: list[int] = []

    @running.app.task(name="poison", bind=True, max_deliveries=2)
    def poison(self: Any) -> None:
        runs.append(self.request.attempt)
        running.kill_worker(self.request.hostname)

    with pytest.raises(WorkerLostError, match="poison"):
        poison.delay().get()
    assert runs == [1, 2]
    assert task(running, "add").delay(1, 2).get() == 3


def test_a_worker_that_is_told_to_end_finishes_what_it_runs(app: ActorQ) -> None:
    with mesh(app, workers=2) as running:
        result = task(running, "sleep").delay(60)
        running.clock.advance(1)
        running.stop_worker("worker-1")
        running.stop_worker("worker-2")
        assert result.get() == "awake"
        running.clock.advance(1)
        assert running.workers == []
        with pytest.raises(ImproperlyConfigured, match="no worker"):
            running.kill_worker()


@pytest.mark.parametrize("durable", [False, True])
def test_a_coordinator_that_starts_anew_loses_nothing(app: ActorQ, durable: bool) -> None:
    with mesh(app, durable=durable) as running:
        asleep, later = task(running, "sleep").delay(60), task(running, "add").apply_async((1, 2), countdown=100)
        running.clock.advance(30)
        running.restart_coordinator()
        waiting = task(running, "add").delay(5, 5)
        assert [waiting.get(timeout=60), asleep.get(timeout=120), later.get(timeout=120)] == [10, "awake", 3]
        assert running.clock.elapsed_s < 120 and log == [(5, 5), (1, 2)]


def test_a_durable_mesh_keeps_what_nobody_waits_for(app: ActorQ) -> None:
    with mesh(app, durable=True) as running:
        task(running, "add").apply_async((1, 2), countdown=100, ignore_result=True)
        assert app.session.flush(1.0), "it is accepted when it is in the journal"
        app.close()
        running.restart_coordinator()
        running.clock.advance(200)
        assert log == [(1, 2)]


# -- order -------------------------------------------------------------------------------------------------------


def order_with(app: ActorQ, seed: int | None) -> list[Any]:
    log.clear()
    with mesh(app, workers=2, seed=seed) as running:
        for i in range(20):
            task(running, "add").delay(i, 0)
        running.run()
    return [x for x, _ in log]


def test_calls_run_in_the_order_in_which_they_came(app: ActorQ) -> None:
    with mesh(app, concurrency=1) as running:
        for i in range(20):
            task(running, "add").delay(i, 0)
        running.run_until_idle()
    assert [x for x, _ in log] == list(range(20))


def test_a_seed_draws_an_order_and_the_same_one_each_time(app: ActorQ) -> None:
    orders = [order_with(app, seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert order_with(app, None) == order_with(app, None)


# -- beginning and end ---------------------------------------------------------------------------------------------


def test_nothing_is_left_when_it_is_closed(app: ActorQ) -> None:
    ended: list[str] = []

    @app.task(name="waiting")
    def waiting() -> None:
        try:
            app.send_task("nobody.offers.this").get()
        finally:
            ended.append("waiting")

    @app.task(name="sleeping")
    async def sleeping() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("sleeping")

    threads = threading.active_count()
    with mesh(app) as running:
        results: list[Any] = [waiting.delay(), sleeping.delay()]
        running.run_until_idle()
    assert sorted(ended) == ["sleeping", "waiting"] and threading.active_count() == threads
    assert all(result.is_settled() for result in results)
    assert app.testbed is None


def test_an_application_has_one_mesh_at_a_time(app: ActorQ) -> None:
    with mesh(app) as running:
        with pytest.raises(ImproperlyConfigured, match="already"), mesh(app):
            pass
        app.close()
        assert task(running, "add").delay(1, 2).get() == 3
    with mesh(app) as running:
        assert task(running, "add").delay(1, 2).get() == 3


def test_an_interrupt_ends_the_test_and_not_only_the_task(running: Mesh) -> None:
    @running.app.task(name="interrupted")
    def interrupted() -> None:
        raise KeyboardInterrupt

    interrupted.delay()
    with pytest.raises(KeyboardInterrupt):
        running.run_until_idle()


def test_a_task_may_send_several_workflows(app: ActorQ) -> None:
    add = app.tasks["add"]

    @app.task(name="fan_out")
    def fan_out() -> list[int]:
        chains = [chain(add.s(1, number), add.s(10)) for number in range(3)]
        return [result.get(timeout=10) for result in [each.apply_async() for each in chains]]

    with mesh(app):
        assert fan_out.delay().get(timeout=10) == [11, 12, 13]


def test_routes_hold_for_the_calls_of_workflows(app: ActorQ) -> None:
    app.conf.task_routes = {"add": {"queue": "sums"}}
    add = app.tasks["add"]
    with mesh(app, queues=["default", "sums"]) as running:
        assert chain(add.s(1, 2), add.s(3)).apply_async().get(timeout=10) == 6
        assert group(add.s(1, 1), add.s(2, 2)).apply_async().get(timeout=10) == [2, 4]
        assert {call.queue for call in running.calls("add")} == {"sums"}


def test_a_task_that_is_named_only_may_have_links(app: ActorQ) -> None:
    with mesh(app) as running:
        app.send_task("add", (1, 2), link=app.tasks["add"].s(10)).get(timeout=10)
        running.run_until_idle()
        assert len(running.calls("add")) == 2


def test_compressed_arguments_are_shown_as_they_were_given(app: ActorQ) -> None:
    with mesh(app) as running:
        assert task(running, "length").delay("x" * 10_000).get() == 10_000
        assert [call.args for call in running.calls()] == [("x" * 10_000,)]
