"""Uses that mypy must reject: each marked line has an error of that kind."""

from __future__ import annotations

from actorq import AsyncResult
from tests.typing.right import add, app, bound, name

add.delay("1")  # error: arg-type
add.delay(1, 2, 3)  # error: call-arg
add.delay(1, z=2)  # error: call-arg
text: str = add.delay(1).get()  # error: assignment
number: int = name.delay("a").get()  # error: assignment
bound.delay("x")  # error: arg-type
wrong: str = ~add.s(1, 2)  # error: assignment
other: AsyncResult[str] = add.s(1).apply_async()  # error: assignment
app.submit(len, 5)  # error: arg-type
