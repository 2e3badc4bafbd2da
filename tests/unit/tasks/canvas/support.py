"""An application that is not connected, whose tasks note that they have run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actorq import ActorQ
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.sending import Compiled, compiled
from actorq.tasks.canvas.signature import Signature
from actorq.tasks.eager import EagerMaker
from actorq.wire.payload import msgpack_codec
from actorq.wire.plans import why_unsound
from actorq.wire.records import CallSpec, Plan
from tests.support import free_address


class Bench:
    """Some tasks, and in `ran` what they were called with."""

    def __init__(self) -> None:
        self.app = ActorQ("tasks", free_address())
        self.ran: list[Any] = []
        ran = self.ran

        @self.app.task(name="add")
        def add(x: int, y: int) -> int:
            ran.append(("add", x, y))
            return x + y

        @self.app.task(name="total")
        def total(values: list[int]) -> int:
            ran.append(("total", values))
            return sum(values)

        @self.app.task(name="step")
        def step(*args: Any, tag: Any, fails: bool = False) -> Any:
            """What it got, and its tag: so the value of a workflow tells all that went into it."""
            ran.append(tag)
            if fails:
                raise ValueError(tag)
            return [tag, *args]

        @self.app.task(name="errback")
        def errback(request: Any, error: Exception, traceback: str, tag: Any = None) -> Any:
            ran.append(("errback", tag, request.id))
            return str(error)

        @self.app.task(name="old_errback")
        def old_errback(task_id: str) -> None:
            ran.append(("old errback", task_id))

        self.add, self.total, self.step, self.errback, self.old_errback = add, total, step, errback, old_errback

    def errbacks(self) -> list[Any]:
        """Tags of the errbacks that have run."""
        return [each[1] for each in self.ran if isinstance(each, tuple) and each[0] == "errback"]

    def compiled(self, canvas: Any, args: Sequence[Any] = (), **options: Any) -> Compiled:
        """The plan of a canvas, which is sound."""
        made = compiled(canvas.bound(args, {}, options), EagerMaker(self.app), Naming())
        assert why_unsound(made.plan) == ""
        return made


def shown(specs: Sequence[CallSpec], plan: Plan) -> list[tuple[str, Any]]:
    """Task and arguments of each call."""
    return [(specs[node.call.spec - 1].task, arguments_of(node)) for node in plan.nodes]


def arguments_of(node: Any) -> Any:
    return msgpack_codec.decode_call(node.call.body)[0]


def as_json(canvas: Signature[Any]) -> Mapping[str, Any]:
    """What is left of it after a way through JSON."""
    import json

    return json.loads(json.dumps(canvas))  # type: ignore[no-any-return]
