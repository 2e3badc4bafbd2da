"""Routing as tasks need it: where a call goes, with the mesh told of what it needs to know for that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from actorq.config import ClientSettings
from actorq.control.control import Control
from actorq.errors import NotPermitted
from actorq.policies.routing import worker_direct
from actorq.tasks.broadcast import BroadcastResult
from actorq.tasks.options import make_spec, split_options
from actorq.tasks.router import Amqp
from actorq.tasks.task import Task
from actorq.wire.records import CallSpec

BROADCAST_EXPIRES_S = 3600.0
"""A worker to which a call was broadcast, and that has no room for so long, does not run it."""

logger = logging.getLogger("actorq")


class Application(Protocol):
    """What this needs of an application."""

    amqp: Amqp
    control: Control
    settings: ClientSettings

    @property
    def tasks(self) -> Mapping[str, Task[Any, Any]]: ...
    @property
    def session(self) -> object: ...


class Routing:
    """Finds out where the calls of one application go."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._declared_to: object = None
        """The session in which the mesh was told of our exchanges and bindings."""

    def find(
        self,
        name: str,
        own: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> tuple[dict[str, Any], bool]:
        """The `options` of a call of a task with its `own`, with where it goes; and whether that is the same for all calls
        of the task. Raises QueueNotFound.
        """
        app = self._app
        if app.amqp.has_nothing_to_say(own, options):
            return dict(options), True
        found, is_constant = app.amqp.route(options, name, args, kwargs, own, app.tasks.get(name))
        if not found["queue"]:
            self._declare()
        return found, is_constant

    def _declare(self) -> None:
        """Have the mesh know our exchanges and bindings, before a call needs them. What it knows already stays."""
        session = self._app.session
        if self._declared_to is session:
            return
        items = self._app.amqp.queues.declarations()
        if items:
            try:
                self._app.control.declare_new(items, self._app.settings.publish_timeout_s)
            except NotPermitted:
                logger.debug("this program's key may not declare queues: the workers, or somebody else, have to")
        self._declared_to = session

    def spec_of(self, task: Task[Any, Any]) -> CallSpec:
        """The spec of calls of a task that are not looked at one by one."""
        changes, _ = split_options(self.find(task.name, task.options, (), {}, {})[0])
        return make_spec(task.spec, changes) if changes else task.spec

    def broadcast(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> BroadcastResult[Any]:
        """A call for each worker that offers the task now, and its result."""
        names = self._app.control.consumers(task=task.spec.offer, timeout=self._app.settings.publish_timeout_s)
        return BroadcastResult(
            {
                name: task.apply_async(args, kwargs, queue=worker_direct(name), expires=BROADCAST_EXPIRES_S)
                for name in names
            }
        )
