"""`task_routes`: which options a call gets from its task's name, or from whatever a function makes of the call."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from actorq.errors import ImproperlyConfigured
from actorq.policies.queues import Queue, queue_of

Options = dict[str, Any]
Route = Callable[..., Any]
"""``route(name, args, kwargs, options, task=None, **kw)``: options, the name of a queue, or None."""


class MapRoute:
    """Options by name, glob (``feed.tasks.*``) or regular expression: the name itself first, then the first that fits."""

    def __init__(self, pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        self._names: dict[str, Any] = {}
        self._patterns: list[tuple[re.Pattern[str], Any]] = []
        for key, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            if isinstance(key, re.Pattern):
                self._patterns.append((key, value))
            elif any(sign in key for sign in "*?["):
                self._patterns.append((re.compile(fnmatch.translate(key)), value))
            else:
                self._names.setdefault(key, value)

    def queues(self) -> list[str]:
        """The queues that it names."""
        values = [*self._names.values(), *(value for _, value in self._patterns)]
        named = [value if isinstance(value, str) else value.get("queue") for value in values]
        return [queue_of(each) for each in named if each]

    def find(self, name: str) -> Options | None:
        """The options for a task; None: it says nothing of it."""
        found = self._names.get(name)
        if found is None:
            found = next((value for pattern, value in self._patterns if pattern.match(name)), None)
        return None if found is None else _options_of(found, name)


class Routes:
    """All of `task_routes`, in any of its forms: a dict, a function, the name of one, or a list of these and of pairs
    (pattern, options). The first that says something of a task counts. Raises ImproperlyConfigured.
    """

    def __init__(self, routes: Any = None) -> None:
        listed = routes if isinstance(routes, (list, tuple)) else [] if routes is None else [routes]
        if _is_pair(listed):
            listed = [listed]
        self._routes = [_expanded(each) for each in listed]

    def __bool__(self) -> bool:
        return bool(self._routes)

    def queues(self) -> list[str]:
        """The queues that are named for some tasks; what functions would say is not known."""
        return [queue for route in self._routes if isinstance(route, MapRoute) for queue in route.queues()]

    def find(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], task: Any = None
    ) -> tuple[Options, bool]:
        """The options for a call, and whether they are the same for all calls of the task: no function was asked."""
        is_constant = True
        for route in self._routes:
            if isinstance(route, MapRoute):
                found = route.find(name)
            else:
                is_constant = False
                said = route(name, args, kwargs, options, task=task)
                found = None if said is None else _options_of(said, name)
            if found is not None:
                return found, is_constant
        return {}, is_constant


def _options_of(said: Any, name: str) -> Options:
    if isinstance(said, str):
        return {"queue": said}
    if isinstance(said, Mapping):
        return dict(said)
    if isinstance(said, Queue):
        return {"queue": said}
    raise ImproperlyConfigured(
        f"task_routes says {said!r} of task {name!r}: it has to be a dict of options, or the name of a queue"
    )


def _is_pair(value: Any) -> bool:
    is_two = isinstance(value, (list, tuple)) and len(value) == 2
    return is_two and isinstance(value[0], (str, re.Pattern)) and isinstance(value[1], (str, Mapping))


def _expanded(route: Any) -> MapRoute | Route:
    if isinstance(route, Mapping):
        return MapRoute(route)
    if _is_pair(route):
        return MapRoute([route])
    if isinstance(route, (list, tuple)):
        return MapRoute(route)
    if isinstance(route, str):
        route = _named(route)
    method = getattr(route, "route_for_task", None)
    if method is not None:
        return lambda name, args, kwargs, options, task=None: method(name, args, kwargs)
    if callable(route):
        return route  # type: ignore[no-any-return]
    raise ImproperlyConfigured(f"task_routes has {route!r}: use a dict, a function, or pairs of a pattern and options")


def _named(path: str) -> Any:
    """What ``module.attribute`` or ``module:attribute`` is; of a class, an instance."""
    module, _, attribute = path.rpartition(":" if ":" in path else ".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise ImproperlyConfigured(f"task_routes names {path!r}, which cannot be imported: {error}") from error
    return found() if isinstance(found, type) else found
