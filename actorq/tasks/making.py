"""How an application makes the calls of workflows, and sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actorq.signals import publishing
from actorq.tasks.canvas.signature import Signature, signature
from actorq.tasks.options import make_spec, split_options
from actorq.tasks.publishing import Publication
from actorq.tasks.reference import reference_to
from actorq.tasks.result import AsyncResult
from actorq.tasks.sending import Sending
from actorq.tasks.task import Task
from actorq.wire.builtin import BUILTIN_NAMES
from actorq.wire.records import Call, CallSpec
from actorq.worker.builtin import TaskMapping


class Making(Sending):
    """The part of an application that makes calls of workflows. It is a part of a `Mesh` (see `actorq.tasks.protocol`)."""

    def signature(self, varies: Any, *args: Any, **options: Any) -> Signature[Any]:
        """A signature of this application's: see `actorq.tasks.canvas.signature`."""
        return signature(varies, *args, **{"app": self, **options})

    def spec_of(
        self, task: str, options: Mapping[str, Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> CallSpec:
        known = self.tasks.get(task)
        if task not in BUILTIN_NAMES:
            own = {} if known is None else known.options
            options = self.routed(task, own, args, kwargs or {}, options)
        return _changed(self._spec_by_name(task) if known is None else known.spec, options)

    def spec_of_map(self, kind: str, task: str, options: Mapping[str, Any]) -> CallSpec:
        known = self.tasks.get(task)
        if known is None:
            return self.spec_of(kind, options)
        own = known.spec
        options = {"queue": own.queue, "priority": own.priority, "serializer": own.serializer}
        spec = make_spec(CallSpec(kind), options | {"result_extended": own.extended})
        if known.spec.code:  # The worker knows the task by what travels only.
            mapping = TaskMapping(kind, reference_to(known, self) or known)
            spec = msgspec.structs.replace(spec, code=self._add_code(mapping))
        return _changed(spec, options)

    def eager_spec_of(self, task: str, options: Mapping[str, Any]) -> CallSpec:
        """As `spec_of`, for a call that runs here: its function does not travel. Raises NotRegistered."""
        spec = CallSpec(task) if task in BUILTIN_NAMES else make_spec(CallSpec(task), self.options_of(self.tasks[task]))
        return _changed(spec, options)

    def check_arguments(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        known = self.tasks.get(task)
        if known is not None:
            known.check(*args, **kwargs)

    def prepared(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
        known = self.tasks.get(task)
        return (args, kwargs, options) if known is None else known.prepared(args, kwargs, options)

    def make_call(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Call:
        args, kwargs, options = self.prepared(spec.task, args, kwargs, options)
        if publishing.heard and "task_id" in options:
            options = Publication(spec, str(options["task_id"]), args, kwargs, options).before()
        return self._call_with(self._route(spec), args, dict(kwargs), options)

    def send_group(self, group_id: str, calls: Sequence[Signature[Any]]) -> list[AsyncResult[Any]]:
        results = []
        for place, each in enumerate(calls):
            self.check_arguments(each.task, each.args, each.kwargs)
            options = {"group_id": group_id, "group_index": place, **each.options}
            spec = self.spec_of(each.task, options, each.args, each.kwargs)
            prepared = self.prepared(each.task, each.args, each.kwargs, split_options(options)[1])
            results.append(self.send(spec, *prepared))
        return results

    # -- the application ---------------------------------------------------------------------------------------------

    def options_of(self, task: Task[Any, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _spec_by_name(self, name: str) -> CallSpec:
        raise NotImplementedError

    def _add_code(self, fn: Any) -> str:
        raise NotImplementedError


def _changed(spec: CallSpec, options: Mapping[str, Any]) -> CallSpec:
    changes, _ = split_options(options)
    return make_spec(spec, changes) if changes else spec
