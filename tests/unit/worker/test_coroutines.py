"""Coroutine tasks. asyncio waits in gevent's selector only in a patched process, so each test is one."""

from __future__ import annotations

from tests.unit.worker.support import run_patched

PRELUDE = """
import asyncio, gevent, sys
from actorq.context import current
from actorq.wire.records import FAILURE, REVOKED, SUCCESS, CallSpec
from actorq.worker.endings import hard_limit, soft_limit, terminated
from tests.unit.worker.support import call_of, error_of, job_of, value_of
from tests.unit.worker.test_pool import Bench, started, wait_for
SPEC = CallSpec("task", time_limit_s=1, soft_time_limit_s=1)
"""


def run(script: str) -> str:
    return run_patched(PRELUDE + script)


def test_coroutines_run_beside_one_another_and_beside_plain_tasks() -> None:
    run("""
bench, log = Bench(concurrency=3), []
async def slow(x):
    await asyncio.sleep(0.02)
    log.append("slow")
    return x
def plain():
    gevent.sleep(0.001)
    log.append("plain")
job = job_of(slow)
calls = [bench.submit(job, x) for x in range(2)] + [bench.submit(plain)]
bench.pool.wake()
values = [value_of(bench.outcome(call)) for call in calls]
assert values == [0, 1, None], values
assert log == ["plain", "slow", "slow"], log
assert bench.pool.active == 0
""")


def test_coroutines_count_against_the_slots() -> None:
    run("""
bench, most, now = Bench(concurrency=2), 0, 0
async def slow():
    global most, now
    now += 1
    most = max(most, now)
    await asyncio.sleep(0.002)
    now -= 1
job = job_of(slow)
calls = [bench.submit(job) for _ in range(10)]
bench.pool.wake()
assert all(bench.outcome(call).state == SUCCESS for call in calls)
assert most == 2, most
""")


def test_asyncio_is_not_loaded_before_the_first_coroutine() -> None:
    run("""
bench = Bench()
bench.run(lambda: None)
assert bench.pool._coroutines is None
""")


def test_a_coroutine_knows_its_call_and_its_exception_is_its_outcome() -> None:
    run("""
bench, seen = Bench(), []
async def fail():
    await asyncio.sleep(0)
    seen.append(current.get().call.id)
    raise KeyError("gone")
call = bench.submit(fail)
bench.pool.wake()
outcome = bench.outcome(call)
error = error_of(outcome)
assert seen == [call.id] and outcome.state == FAILURE
assert isinstance(error, KeyError) and "in fail" in error.__actorq_traceback__
assert "actorq/worker" not in error.__actorq_traceback__, error.__actorq_traceback__
""")


def test_the_soft_limit_is_raised_where_the_coroutine_waits_and_it_may_go_on() -> None:
    run("""
bench = Bench()
async def patient():
    try:
        await asyncio.sleep(60)
    except Exception as error:
        await asyncio.sleep(0.001)
        return type(error).__name__
job = job_of(patient)
call = bench.submit(job)
bench.pool.wake()
bench.until(lambda: bench.pool.running() and bench.pool.running()[0].task)
gevent.sleep(0.01)
bench.end(call, soft_limit(SPEC))
assert value_of(bench.outcome(call)) == "SoftTimeLimitExceeded"
""")


def test_a_cancellation_of_its_own_stays_one() -> None:
    run("""
bench = Bench()
async def cancel():
    task = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"
job = job_of(cancel)
assert value_of(bench.run(job)) == "cancelled"
""")


def test_a_coroutine_is_terminated_and_one_that_catches_that_is_given_up() -> None:
    run("""
bench = Bench(concurrency=2)
async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except BaseException:
            pass
async def normal():
    await asyncio.sleep(60)
for fn, times in ((normal, 1), (stubborn, 2)):
    call = started(bench, fn)
    gevent.sleep(0.01)
    for _ in range(times):
        bench.end(call, terminated())
        gevent.sleep(0.01)
    assert bench.outcome(call).state == REVOKED
assert bench.pool.active == 0 and bench.pool.running() == []
assert bench.run(lambda: None).state == SUCCESS
""")


def test_a_coroutine_that_is_ended_before_its_first_step_does_not_run() -> None:
    run("""
bench, ran = Bench(), []
async def note():
    ran.append(1)
call = bench.submit(note)
def start_and_end():
    bench.pool._feed()
    (run,) = bench.pool.running()
    bench.pool.end(run, call, terminated())
gevent.get_hub().loop.run_callback(start_and_end)
assert bench.outcome(call).state == REVOKED and not ran
""")


def test_waiting_for_other_calls_frees_the_slot_and_never_blocks_the_loop() -> None:
    run("""
bench, order = Bench(concurrency=1), []
async def outer():
    running, done = current.get(), asyncio.Event()
    running.pause()
    order.append("paused")
    while "inner" not in order:
        await asyncio.sleep(0.001)
    running.resume()
    order.append("resumed")
outer_call = bench.submit(outer)
bench.submit(lambda: order.append("inner"))
bench.pool.wake()
bench.outcome(outer_call)
assert order == ["paused", "inner", "resumed"], order
assert (bench.pool.active, bench.pool.paused) == (0, 0)
""")


def test_several_waits_of_one_coroutine_free_one_slot() -> None:
    run("""
bench = Bench(concurrency=2)
async def wait(seconds):
    current.get().pause()
    await asyncio.sleep(seconds)
    seen.append((bench.pool.active, bench.pool.paused))
    current.get().resume()
async def outer():
    await asyncio.gather(wait(0.01), wait(0.02))
    seen.append((bench.pool.active, bench.pool.paused))
seen = []
bench.run(job_of(outer))
assert seen == [(0, 1), (0, 1), (1, 0)], seen
assert (bench.pool.active, bench.pool.paused) == (0, 0)
""")


def test_a_coroutine_that_is_given_up_while_it_waits_for_other_calls_leaves_all_slots_free() -> None:
    run("""
bench = Bench(concurrency=1)
async def stubborn():
    current.get().pause()
    while True:
        try:
            await asyncio.sleep(0.02)
            break
        except BaseException:
            pass
    current.get().resume()
    over.append(1)
over = []
call = started(bench, stubborn)
while not bench.pool.paused:
    gevent.sleep(0.001)
bench.end(call, terminated())
gevent.sleep(0.001)
bench.end(call, terminated())
assert bench.outcome(call).state == REVOKED
assert (bench.pool.active, bench.pool.paused) == (0, 0)
while not over:
    gevent.sleep(0.001)
assert (bench.pool.active, bench.pool.paused) == (0, 0)
assert bench.run(job_of(lambda: 1)).state == SUCCESS
""")


def test_a_task_that_stops_the_event_loop_does_not_stop_the_others() -> None:
    run("""
bench = Bench()
async def stop():
    asyncio.get_running_loop().stop()
async def leave():
    asyncio.get_running_loop().call_soon(sys.exit, 0)
    await asyncio.sleep(0.01)
    return 1
async def add(x, y):
    await asyncio.sleep(0.001)
    return x + y
assert bench.run(job_of(stop)).state == SUCCESS
assert value_of(bench.run(job_of(leave))) == 1
assert value_of(bench.run(job_of(add), 2, 3)) == 5
""")


def test_a_coroutine_that_has_not_begun_is_not_the_one_on_the_cpu() -> None:
    run("""
bench, seen = Bench(), []
async def first():
    asyncio.get_running_loop().call_soon(look)
    await asyncio.sleep(0.01)
def look():
    bench.pool._coroutines.start(call_of(), job_of(second))
    seen.extend(bench.pool.is_on_cpu(run) or bench.pool.is_current(run) for run in bench.pool.running())
async def second():
    pass
bench.pool.active += 1  # For the one that is started by hand.
bench.run(job_of(first))
assert seen == [False, False], seen
""")


def test_plain_tasks_may_use_asyncio_beside_coroutine_tasks() -> None:
    run("""
bench = Bench()
async def wait():
    await asyncio.sleep(0.01)
    return 1
def use_asyncio():
    return asyncio.run(wait())
coroutines = job_of(wait)
first = bench.submit(coroutines)
job = job_of(use_asyncio)
second = bench.submit(job)
third = bench.submit(coroutines)
bench.pool.wake()
outcomes = [bench.outcome(call) for call in (first, second, third)]
assert [outcome.state for outcome in outcomes] == [SUCCESS] * 3, [error_of(each) for each in outcomes if each.state]
""")


def test_loops_of_several_greenlets_do_not_close_one_anothers_generators() -> None:
    run("""
bench = Bench()
begun = []
async def count():
    for number in range(5):
        yield number
async def total():
    sum = 0
    async for number in count():
        begun.append(number)
        await asyncio.sleep(0.005)
        sum += number
    return sum
async def until_begun():
    while not begun:
        await asyncio.sleep(0.001)
async def nothing():
    pass
coroutine, plain = job_of(total), job_of(lambda: asyncio.run(until_begun()))
bench.run(job_of(nothing))  # The loop of the pool runs from here on.
first = bench.submit(plain)
bench.pool.wake()
gevent.sleep(0.005)  # The loop of the plain task runs, and ends when a generator of the other one has begun.
second = bench.submit(coroutine)
bench.pool.wake()
assert bench.outcome(first).state == SUCCESS
assert value_of(bench.outcome(second)) == 10
""")


def test_a_chunk_of_a_coroutine_function_awaits_each_item() -> None:
    run("""
bench = Bench()
async def half(x):
    if x % 2:
        raise ValueError(x)
    return x // 2
job = job_of(half, chunked=True)
elapsed_s, results = value_of(bench.run(job, [[2], [3], [4]]))
assert [result[0] for result in results] == [True, False, True]
assert results[2] == [True, 2]
""")


def test_the_coroutine_that_keeps_the_cpu_is_told_from_those_that_wait() -> None:
    run("""
bench, seen = Bench(), []
async def idle():
    await asyncio.sleep(60)
async def look():
    for run in bench.pool.running():
        seen.append((run.spec.task, bench.pool.is_on_cpu(run), bench.pool.is_current(run)))
waiting = started(bench, idle)
gevent.sleep(0.01)
bench.run(job_of(look))
assert sorted(seen) == [("idle", False, False), ("look", True, True)], seen
bench.end(waiting, terminated())
bench.outcome(waiting)
""")
