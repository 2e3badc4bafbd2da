"""Tasks of modules by reference: for workers that can import the same modules, but do not know which."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from actorq.tasks.task import Task


class TaskReference:
    """Travels where a function by value would. What arrives is the task itself: its module is imported there."""

    def __init__(self, module: str, attribute: str, name: str) -> None:
        self._parts = (module, attribute, name)

    def __call__(self) -> Any:
        """The task."""
        return find_task(*self._parts)

    def __reduce__(self) -> Any:
        return (find_task, self._parts)


def reference_to(task: Task[Any, Any], app: object) -> TaskReference | None:
    """A reference to a task of `app`; None if importing its module would not bring it."""
    module = sys.modules.get(task.fn.__module__)
    if module is None or getattr(module, "__spec__", None) is None or "<locals>" in task.fn.__qualname__:
        return None
    for attribute, value in list(vars(module).items()):
        if value is task or value is app:
            return TaskReference(module.__name__, attribute, task.name)
    return None


def where_imported(app: Any) -> tuple[str, list[str]]:
    """Where a worker finds `app`, as ``module:attribute``, empty if it cannot import it; and modules with tasks of it."""
    modules = [task.fn.__module__ for task in app.tasks.values() if reference_to(task, app) is not None]
    for name in dict.fromkeys([app.main, *modules]):
        module = sys.modules.get(name)
        if name == "__main__" or getattr(module, "__spec__", None) is None:
            continue
        for attribute, value in list(vars(module).items()):
            if value is app:
                return f"{name}:{attribute}", list(dict.fromkeys(modules))
    return "", []


def find_task(module: str, attribute: str, name: str) -> Task[Any, Any]:
    """Import `module` and take the task from it: its `attribute`, or what the application there knows by `name`."""
    found = getattr(import_module(module), attribute)
    task: Task[Any, Any] = found if isinstance(found, Task) else found.tasks[name]
    return task
