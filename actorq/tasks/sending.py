"""How an application sends calls: what a producer can submit in a second depends on this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actorq.client.checks import check_id, check_timeout
from actorq.client.pending import Pending
from actorq.client.session import Route, Session
from actorq.config import BLOB_BYTES, MAX_BODY_BYTES
from actorq.context import Running, current
from actorq.errors import AlreadyQueued, MessageTooLarge
from actorq.policies.retry import RetryPolicy
from actorq.policies.routing import owner_of
from actorq.settings.conf import Conf
from actorq.signals import publishing
from actorq.tasks.broadcast import BroadcastResult
from actorq.tasks.inline import Inline
from actorq.tasks.keys import with_keys
from actorq.tasks.options import expiry_time_s, make_spec, split_options, start_time_s
from actorq.tasks.publishing import Publication, published
from actorq.tasks.registering import Registry
from actorq.tasks.request import child_of, extra_of
from actorq.tasks.result import AsyncResult
from actorq.tasks.routed import Routing
from actorq.tasks.task import Task
from actorq.wire.payload import Serializers
from actorq.wire.records import Blob, Body, Call, CallSpec, Plan


class Sending:
    """The part of an application that sends calls. It is a part of a `Mesh` (see `actorq.tasks.protocol`)."""

    conf: Conf
    serializers: Serializers
    tasks: Registry
    inline: Inline
    _routing: Routing
    _session: Session | None
    _local: Any
    """The embedded mesh, if there is one."""

    def send_plain(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        route, session = task.route, self._session
        if route is None or session is None or route.session is not session or session.is_over:
            if self.inline.runs_here:
                return task.apply(args, kwargs)
            options, is_constant = self._routing.find(task.name, task.options, args, kwargs, {})
            changes, others = split_options(options)
            spec = make_spec(task.spec, changes) if changes else task.spec
            if publishing.heard:
                return self._send_announced(spec, args, kwargs, others)
            route = self._route(spec)
            if others:
                return self._send_with(route, args, kwargs, others)
            if is_constant:
                task.route = route
        return self._submit(route, args, kwargs)

    def routed(
        self,
        name: str,
        own: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        return self._routing.find(name, own, args, kwargs, options)[0]

    def broadcast(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> BroadcastResult[Any]:
        return self._routing.broadcast(task, args, kwargs)

    def send(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        if publishing.heard:
            return self._send_announced(spec, args, kwargs, options)
        route = self._route(spec)
        if not options:
            return self._submit(route, args, dict(kwargs))
        return self._send_with(route, args, dict(kwargs), options)

    def _send_announced(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        task_id = options.get("task_id") or self.session.new_id()
        publication = Publication(spec, str(task_id), args, kwargs, options)
        result = self._send_with(self._route(spec), args, dict(kwargs), publication.before())
        publication.after()
        return result

    def _forget_routes(self) -> None:
        """Somebody wants to hear of calls, or nobody does any more: those by the fast way ask nobody."""
        for task in list(self.tasks.values()):
            task.route = None

    def _route(self, spec: CallSpec) -> Route:
        session = self.session
        self._check_queue(spec)
        form = self.serializers.get(spec.serializer, spec.compression or self.serializers.task_compression)
        serializer, _, compression = form.name.partition("+")
        if (serializer, compression) != (spec.serializer, spec.compression):  # It was named by an alias.
            spec = msgspec.structs.replace(spec, serializer=serializer, compression=compression)
        self.serializers.max_body_bytes = session.max_body_bytes or MAX_BODY_BYTES
        return Route(session, spec, session.number(spec), form.encode_call)

    def _check_queue(self, spec: CallSpec) -> None:
        """Raise ImproperlyConfigured if no worker of an embedded mesh takes calls of its queue."""
        if self._local is not None and spec.queue and not owner_of(spec.queue):
            self._local.check_queue(spec.queue)

    def _large(self, route: Route, body: bytes) -> Body:
        """A large body as it travels. Raises MessageTooLarge."""
        limit_bytes = route.session.max_body_bytes or MAX_BODY_BYTES
        if len(body) > limit_bytes:
            raise MessageTooLarge(f"the body of {route.spec.task}'s arguments", len(body), limit_bytes)
        route.session.expect_large_bodies()
        return Blob(body)

    def _submit(self, route: Route, args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        """The hot path: what a producer can submit in a second depends on each line here."""
        if current.get() is not None:
            return self._send_with(route, args, kwargs, {})
        session = route.session
        body = route.encode_call(args, kwargs)
        task_id = session.new_id()
        call = Call(task_id, route.number, body if len(body) < BLOB_BYTES else self._large(route, body))
        result: AsyncResult[Any] = AsyncResult(task_id, call, None, None, self)  # type: ignore[arg-type]
        session.submit(result, call, session.settings.publish_timeout_s, route.wait)
        if not route.wait:
            result.ignored = True
        return result

    def _send_with(
        self, route: Route, args: Sequence[Any], kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        session, chosen_id = route.session, options.get("task_id")
        call = self._call_with(route, args, kwargs, options)
        result: AsyncResult[Any] = AsyncResult(call.id, call, mesh=self, ignored=not route.wait)  # type: ignore[arg-type]
        if call.extra is not None and call.extra.unique:
            return self._send_unique(route, result, call, options)
        session.submit(result, call, self._patience_s(options), route.wait, bool(chosen_id))
        return result

    def _call_with(self, route: Route, args: Sequence[Any], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Call:
        now_s, running = self.wall_s(), current.get()
        if running is not None:
            route = self._with_inherited_priority(route, running)
        body: bytes = route.encode_call(args, kwargs)
        chosen_id = options.get("task_id")
        return Call(
            check_id(str(chosen_id)) if chosen_id else route.session.new_id(),
            route.number,
            body if len(body) < BLOB_BYTES else self._large(route, body),
            start_time_s(options.get("countdown"), options.get("eta"), now_s, self.conf.zone),
            expiry_time_s(options.get("expires"), now_s, self.conf.zone),
            extra=with_keys(
                extra_of(options, child_of(running)), route.spec.task, options, args, kwargs, route.encode_call, now_s
            ),
        )

    def _send_unique(
        self, route: Route, result: AsyncResult[Any], call: Call, options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        holder = route.session.submit_unique(result, call, self._patience_s(options), route.wait)
        if holder == call.id:
            return result
        if options.get("unique_conflict") == "raise":
            raise AlreadyQueued(route.spec.task, holder)
        return self.AsyncResult(holder)

    def send_plan(
        self, specs: Sequence[CallSpec], plan: Plan, results: Sequence[Pending], options: Mapping[str, Any]
    ) -> None:
        session = self.session
        for spec in specs:
            self._check_queue(spec)
        numbers = [session.number(spec) for spec in specs]
        sent = [(node.call.id, specs[node.call.spec - 1]) for node in plan.nodes] if publishing.heard else ()
        for node in plan.nodes:
            node.call.spec = numbers[node.call.spec - 1]
        session.submit_plan(plan, results, self._patience_s(options))
        for task_id, spec in sent:
            published(spec, task_id)

    def _with_inherited_priority(self, route: Route, running: Running) -> Route:
        """The way for a call that the running task makes: with the priority of its own, if that is inherited."""
        settings, priority = self.conf.settings, running.spec.priority
        default = settings.task_default_priority
        if not settings.task_inherit_parent_priority or route.spec.priority != default or priority == default:
            return route
        return self._route(make_spec(route.spec, {"priority": priority}))

    def _patience_s(self, options: Mapping[str, Any]) -> float | None:
        """For how long a call may try to reach the mesh."""
        if not options.get("retry", True):
            return 0.0
        if "retry_policy" in options:
            return check_timeout(RetryPolicy.of(options["retry_policy"]).budget_s())
        if "publish_timeout" in options:
            return check_timeout(options["publish_timeout"])
        return check_timeout(self._publish_timeout_s)

    # -- the application ---------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        raise NotImplementedError

    def wall_s(self) -> float:
        raise NotImplementedError

    @property
    def _publish_timeout_s(self) -> float:
        raise NotImplementedError

    def AsyncResult(self, task_id: str) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        raise NotImplementedError
