"""Tasks that the integration tests run on real workers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import time
from typing import Any

from gevent import monkey

from actorq import ActorQ, group
from actorq.errors import SoftTimeLimitExceeded
from actorq.wire.records import VALUE, Call, CallSpec, Node, Plan

app = ActorQ("tests.integration.tasks")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def echo(value: Any) -> Any:
    return value


@app.task
def fail(message: str) -> None:
    raise ValueError(message)


@app.task
def pid_after(seconds: float) -> int:
    """Sleeps in green, so that others run meanwhile."""
    time.sleep(seconds)
    return os.getpid()


@app.task
async def add_async(x: int, y: int) -> int:
    await asyncio.sleep(0.001)
    return x + y


@app.task(bind=True)
def attempt(self: Any) -> int:
    """Which delivery of the call this is."""
    return int(self.request.attempt)


@app.task(bind=True)
def family(self: Any, depth: int) -> list[Any]:
    """Who this call, and those that it makes, belong to."""
    request = self.request
    own = [request.id, request.parent_id, request.root_id, request.delivery_info["priority"], request.headers]
    return [own, *(family.delay(depth - 1).get(timeout=30) if depth else [])]


@app.task(bind=True, throws=(ConnectionError,))
def fail_twice(self: Any) -> list[Any]:
    if self.request.retries < 2:
        self.retry(exc=ConnectionError("not yet"), countdown=0.05)
    return [self.request.id, self.request.retries]


@app.task(autoretry_for=(ConnectionError,), retry_kwargs={"max_retries": 2, "countdown": 0}, throws=(ConnectionError,))
def fail_always(path: str) -> None:
    with open(path, "a") as runs:
        runs.write("ran\n")
    raise ConnectionError("never")


class Added:
    """A signature, as far as `replace` needs one: two additions, one after the other."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def compile_as(self, task_id: str) -> tuple[list[CallSpec], Plan]:
        first, second, third = self.numbers
        encode = app.serializers.encode_call
        calls = [Call(f"{task_id}-first", 1, encode("msgpack", (first, second), {}))]
        calls += [Call(task_id, 1, encode("msgpack", (third,), {}))]
        nodes = [Node(calls[0], then=[(1, 0)], replies=False), Node(calls[1], takes=VALUE, needs=1)]
        return [add.spec], Plan(task_id, nodes)


@app.task(bind=True)
def replaced(self: Any, *numbers: int) -> None:
    self.replace(Added(*numbers))


@app.task
def kill_own_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(acks_late=False)
def kill_own_process_at_most_once(path: str) -> None:
    with open(path, "a") as runs:
        runs.write("ran\n")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def spin_for_ever() -> None:
    while True:
        pass


@app.task(soft_time_limit=0.5, time_limit=20)
def spin_until_the_soft_limit() -> str:
    try:
        while True:
            pass
    except SoftTimeLimitExceeded:
        return "stopped at the soft limit"


@app.task(time_limit=1)
def spin_until_the_hard_limit() -> None:
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


@app.task(time_limit=1)
def stuck_in_an_unpatched_sleep() -> None:
    monkey.get_original("time", "sleep")(60)


@app.task(time_limit=1)
def stuck_in_a_regular_expression() -> None:
    """Holds the interpreter's lock all the time."""
    re.match(r"(a+)+$", "a" * 64 + "b")


@app.task(time_limit=1)
def stuck_in_c_for_good() -> None:
    """Never comes back to the interpreter, not even for a signal."""
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2**31 - 1)


@app.task
def descend(depth: int) -> int:
    """Waits for a call of itself: needs `depth` tasks under way at once."""
    if depth == 0:
        return 0
    return 1 + descend.delay(depth - 1).get(timeout=60)


@app.task
async def await_another(x: int) -> int:
    return await add.delay(x, 1)


@app.task
def take_as_completed(count: int) -> int:
    return sum(result.get() for result in app.as_completed([add.delay(i, 0) for i in range(count)]))


@app.task
def map_in_any_order(count: int) -> int:
    return sum(app.map(echo, range(count), ordered=False))


@app.task
def look_up_another(x: int) -> str:
    result = add.delay(x, 1)
    while not result.ready():
        time.sleep(0.001)
    return result.state


@app.task(queue="slow")
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.task
def note_run(directory: str, number: int, seconds: float = 0.0) -> None:
    """Leaves a file for each number, with a line for each time that it ran."""
    with open(os.path.join(directory, str(number)), "a") as runs:
        runs.write("ran\n")
    time.sleep(seconds)


@app.task
def note_busy_run(directory: str, number: int, seconds: float) -> None:
    """As `note_run`, and keeps its process busy meanwhile."""
    note_run(directory, number)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pass


@app.task(max_deliveries=1)
def note_only_busy_run(directory: str, number: int, seconds: float) -> None:
    note_busy_run(directory, number, seconds)


@app.task
def total(values: list[int]) -> int:
    return sum(values)


@app.task
def write(path: str, *words: Any) -> None:
    """Append a line, so that a test sees who has run."""
    with open(path, "a") as lines:
        lines.write(" ".join(map(str, words)) + "\n")


@app.task
def write_after(value: Any, path: str) -> None:
    """As `write`, for what is linked to another task."""
    with open(path, "a") as lines:
        lines.write(f"{value}\n")


@app.task
def write_cause(request: Any, error: BaseException, traceback: str, path: str) -> None:
    """An errback."""
    with open(path, "a") as lines:
        lines.write(f"{request.id} {error}\n")


@app.task
def write_failed_id(task_id: str) -> str:
    """An errback of the old form."""
    return f"{task_id} has failed"


@app.task(bind=True)
def become_total(self: Any, numbers: list[int]) -> None:
    """Goes on as a chord under its own id."""
    self.replace(group(add.s(number, 0) for number in numbers) | total.s())


@app.task(bind=True)
def tell_places(self: Any, *before: Any) -> list[Any]:
    """Where its call belongs to."""
    request = self.request
    return [request.id, request.root_id, request.parent_id, request.group]


@app.task(bind=True)
def report_and_wait(self: Any, path: str) -> str:
    """Says how far it is, and ends when the file is there."""
    self.update_state(state="PROGRESS", meta={"done": 1})
    while not os.path.exists(path):
        time.sleep(0.01)
    return "done"


@app.task(rate_limit="20/s")
def started_at() -> float:
    return time.time()


@app.task(rate_limit="100/s")
def hundred_a_second() -> float:
    return time.monotonic()


@app.task(rate_limit="1/s", key="{args[0]}")
def once_a_second_for(key: int) -> float:
    return time.monotonic()


@app.task
def start_of(seconds: float) -> float:
    """When it has started. It takes so long."""
    start_s = time.monotonic()
    time.sleep(seconds)
    return start_s


@app.task(rate_limit="1/h")
def once_an_hour() -> None:
    pass


@app.task(max_concurrency=1, key="{args[0]}")
def alone_with(key: str) -> tuple[float, float]:
    """From when to when it has run."""
    start_s = time.monotonic()
    time.sleep(0.02)
    return start_s, time.monotonic()


@app.task(unique="args")
def once_for(x: int, seconds: float) -> int:
    time.sleep(seconds)
    return x


@app.task(fair_key="{args[0]}")
def for_tenant(tenant: str) -> str:
    time.sleep(0.01)
    return tenant


@app.task
def wait_at_gate(value: int, path: str) -> int:
    """Leaves its process's id in a file, and goes on when the gate is open: the file beside it is there."""
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(f"{path}.open"):
        time.sleep(0.01)
    return value


@app.task
def noted_total(values: list[int], path: str, name: str) -> int:
    """The sum; appends a line with its name to a file, so that a test sees how often it has run."""
    with open(path, "a") as lines:
        lines.write(f"{name}\n")
    return sum(values)


@app.task
def noted_add(x: int, y: int, path: str) -> int:
    """As `noted_total`, for two numbers."""
    with open(path, "a") as lines:
        lines.write(f"{x}\n")
    return x + y
