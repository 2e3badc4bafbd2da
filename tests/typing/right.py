"""Uses that mypy must accept."""

from __future__ import annotations

from typing import Any

from actorq import ActorQ, AsyncResult

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


async def wait() -> int:
    return await add.delay(1)
