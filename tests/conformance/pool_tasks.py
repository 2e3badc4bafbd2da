"""Tasks for the conformance suite of the pools: each as a plain function and as a coroutine function."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from typing import Any

from actorq import ActorQ
from actorq.errors import SoftTimeLimitExceeded, WorkerShutdown

app = ActorQ("tests.conformance.pool_tasks")
variable: ContextVar[str] = ContextVar("variable", default="")
STEP_S = 0.005


def write(path: str, text: str) -> None:
    with open(path, "a") as lines:
        lines.write(f"{text}\n")


# -- plain -------------------------------------------------------------------------------------------------------------


def wait(seconds: float) -> None:
    """Waits in steps: a native thread can be reached only between two of them."""
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        time.sleep(STEP_S)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def fail(message: str) -> None:
    raise KeyError(message)


@app.task
def leave(status: int) -> None:
    raise SystemExit(status)


@app.task
def nap(seconds: float) -> float:
    wait(seconds)
    return seconds


@app.task
def spin(seconds: float) -> float:
    """Keeps the CPU, and does not let `except Exception` be the end of it."""
    deadline_s = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline_s:
            try:
                sum(range(100))
            except SoftTimeLimitExceeded:
                return -1.0
            except Exception:
                continue
    except SoftTimeLimitExceeded:
        return -1.0
    return seconds


@app.task
def soft(seconds: float) -> str:
    """Goes on for a while after its soft time limit."""
    try:
        wait(seconds)
    except SoftTimeLimitExceeded as error:
        wait(0.05)
        return str(error)
    return "no limit"


@app.task
def save_at_shutdown(path: str, seconds: float) -> None:
    try:
        wait(seconds)
    except WorkerShutdown:
        write(path, "saved")
        raise
    write(path, "done")


@app.task(bind=True)
def look_around(self: Any, text: str) -> list[str]:
    """What the call finds of others, and of itself, before and after it has waited."""
    before = variable.get()
    variable.set(text)
    first = self.request.id
    wait(0.02)
    return [before, variable.get(), first, self.request.id]


@app.task(bind=True)
def hold_off(self: Any) -> str:
    """Lets nothing end it, and ends when it sees that it should."""
    while not self.is_cancelled():
        try:
            wait(60)
        except BaseException:
            pass
    return "has seen it"


@app.task
def stubborn() -> None:
    while True:
        try:
            wait(60)
        except BaseException:
            pass


@app.task
def descend(depth: int) -> int:
    """Needs `depth` calls under way at once."""
    return 1 + descend.delay(depth - 1).get(timeout=60) if depth else 0


@app.task
def wait_for_nap(seconds: float) -> Any:
    return nap.delay(seconds).get()


# -- coroutines --------------------------------------------------------------------------------------------------------


@app.task
async def add_async(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


@app.task
async def fail_async(message: str) -> None:
    await asyncio.sleep(0)
    raise KeyError(message)


@app.task
async def leave_async(status: int) -> None:
    raise SystemExit(status)


@app.task
async def nap_async(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@app.task
async def spin_async(seconds: float) -> float:
    return spin(seconds)


@app.task
async def soft_async(seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
    except SoftTimeLimitExceeded as error:
        await asyncio.sleep(0.05)
        return str(error)
    return "no limit"


@app.task
async def save_at_shutdown_async(path: str, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    except WorkerShutdown:
        write(path, "saved")
        raise
    write(path, "done")


@app.task(bind=True)
async def look_around_async(self: Any, text: str) -> list[str]:
    before = variable.get()
    variable.set(text)
    first = self.request.id
    await asyncio.sleep(0.02)
    return [before, variable.get(), first, self.request.id]


@app.task(bind=True)
async def hold_off_async(self: Any) -> str:
    while not self.is_cancelled():
        try:
            await asyncio.sleep(60)
        except BaseException:
            pass
    return "has seen it"


@app.task
async def descend_async(depth: int) -> int:
    return 1 + await descend_async.delay(depth - 1) if depth else 0


@app.task
async def wait_for_nap_async(seconds: float) -> Any:
    return await nap_async.delay(seconds)


# -- of one kind -------------------------------------------------------------------------------------------------------


@app.task
def sleep_in_c(seconds: float) -> float:
    """In a process that is not patched, this does not come back to the interpreter meanwhile."""
    time.sleep(seconds)
    return seconds


@app.task
def is_on_main_thread() -> bool:
    import os
    import threading

    return threading.get_native_id() == os.getpid()


@app.task
def is_patched() -> bool:
    from gevent import monkey

    return bool(monkey.is_module_patched("socket"))


@app.task
def run_program() -> str:
    import subprocess
    import sys

    return subprocess.run([sys.executable, "-c", "print('hello')"], capture_output=True, text=True).stdout


@app.task
def fork_and_return() -> int:
    """The exit status of a child that returns from the task."""
    import os

    pid = os.fork()
    return os.waitpid(pid, 0)[1] if pid else 0
