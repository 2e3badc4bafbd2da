"""Uses that mypy must accept."""

from __future__ import annotations

from typing import Any

from actorq import ActorQ, AsyncResult, Signature, chain, chord, group

app = ActorQ("tasks")


@app.task
def add(x: int, y: int = 2) -> int:
    return x + y


@app.task(queue="fast", priority=9)
def name(value: str) -> str:
    return value


@app.task(bind=True)
def bound(self: Any, x: int) -> float:
    return float(x)


@app.task
async def later(x: int) -> str:
    return str(x)


result: AsyncResult[int] = add.delay(1, y=2)
number: int = result.get(timeout=5)
text: str = name.delay("a").get()
value: float = bound.delay(1).get()
lengths: AsyncResult[int] = app.submit(len, "abc")
words: list[str] = list(app.map(name, ["a", "b"]))
coroutine: AsyncResult[str] = later.delay(1)
squares: list[int] = list(app.map(lambda x: x * x, [1, 2, 3]))


signature: Signature[int] = add.s(1)
of_signature: AsyncResult[int] = signature.apply_async((2,))
from_signature: int = ~add.s(1, 2)
immutable: Signature[str] = name.si("a")
eager: int = add.apply((1, 2)).get()
mapped: list[int] = add.map([1, 2]).apply_async().get()
flow: Signature[Any] = add.s(1) | group(add.s(2), add.s(3)) | name.s() | chain(name.s(), name.s())
joined: AsyncResult[Any] = chord([add.s(1), add.s(2)])(name.s())
members: list[Any] = group(add.s(i) for i in range(3))().get()


async def wait() -> int:
    return await add.delay(1)
