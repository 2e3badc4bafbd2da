"""The tasks that every worker offers: see `actorq.wire.builtin`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actorq.errors import NotRegistered
from actorq.wire.builtin import COLLECT, KEEP, MAP, STARMAP


@dataclass(frozen=True, slots=True)
class BuiltinTask:
    """A task without an application."""

    fn: Callable[..., Any]
    bind: bool = False


def builtin_tasks(application: Any) -> dict[str, BuiltinTask]:
    """By name. MAP and STARMAP run the application's tasks."""
    return {
        COLLECT: BuiltinTask(_same),
        KEEP: BuiltinTask(_same),
        MAP: BuiltinTask(functools.partial(_map, application)),
        STARMAP: BuiltinTask(functools.partial(_starmap, application)),
    }


class TaskMapping:
    """MAP or STARMAP of one task, to travel by value to workers that do not know that task. Called as these are."""

    def __init__(self, kind: str, task: Any) -> None:
        self._kind, self._task = kind, task

    def __call__(self, task: Mapping[str, Any], it: list[Any]) -> list[Any]:
        run = _run_with(self._task, task)
        return [run(item) for item in it] if self._kind == MAP else [run(*items) for items in it]


def _same(value: Any) -> Any:
    return value


def _map(application: Any, task: Mapping[str, Any], it: list[Any]) -> list[Any]:
    run = _runner(application.tasks, task)
    return [run(item) for item in it]


def _starmap(application: Any, task: Mapping[str, Any], it: list[Any]) -> list[Any]:
    run = _runner(application.tasks, task)
    return [run(*items) for items in it]


def _runner(tasks: Mapping[str, Any], signature: Mapping[str, Any]) -> Callable[..., Any]:
    """The function of a signature: what it is called with comes before the signature's own arguments."""
    name = signature["task"]
    if name not in tasks:
        error = NotRegistered(name, tasks)
        error.has_begun = False  # It is this worker that lacks it, whatever function has found that out.
        raise error
    return _run_with(tasks[name], signature)


def _run_with(task: Any, signature: Mapping[str, Any]) -> Callable[..., Any]:
    args, kwargs = signature.get("args") or (), signature.get("kwargs") or {}
    fn = task.run
    return lambda *items: fn(*items, *args, **kwargs)
