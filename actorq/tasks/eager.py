"""Running a canvas here, without a mesh: as it would go there, one call after another.

The same plan is made as is sent otherwise, and carried out as a coordinator and workers do: arguments and values go
through their serializers, and what follows a call that fails, fails with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import Any, Generic, NoReturn, TypeVar

from actorq import context
from actorq.errors import ChordError, TaskPredicate, TaskRevokedError
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.sending import Canvas, compiled
from actorq.tasks.details import CallDetails
from actorq.tasks.linked import LinkedResult
from actorq.tasks.request import extra_of
from actorq.wire.payload import describe_failure, encode_failure
from actorq.wire.records import (
    FAILURE,
    NOTHING,
    REPLACED,
    REVOKED,
    SUCCESS,
    VALUES,
    Call,
    CallSpec,
    Inputs,
    Outcome,
    Part,
    Plan,
)
from actorq.wire.replacements import decode_replacement
from actorq.worker.jobs import Job, Jobs, failure, traceback_text
from actorq.worker.predicates import outcome_of

R = TypeVar("R")

NODE = "eager"


class EagerResult(LinkedResult[R], Generic[R], gc=False, eq=False):
    """The result of a call that has run here."""

    is_eager = True

    def revoke(self, *args: Any, **options: Any) -> str:
        """It has ended already: its state becomes REVOKED, as in Celery."""
        failure = encode_failure(TaskRevokedError(f"call {self.id} was revoked, after it had run here"), "")
        self.outcome = Outcome(self.id, 1, REVOKED, failure)
        return ""

    def cancel(self, *args: Any, **options: Any) -> dict[str, str]:
        """It has ended already, and stays as it is."""
        return {}

    def details(self) -> CallDetails:
        """Only how it has ended: no mesh knows it."""
        return CallDetails(self.id, self.state)

    @property
    def children(self) -> list[Any]:
        return self.followers()

    def forget(self) -> None:
        """Nobody else has it."""


def run_here(canvas: Canvas) -> Any:
    """Run what `bound` has made. Returns its result, which is ready."""
    mesh = canvas.app
    naming = Naming(EagerResult)
    result, specs, plan = compiled(canvas, EagerMaker(mesh), naming)
    outcomes = run_plan(specs, plan, Runner(mesh).run)
    mesh.inline.keep(outcomes)
    _settle(result, outcomes)
    return result


def _settle(result: Any, outcomes: Mapping[str, Outcome]) -> None:
    while result is not None:
        for leaf in result.leaves():
            leaf.outcome = outcomes.get(leaf.id)
        result = result.parent


class EagerMaker:
    """Makes calls that are run here: nothing of them is known to a mesh."""

    def __init__(self, mesh: Any) -> None:
        self._mesh = mesh

    def spec_of(
        self, task: str, options: Mapping[str, Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> CallSpec:
        spec: CallSpec = self._mesh.eager_spec_of(task, options)
        return spec

    def spec_of_map(self, kind: str, task: str, options: Mapping[str, Any]) -> CallSpec:
        return self.spec_of(kind, options)

    def check_arguments(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._mesh.check_arguments(task, args, kwargs)

    def make_call(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Call:
        args, kwargs, options = self._mesh.prepared(spec.task, args, kwargs, options)
        body = self._mesh.serializers.encode_call(spec.content, args, dict(kwargs))
        return Call(str(options["task_id"]), 0, body, attempt=1, extra=extra_of(options, None))


# -- a coordinator -------------------------------------------------------------------------------------------------


def run_plan(specs: Sequence[CallSpec], plan: Plan, run: Callable[[CallSpec, Call], Outcome]) -> dict[str, Outcome]:
    """Carry out a plan. Returns how its calls have ended; those that were dropped are not in there."""
    return _Ledger(specs, plan, run).ended


class _Ledger:
    """What `actorq.coordinator.core.ledger` does, for one plan whose calls run at once."""

    def __init__(self, specs: Sequence[CallSpec], plan: Plan, run: Callable[[CallSpec, Call], Outcome]) -> None:
        self.ended: dict[str, Outcome] = {}
        self._nodes = plan.nodes
        self._missing = [node.needs for node in plan.nodes]
        self._parts: list[dict[int, Part]] = [{} for _ in plan.nodes]
        self._ready = deque(place for place, node in enumerate(plan.nodes) if node.needs == 0)
        while self._ready:
            place = self._ready.popleft()
            node = self._nodes[place]
            if node.call.id not in self.ended:
                if node.takes != NOTHING:
                    parts, self._parts[place] = self._parts[place], {}
                    node.call.inputs = Inputs(node.takes, [parts[each] for each in sorted(parts)])
                self._end(place, run(specs[node.call.spec - 1], node.call), is_cascade=False)

    def _end(self, place: int, outcome: Outcome, is_cascade: bool) -> None:
        ends = deque([(place, outcome, is_cascade)])
        while ends:
            place, outcome, is_cascade = ends.popleft()
            node = self._nodes[place]
            if node.call.id in self.ended:
                continue
            self.ended[node.call.id] = outcome
            part = Part(outcome.id, outcome.state, outcome.body, outcome.content)
            if outcome.state == SUCCESS:
                for after, value_place in node.then:
                    self._give(after, value_place, part)
            elif not is_cascade:
                for errback in node.catch:
                    if self._missing[errback] > 0:
                        self._missing[errback] = 1
                        self._give(errback, 0, part)
            if outcome.state != SUCCESS:
                ends.extend(self._failing_with(after, outcome, is_cascade) for after, _ in node.then)

    def _give(self, place: int, value_place: int, part: Part) -> None:
        self._parts[place][value_place] = part
        self._missing[place] -= 1
        if not self._missing[place]:
            self._ready.append(place)

    def _failing_with(self, place: int, cause: Outcome, is_cascade: bool) -> tuple[int, Outcome, bool]:
        node = self._nodes[place]
        if node.takes != VALUES:
            return place, Outcome(node.call.id, 0, cause.state, cause.body, cause.content), True
        error = ChordError(f"Dependency {cause.id} raised {describe_failure(cause.body)}")
        return place, Outcome(node.call.id, 0, FAILURE, encode_failure(error, "")), is_cascade


# -- a worker ------------------------------------------------------------------------------------------------------


class EagerRun:
    """The call that runs here, for `task.request` (see `actorq.context.Running`)."""

    is_eager = True
    node = NODE

    def __init__(self, call: Call, spec: CallSpec) -> None:
        self.call, self.spec = call, spec

    def pause(self) -> None:
        """It holds no slot."""

    def resume(self) -> None:
        pass

    def tell(self, note: Any) -> None:
        """Nobody listens meanwhile."""

    def is_cancelled(self) -> bool:
        return False


class Runner:
    """Runs calls of the tasks that are registered in an application, as a worker does."""

    def __init__(self, mesh: Any) -> None:
        self._jobs = Jobs(mesh, by_value=False)

    def run(self, spec: CallSpec, call: Call) -> Outcome:
        """Run a call. Whatever its task raises is its outcome."""
        job = self._jobs.make(spec, None)
        job.resolve()
        outcome = copy_context().run(self._outcome, job, call)
        if outcome.state == REPLACED:  # It is retried, or goes on as another one: at once.
            replacement = decode_replacement(outcome.body)
            outcome = run_plan(replacement.specs, replacement.plan, self.run)[call.id]
        return outcome

    def _outcome(self, job: Job, call: Call) -> Outcome:
        context.current.set(EagerRun(call, job.spec))
        try:
            return _result_of(job.run_coroutine(call)) if job.is_coroutine else job.run(call)
        except Exception as error:
            said = outcome_of(error, call, job) if isinstance(error, TaskPredicate) else None
            return said or failure(call, error, traceback_text(error))


def _result_of(coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
    """What a coroutine returns. Where an event loop runs already, it has to run on another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    box: list[Callable[[], Outcome]] = []
    here = copy_context()

    def run() -> None:
        try:
            value = here.run(asyncio.run, coroutine)
            box.append(lambda: value)
        except BaseException as error:
            raised = error
            box.append(lambda: _raise(raised))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return box[0]()


def _raise(error: BaseException) -> NoReturn:
    raise error
