"""Runs calls of real tasks as a worker's pool does, without one."""

from __future__ import annotations

from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from actorq import ActorQ
from actorq.context import current
from actorq.errors import TaskPredicate
from actorq.tasks.task import Task
from actorq.wire.payload import decode_failure, loads
from actorq.wire.records import FAILURE, OUTCOME_STATES, REPLACED, Call, CallSpec, Extra, Node, Note, Outcome
from actorq.wire.replacements import decode_replacement
from actorq.worker import predicates
from actorq.worker.jobs import Jobs, failure


def make_app(**options: Any) -> ActorQ:
    """An application that is not connected."""
    return ActorQ("tests", "tcp://127.0.0.1:1", **options)


@dataclass
class Run:
    """A running call (see `actorq.context.Running`)."""

    call: Call
    spec: CallSpec
    node: str = "worker@test"
    notes: list[Note] = field(default_factory=list)
    cancelled: bool = False

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def tell(self, note: Note) -> None:
        self.notes.append(note)

    def is_cancelled(self) -> bool:
        return self.cancelled


@dataclass
class Ended:
    """How a call has ended."""

    outcome: Outcome
    run: Run

    @property
    def state(self) -> str:
        return "REPLACED" if self.outcome.state == REPLACED else OUTCOME_STATES[self.outcome.state]

    @property
    def value(self) -> Any:
        assert self.state == "SUCCESS", self.error
        return loads(self.outcome.body) if self.outcome.body else None  # type: ignore[arg-type]

    @property
    def error(self) -> Exception:
        assert self.state in ("FAILURE", "REVOKED"), self.state
        return decode_failure(self.outcome.body)  # type: ignore[arg-type]

    @property
    def again(self) -> tuple[CallSpec, Call]:
        """What the call goes on as, with its options, where that is one call."""
        assert self.state == "REPLACED", self.state
        replacement = decode_replacement(self.outcome.body)
        ((spec,), (node,)) = replacement.specs, replacement.plan.nodes
        assert isinstance(node, Node)
        return spec, node.call


def run_call(
    task: Task[Any, Any],
    *args: Any,
    extra: Extra | None = None,
    run: Run | None = None,
    cancelled: bool = False,
    task_id: str = "call-1",
    **kwargs: Any,
) -> Ended:
    """Run one call of a task to its outcome; or `run`, which came from there."""
    if run is None:
        spec = task.spec
        encode = task.app.serializers.get(spec.content).encode_call
        run = Run(Call(task_id, 1, encode(args, kwargs), client=1, attempt=1, extra=extra), spec)
    run.cancelled = cancelled
    job = Jobs(task.app).make(run.spec, None)
    job.resolve()

    def go() -> Outcome:
        current.set(run)
        try:
            return job.run(run.call)
        except TaskPredicate as predicate:
            return predicates.outcome_of(predicate, run.call, job) or failure(run.call, predicate)
        except Exception as error:
            return failure(run.call, error, "", FAILURE)

    return Ended(copy_context().run(go), run)


def run_again(task: Task[Any, Any], ended: Ended) -> Ended:
    """Run the call that has asked to be retried, as the coordinator delivers it."""
    spec, call = ended.again
    call.attempt = 1
    return run_call(task, run=Run(call, spec))


def arguments_in(call: Call) -> Any:
    return loads(call.body)  # type: ignore[arg-type]
