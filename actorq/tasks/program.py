"""The tasks of a program that no worker can import: they travel together, as by one function by value.

What arrives is an application that has all of them, as if its module had been imported. So a task finds there what it
finds in a module: others by their names, itself as the `current_task`, and what it can go on as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from actorq.tasks.task import Task
from actorq.wire.payload import dumps_without, loads_with


class Owner(Protocol):
    """An application, as it travels: without its tasks."""

    def with_program(self, parts: bytes) -> Any:
        """The same application with the tasks in `parts`; one for all that are alike."""


class Program:
    """Travels where a function by value would, for all tasks in it."""

    def __init__(self, owner: Owner, parts: bytes, find: Callable[[str, str, bytes], Task[Any, Any]]) -> None:
        self._owner, self._parts = owner, parts
        self.find_task = find
        """The task of that name, for a program that has come here under this digest, as this blob."""

    def __call__(self) -> Any:
        raise TypeError("a program is not called: its tasks are")

    def __reduce__(self) -> Any:
        return (open_program, (self._owner, self._parts))


def pack(owner: Owner, tasks: Iterable[Task[Any, Any]]) -> tuple[bytes, frozenset[str]]:
    """The tasks as bytes, without their application, and their names. Those that cannot travel, for what they refer to,
    are left out.
    """
    tasks = list(tasks)
    try:
        parts = dumps_without(owner, tasks)
    except Exception:
        tasks = [task for task in tasks if _travels(owner, task)]
        parts = dumps_without(owner, tasks)
    return parts, frozenset(task.name for task in tasks)


def _travels(owner: Owner, task: Task[Any, Any]) -> bool:
    try:
        dumps_without(owner, [task])
    except Exception:
        return False
    return True


def unpack(owner: Any, parts: bytes) -> dict[str, Task[Any, Any]]:
    """The tasks of `pack`, by name, as those of `owner`. RUNS CODE."""
    tasks: list[Task[Any, Any]] = loads_with(owner, parts)
    for task in tasks:
        task.read_function()
    return {task.name: task for task in tasks}


def open_program(owner: Owner, parts: bytes) -> Program:
    """What a program is when it has arrived."""
    app = owner.with_program(parts)
    return Program(owner, parts, app.task_of_program)
