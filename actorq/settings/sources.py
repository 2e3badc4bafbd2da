"""Where settings come from: mappings, modules and objects, TOML files, the environment.

Each is read to a `Source`: the values by the names of the table, converted, and those that are accepted and ignored.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from actorq.errors import ImproperlyConfigured
from actorq.settings.ignored import why_ignored
from actorq.settings.names import canonical, find, looks_like_one
from actorq.settings.table import NAMES, converted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT_PREFIX = "ACTORQ_"
FROM_KUBERNETES = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT")
"""Kubernetes sets variables such as ACTORQ_WORKER_PORT_5570_TCP for a service that is named actorq-worker."""


@dataclass(slots=True)
class Source:
    """What one place says."""

    where: str
    """For people."""
    values: dict[str, Any] = field(default_factory=dict)
    ignored: dict[str, Any] = field(default_factory=dict)
    """Settings of Celery's that have nothing to set here (see `actorq.settings.ignored`)."""


def from_mapping(given: Mapping[str, Any], where: str, namespace: str | None = None) -> Source:
    """Settings by name. Raises ImproperlyConfigured for names that are none, and values that cannot be.

    With a namespace, only names that begin with it, as in ``CELERY_TASK_ROUTES``, which may be upper-case.
    """
    return _read(given.items() if namespace is None else _within(given.items(), namespace), where)


def from_object(given: Any, namespace: str | None = None) -> Source:
    """The attributes of an object or a module, or the items of a mapping.

    What a module has besides is its own, such as what it has imported, unless it looks like a setting with a slip.
    """
    where = f"module {given.__name__}" if isinstance(given, ModuleType) else f"{type(given).__name__} object"
    if isinstance(given, Mapping):
        return from_mapping(given, "config_from_object", namespace)
    items = [(name, getattr(given, name)) for name in dir(given) if not name.startswith("_")]
    if namespace is not None:
        return from_mapping(dict(items), where, namespace)
    return _read([(name, value) for name, value in items if _is_meant(name, value)], where)


def read_source(given: Any, silent: bool = False, namespace: str | None = None) -> Source | None:
    """What `config_from_object` takes: an object, a mapping, or a name (see `from_name`).

    If there is no such module or file: None, if it is to be silent about that.
    """
    if not isinstance(given, str):
        return from_object(given, namespace)
    try:
        return from_name(given, namespace)
    except (ImportError, OSError):
        if silent:
            return None
        raise


def from_name(name: str, namespace: str | None = None) -> Source:
    """A TOML file, if the name ends with ``.toml``; else the module ``proj.config``, or ``proj.config:attribute``.

    Raises ImportError, or OSError, if there is none.
    """
    if name.endswith(".toml"):
        return from_file(name)
    module_name, _, attribute = name.partition(":")
    module = import_module(module_name)
    source = from_object(getattr(module, attribute) if attribute else module, namespace)
    source.where = name
    return source


def from_file(path: str | os.PathLike[str]) -> Source:
    """A TOML file. Settings stand at the top, or in a table of their group: ``[worker]`` and below ``concurrency = 4``."""
    with open(path, "rb") as file:
        try:
            given = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{os.fspath(path)} is no TOML file: {error}") from None
    return from_mapping(dict(_without_groups(given)), os.fspath(path))


def from_environment(environment: Mapping[str, str]) -> Source:
    """The variables ACTORQ_TASK_TIME_LIMIT and so on. Lists have commas, or are JSON, as tables are; empty: not said.

    Variables that are no settings are left to others, unless they look like one with a slip.
    """
    items = []
    for variable, text in environment.items():
        name = variable[len(ENVIRONMENT_PREFIX) :].lower()
        if not variable.startswith(ENVIRONMENT_PREFIX) or not text or _is_from_kubernetes(variable):
            continue
        if name in NAMES or find(name) is not None or looks_like_one(name):
            items.append((name, _parsed(variable, text)))
    return _read(items, "environment")


def _read(items: Iterable[tuple[str, Any]], where: str) -> Source:
    source, said = Source(where), dict[str, str]()
    for given_name, value in items:
        name = _named(given_name, where)
        if name in said and source.values.get(name, value) != converted_or_raw(name, value, where):
            raise ImproperlyConfigured(f"{where} says {said[name]} and {given_name}, which are the same: leave one out")
        said[name] = given_name
        if name in NAMES:
            source.values[name] = converted(name, value, where)
        else:
            source.ignored[name] = value
    return source


def converted_or_raw(name: str, value: Any, where: str) -> Any:
    """`value` as it is kept, be it one that is used or one that is ignored."""
    return converted(name, value, where) if name in NAMES else value


def _named(name: str, where: str) -> str:
    try:
        return canonical(name)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"{error} ({where})") from None


def _within(items: Iterable[tuple[str, Any]], namespace: str) -> Iterator[tuple[str, Any]]:
    prefix = namespace if namespace.endswith("_") else f"{namespace}_"
    for name, value in items:
        if name.startswith(prefix):
            yield name[len(prefix) :], value


def _is_meant(name: str, value: Any) -> bool:
    """Whether an attribute of a module is a setting, or meant as one."""
    if find(name) is not None:
        return not isinstance(value, ModuleType)
    is_code = isinstance(value, (ModuleType, type, Callable))  # type: ignore[arg-type]  # An abstract class.
    return looks_like_one(name) and not is_code


def _without_groups(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, dict) and find(name) is None:
            yield from ((f"{name}_{rest}", each) for rest, each in value.items())
        else:
            yield name, value


def _is_from_kubernetes(variable: str) -> bool:
    return variable.endswith(FROM_KUBERNETES) or any(f"{part}_" in variable for part in FROM_KUBERNETES)


def _parsed(variable: str, text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{variable} begins as JSON, and is none: {error}") from None


def explain(name: str) -> str:
    """What to say of a setting that is ignored."""
    return f"the setting {name} has nothing to set here: {why_ignored(name)}"
