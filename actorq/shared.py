"""For modules that know no application: tasks of all applications, and the one that is current."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from actorq.app import ActorQ
from actorq.tasks.apps import APPS, CurrentTask, Proxy, SharedTask
from actorq.tasks.task import Task

P = ParamSpec("P")
R = TypeVar("R")


@overload
def shared_task(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...


@overload
def shared_task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def shared_task(
    *, bind: Literal[True], name: str | None = ..., **options: Any
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...


@overload
def shared_task(
    *, bind: Literal[False] = ..., name: str | None = ..., **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def shared_task(*functions: Any, **options: Any) -> Any:
    """As ``@app.task``, for modules that know no application: the task is one of every application there is or will be.

    What stands in the module is the task of the `current_app`.
    """
    if not functions:
        return lambda fn: shared_task_of(fn, options)
    if len(functions) > 1 or not callable(functions[0]):
        raise TypeError(f"@shared_task takes a function, or options by keyword, and not {functions!r}")
    return shared_task_of(functions[0], options)


def shared_task_of(fn: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    if isinstance(fn, Task):
        raise TypeError(f"{fn!r} is a task already: apply @shared_task once, to the function")
    APPS.share(lambda app: app.task(**options)(fn))
    name = options.get("name")
    return SharedTask(
        lambda: _current(), lambda app: app.tasks[name or app.gen_task_name(fn.__qualname__, fn.__module__)]
    )


def _current() -> ActorQ:
    app: ActorQ | None = APPS.current()
    return ActorQ("default") if app is None else app


def _current_task() -> Any:
    return current_task


current_app: ActorQ = Proxy(_current)  # type: ignore[assignment]
"""The application of this context; of the program, if there is one only."""
current_task: Task[Any, Any] | None = CurrentTask(APPS.all, _current_task)  # type: ignore[assignment]
"""The task that runs here. False, and without attributes, where none does."""
