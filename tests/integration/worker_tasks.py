"""Tasks for the tests of one worker node."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import io
import multiprocessing
import os
import sys
import threading
import time
from typing import Any

import gevent

from actorq import ActorQ, Task
from actorq.errors import Ignore, Reject

app = ActorQ("tests.integration.worker_tasks")
app.autodiscover_tasks(["tests.integration.discovered", "tests.integration"])


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def nap(seconds: float) -> float:
    """Waits in green."""
    time.sleep(seconds)
    return seconds


@app.task
def nap_without_stderr(seconds: float) -> None:
    """Has taken `sys.stderr` away from its process, as a task may that captures what a library prints."""
    sys.stderr = io.StringIO()
    try:
        time.sleep(seconds)
    finally:
        sys.stderr = sys.__stderr__


@app.task
def spin(seconds: float) -> float:
    """Keeps the CPU, and the hub."""
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        pass
    return seconds


@app.task
def stubborn() -> None:
    """Catches everything that is to end it."""
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


@app.task
def stuck() -> None:
    """Does not come back to the interpreter."""
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2**31 - 1)


@app.task
def hold_interpreter() -> None:
    """Keeps every thread of its process from running, and looks for no signal."""
    sum(range(10**12))


@app.task
def leave_spinning() -> None:
    """What it starts keeps the hub when the task has ended."""
    gevent.spawn_later(0.01, spin.fn, 600)


@app.task
def note(path: str, seconds: float) -> None:
    """Waits, and then writes a line."""
    time.sleep(seconds)
    with open(path, "a") as lines:
        lines.write(f"{os.getpid()}\n")


@app.task
def in_forked_process(seconds: float) -> int | None:
    """The exit status of a child that waits in green, and then exits with status 3."""

    def child() -> None:
        time.sleep(seconds)
        sys.exit(3)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    return process.exitcode


@app.task
def fork_and_return() -> int:
    """The exit status of a child that returns from the task."""
    pid = os.fork()
    return os.waitpid(pid, 0)[1] if pid else 0


@app.task
def terminate_forked_process() -> int | None:
    """The exit status of a child that was ended by SIGTERM."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join(20)
    return process.exitcode


@app.task
async def stubborn_coroutine() -> None:
    """Catches everything that is to end it, and says so if it is thrown away at last."""
    try:
        while True:
            try:
                await asyncio.sleep(60)
            except Exception:
                pass
            except BaseException:
                await asyncio.sleep(60)
    finally:
        sys.stderr.write("thrown away\n")


@app.task
def echo(value: Any) -> Any:
    return value


@app.task
def leave_at_once(status: int) -> None:
    """As a library does that means to end its program."""
    os._exit(status)


@app.task
def spin_in_a_thread() -> None:
    """Its thread is a greenlet of the node's, and never gives way."""
    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
    time.sleep(60)


@app.task(bind=True)
def succeed_at_retry(self: Any, number: int) -> int:
    if self.request.retries < number:
        raise self.retry(exc=ValueError("not yet"), countdown=30)
    return int(self.request.retries)


@app.task(bind=True)
def progress_until_cancelled(self: Any) -> str:
    while not self.is_cancelled():
        self.progress(1, 2, "half")
        time.sleep(0.05)
    return "cancelled"


@app.task(bind=True)
def speak_and_nap(self: Any, seconds: float) -> float:
    self.progress(1, 2)
    time.sleep(seconds)
    return seconds


@app.task(bind=True)
async def speak_and_nap_as_a_coroutine(self: Any, seconds: float) -> float:
    self.progress(1, 2)
    await asyncio.sleep(seconds)
    return seconds


@app.task(bind=True)
def spin_until_cancelled(self: Any) -> str:
    while not self.is_cancelled():
        pass
    return "cancelled"


@app.task(bind=True)
def note_from_a_thread(self: Any) -> str:
    context = contextvars.copy_context()
    gevent.get_hub().threadpool.apply(context.run, (lambda: self.update_state(state="THREADED"),))
    return "told"


class Surrounded(Task[Any, Any]):
    """Counts what has succeeded."""

    successes = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ["surrounded", super().__call__(*args, **kwargs)]

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.successes += 1


@app.task(base=Surrounded, bind=True)
def counted(self: Any) -> int:
    return int(self.successes) + 1


@app.task
def count_of_successes() -> int:
    return int(app.tasks[counted.name].successes)  # type: ignore[attr-defined]


@app.task
def give_up(how: str) -> None:
    raise {"ignore": Ignore("no use"), "reject": Reject("no thanks"), "requeue": Reject("busy", requeue=True)}[how]


@app.task(bind=True)
async def retry_as_a_coroutine(self: Any) -> list[Any]:
    await asyncio.sleep(0)
    if not self.request.retries:
        self.retry(countdown=0)
    return [self.request.id, self.request.retries]
