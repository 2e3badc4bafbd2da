"""Tasks whose arguments, results and exceptions are out of the ordinary."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from actorq import ActorQ
from actorq.worker.lines import logger

app = ActorQ("tests.integration.payload_tasks", accept_content=["msgpack", "application/json", "yaml", "own"])
app.serializers.register("own", lambda value: repr(value).encode(), lambda data: eval(bytes(data)), "application/x-own")
app.serializers.compressions.register(
    lambda data: b"small", lambda _: b"too large" * 1000, "application/x-bad", ["bad"]
)


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


app.serializers.register_type(Point, "point", lambda point: point.x, Point)


@app.task
def pid() -> int:
    return os.getpid()


@app.task
def kinds_of(value: Any) -> list[str]:
    """The types of what has come, and of what it holds."""
    return [type(each).__name__ for each in value]


@app.task
def echo(value: Any) -> Any:
    return value


@app.task(sensitive=True)
def pay(card: str, fails: bool = False) -> str:
    logger.warning("it was paid")
    if fails:
        raise ValueError(f"no money: {card}")
    return card


@app.task
def hold(seconds: float, card: str = "") -> None:
    time.sleep(seconds)


class NeedsTwo(Exception):
    """Cannot be made again of its `args`."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


class HoldsALock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text, threading.Lock())
        self.lock = threading.Lock()


class CannotBePickled(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")

    def __getstate__(self) -> Any:
        raise TypeError("not to be pickled")


class CannotBeShown(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class KillsItsReader(Exception):
    """To unpickle it would end the process of the one who does."""

    def __reduce__(self) -> Any:
        return os._exit, (13,)


def of_a_local_class() -> Exception:
    class Local(Exception):
        pass

    return Local("defined in a function")


def with_a_cause() -> Exception:
    error = ValueError("outer")
    error.__cause__ = HoldsALock("inner")
    return error


def that_is_its_own_cause() -> Exception:
    error = ValueError("circle")
    error.__context__ = other = KeyError("k")
    other.__context__ = error
    return error


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "needs two arguments": lambda: NeedsTwo(7, reason="no such thing"),
    "holds a lock": lambda: HoldsALock("locked"),
    "holds a function": lambda: ValueError(lambda: 1),
    "holds itself": lambda: (error := ValueError("me"), error.__dict__.update(me=error))[0],
    "cannot be pickled": lambda: CannotBePickled("no pickle"),
    "cannot be shown": lambda: CannotBeShown("no text"),
    "kills its reader": lambda: KillsItsReader("bang"),
    "is of a local class": of_a_local_class,
    "has a cause that cannot be carried": with_a_cause,
    "is its own cause": that_is_its_own_cause,
    "has a lone surrogate": lambda: ValueError("\ud800"),
    "is huge": lambda: ValueError("x" * 5_000_000, "y" * 5_000_000),
    "ends the process": lambda: SystemExit(3),
    "interrupts": lambda: KeyboardInterrupt(),
    "ends a generator": lambda: StopIteration(5),
}


def a_circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


RESULTS: dict[str, Callable[[], object]] = {
    "a lock": threading.Lock,
    "a function": lambda: lambda: 1,
    "a generator": lambda: (each for each in [1]),
    "an object": lambda: Point(1),
    "a circle": a_circle,
    "deep within": lambda: {"a": [1, (2, {"b": object()})]},
    "an object that kills its reader": lambda: KillsItsReader("bang"),
    "too much": lambda: bytes(70 * 1024 * 1024),
}


@app.task
def raise_one(kind: str) -> None:
    raise EXCEPTIONS[kind]()


@app.task
async def raise_one_later(kind: str) -> None:
    raise EXCEPTIONS[kind]()


@app.task
def return_one(kind: str) -> object:
    return RESULTS[kind]()
