"""Where calls go: the options of `task_routes` and of the call, and the queue or the address that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actorq.config import DEFAULT_QUEUE
from actorq.policies.queues import Broadcast, Exchange, Queues
from actorq.policies.routing import DIRECT
from actorq.tasks.routes import Options, Routes

ADDRESS = ("queue", "exchange", "routing_key")
"""Options that say where a call goes: of several sources of them the nearest that has one counts, with all of its."""


class RoutingSettings(Protocol):
    """The settings that say where calls go."""

    @property
    def task_routes(self) -> Any: ...
    @property
    def task_queues(self) -> Any: ...
    @property
    def task_create_missing_queues(self) -> bool: ...
    @property
    def task_default_queue(self) -> str: ...
    @property
    def task_default_exchange(self) -> str | None: ...
    @property
    def task_default_exchange_type(self) -> str: ...
    @property
    def task_default_routing_key(self) -> str | None: ...


@dataclass
class RoutingDefaults:
    """These settings, as they are where nobody says anything else."""

    task_routes: Any = None
    task_queues: Any = None
    task_create_missing_queues: bool = True
    task_default_queue: str = DEFAULT_QUEUE
    task_default_exchange: str | None = None
    task_default_exchange_type: str = DIRECT
    task_default_routing_key: str | None = None


class Amqp:
    """`app.amqp`: the queues of the application, and its router. (Celery's name; there is no AMQP.)"""

    def __init__(self, settings: Callable[[], RoutingSettings]) -> None:
        self._settings = settings
        self._queues: Queues | None = None
        self._routes: Routes | None = None
        self._made_of: tuple[Any, ...] = ()

    @property
    def queues(self) -> Queues:
        """By name: those of `task_queues`, or the default one."""
        self._refresh()
        assert self._queues is not None
        return self._queues

    @property
    def routes(self) -> Routes:
        """What `task_routes` says."""
        self._refresh()
        assert self._routes is not None
        return self._routes

    @property
    def router(self) -> Amqp:
        """Celery's name for what has `route`."""
        return self

    @property
    def is_plain(self) -> bool:
        """The settings say nothing of where calls go, but for the name of the default queue."""
        settings = self._settings()
        return settings.task_create_missing_queues and not settings.task_routes and not settings.task_queues

    def has_nothing_to_say(self, *options: Mapping[str, Any]) -> bool:
        """Calls with these options go to the queue that they name, or to the default one: there is nothing to find out."""
        return self.is_plain and not any(
            each.get("exchange") or each.get("routing_key") or not isinstance(each.get("queue", ""), str)
            for each in options
        )

    def named_queues(self) -> list[str]:
        """The queues that the settings name, and not only for calls whose routes a function finds."""
        return list(dict.fromkeys([*self.queues.consume_from, *self.routes.queues()]))

    def _refresh(self) -> None:
        """Read the settings, unless they are those that were read the last time."""
        settings = self._settings()
        made_of = (settings.task_queues, settings.task_create_missing_queues, settings.task_default_queue,
                   settings.task_routes)  # fmt: skip
        if self._queues is not None and all(one is other for one, other in zip(made_of, self._made_of, strict=True)):
            return
        self._queues = Queues(settings.task_queues, settings.task_create_missing_queues, settings.task_default_queue)
        self._routes = Routes(settings.task_routes)
        self._made_of = made_of

    # -- where a call goes ---------------------------------------------------------------------------------------

    def route(
        self,
        given: Mapping[str, Any],
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
        task: Any = None,
    ) -> tuple[Options, bool]:
        """The options of a call, with those that `task_routes` adds: what is `given` with the call comes first, then the
        task's `own` options. `queue`, `exchange`, `routing_key` and `routing_headers` among them are names.

        Also says whether all calls of the task that are given the same have the same options. Raises QueueNotFound.
        """
        own = own or {}
        explicit = {**own, **given}
        found, is_constant = self.routes.find(name, args, kwargs or {}, explicit, task) if self.routes else ({}, True)
        added = {option: value for option, value in found.items() if option not in explicit and option not in ADDRESS}
        address = next((each for each in map(_address, (given, own, found)) if each), {})
        others = {option: value for option, value in given.items() if option not in ADDRESS}
        return {**added, **others, **self._destination(address, given.get("headers"))}, is_constant

    def _destination(self, address: Options, headers: Any) -> Options:
        settings = self._settings()
        queue, exchange = address.get("queue"), address.get("exchange")
        key = address.get("routing_key") or ""
        exchange_name = exchange.name if isinstance(exchange, Exchange) else exchange or ""
        if queue is None and exchange_name not in self._default_exchanges(settings):
            return {
                "queue": "",
                "exchange": exchange_name,
                "routing_key": str(key),
                "routing_headers": scalars(headers),
            }
        if queue is None and key and key != settings.task_default_routing_key:
            queue = key  # From the default exchange the key names the queue.
        found = self.queues.find(settings.task_default_queue if queue is None else queue)
        if isinstance(found, Broadcast):
            return {"queue": "", "exchange": found.name}
        return {"queue": found.name, **({"routing_key": str(key)} if key else {})}

    def _default_exchanges(self, settings: RoutingSettings) -> set[str | None]:
        return {"", settings.task_default_exchange, settings.task_default_queue}


def _address(options: Mapping[str, Any]) -> Options:
    return {name: options[name] for name in ADDRESS if options.get(name) is not None}


def scalars(headers: Any) -> tuple[tuple[str, Any], ...]:
    """The headers that an exchange can look at: those with plain values."""
    items = headers.items() if isinstance(headers, Mapping) else ()
    return tuple(sorted((str(name), value) for name, value in items if isinstance(value, (str, int, float, bool))))
