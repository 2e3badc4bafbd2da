"""How an application comes to its tasks: functions are registered, and modules with tasks are found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from actorq.errors import DuplicateTaskNameWarning, NotRegistered
from actorq.settings.annotations import annotations_of
from actorq.settings.conf import Conf
from actorq.tasks.attributes import DEFINITION_OPTIONS
from actorq.tasks.discovery import discover, django_packages
from actorq.tasks.task import Task, make_task
from actorq.warning import warn_program
from actorq.wire.payload import DEFAULT_SERIALIZER, Serializers

P = ParamSpec("P")
R = TypeVar("R")


class Registry(dict[str, Task[Any, Any]]):
    """Tasks by name. An unknown name raises NotRegistered, with the nearest known one."""

    def __missing__(self, name: str) -> Task[Any, Any]:
        raise NotRegistered(name, self)


class Registering:
    """The part of an application that has its tasks."""

    main: str
    conf: Conf
    serializers: Serializers
    tasks: Registry
    task_cls: type[Task[Any, Any]]
    _discoveries: list[tuple[Iterable[str] | Callable[[], Iterable[str]], str]]

    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...

    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R]: ...

    @overload
    def task(
        self, *, bind: Literal[True], name: str | None = ..., **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...

    @overload
    def task(
        self, *, bind: Literal[False] = ..., name: str | None = ..., **options: Any
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...

    def task(self, *functions: Any, **options: Any) -> Any:
        """Register a function, or a coroutine function, as a task: ``@app.task`` or ``@app.task(queue="fast", …)``.

        name: default ``module.function``, with `main` for ``__main__``. bind: pass the task itself as first argument.
        base: a subclass of `Task`. filter: called with the task; what it returns stands in the module. Of its calls:
        queue, priority (0 to 9, higher first, default 4), time_limit and soft_time_limit (seconds), max_deliveries
        (default 3), acks_late (default True; False: at most once), ignore_result, serializer, compression (gzip,
        zlib, bzip2, lzma, zstd, or one's own; of arguments and result), sensitive (True: arguments and result are shown
        in no log, and to nobody who asks what runs), rate_limit, max_concurrency, scope, key, fair_key, unique,
        unique_until, unique_conflict (see the attributes of `Task` of these names). Of the task: the
        attributes of `Task`, such as max_retries and autoretry_for, and those that `base` adds.
        """
        if not functions:
            return lambda fn: self._register(fn, dict(options))
        if len(functions) > 1 or not callable(functions[0]):
            raise TypeError(
                f"@app.task takes a function, or options by keyword, and not {', '.join(map(repr, functions))}"
            )
        return self._register(functions[0], dict(options))

    def _register(self, fn: Callable[..., Any], options: dict[str, Any]) -> Any:
        base, bind = options.pop("base", None) or self.task_cls, bool(options.pop("bind", False))
        name = options.pop("name", None) or self.gen_task_name(fn.__qualname__, fn.__module__)
        amend = options.pop("filter", None)
        for accepted in DEFINITION_OPTIONS:
            options.pop(accepted, None)
        known = self.tasks.get(name)
        if known is None:
            known = self._add(make_task(base, self, name, fn, bind, options))  # type: ignore[arg-type]
        elif _place_of(known.fn) != _place_of(fn):
            warn_program(
                f"a task {name!r} is there already, of {known.fn!r}, and stays: give {fn!r} another name",
                DuplicateTaskNameWarning,
            )
        return known if amend is None else amend(known)

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register an instance of a subclass of `Task`, or the class, under its `name` (default: that of the class)."""
        cls = task if isinstance(task, type) else type(task)
        if not issubclass(cls, Task):
            raise TypeError(f"register_task() takes an instance of a subclass of Task, and not {task!r}")
        name = options.pop("name", None) or cls.name or self.gen_task_name(cls.__qualname__, cls.__module__)
        if name in self.tasks:
            return self.tasks[name]
        instance = cls() if isinstance(task, type) else task
        instance.register_in(self, name, None, False, options)  # type: ignore[arg-type]
        return self._add(instance)

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        self.serializers.get(task.options.get("serializer", DEFAULT_SERIALIZER), task.options.get("compression") or "")
        if self.conf.is_loaded:
            self._annotate(task)
        return self.tasks.setdefault(task.name, task)

    def gen_task_name(self, name: str, module: str) -> str:
        """The name of a task that is given none: of its function's (or class's) name, and the module of that."""
        return f"{self.main if module == '__main__' else module}.{name}"

    def _annotate(self, task: Task[Any, Any]) -> None:
        """Have `task_annotations` change what was said of a task."""
        task.amend(annotations_of(task, self.conf.settings.task_annotations))

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str = "tasks",
        force: bool = False,
    ) -> None:
        """Have workers import the module `related_name` of each package, where there is one: when they start, or with
        `force` now. What such a module raises comes out. Without `packages`: Django's INSTALLED_APPS.
        """
        self._discoveries.append((django_packages if packages is None else packages, related_name))
        if force:
            self.import_tasks()

    def import_tasks(self) -> None:
        """Import what `autodiscover_tasks` was told of. A worker does so when it starts."""
        pending, self._discoveries = self._discoveries, []
        for packages, related_name in pending:
            discover(packages() if callable(packages) else packages, related_name)


def _place_of(fn: Callable[..., Any]) -> object:
    """Where a function is written: the same for one whose module was imported twice."""
    code = getattr(fn, "__code__", None)
    return fn if code is None else (code.co_filename, code.co_firstlineno)
