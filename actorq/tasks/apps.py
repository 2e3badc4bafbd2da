"""Which application is the current one, and which tasks all of them have.

A module that defines tasks for whatever application it is used in knows none when it is imported. So this has to be kept
for the whole process: the one place where actorq does so.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

Share = Callable[[Any], object]


class Apps:
    """The applications of this process. They are kept alive by their users, not by this."""

    def __init__(self) -> None:
        self._made: list[weakref.ref[Any]] = []
        self._shared: list[Share] = []
        self._current: ContextVar[weakref.ref[Any] | None] = ContextVar("actorq_current_app", default=None)
        self._default: weakref.ref[Any] | None = None

    def add(self, app: Any, is_current: bool) -> None:
        """A new application: it gets the tasks that all have."""
        self._made = [each for each in self._made if each() is not None]
        self._made.append(weakref.ref(app))
        if is_current:
            self.set_current(app)
            self._default = self._default if self._default is not None and self._default() else weakref.ref(app)
        for share in self._shared:
            share(app)

    def all(self) -> list[Any]:
        """Those that are in use."""
        return [app for app in (each() for each in self._made) if app is not None]

    def share(self, share: Share) -> None:
        """Have `share` called with each application that is there, and that will be."""
        self._shared.append(share)
        for app in self.all():
            share(app)

    def set_current(self, app: Any) -> None:
        """The current one in this context."""
        self._current.set(weakref.ref(app))

    def set_default(self, app: Any) -> None:
        """The current one in a context that has no other."""
        self._default = weakref.ref(app)
        self._current.set(None)

    def current(self) -> Any | None:
        """The current one; None if there is none at all."""
        for reference in (self._current.get(), self._default):
            app = None if reference is None else reference()
            if app is not None:
                return app
        return next(iter(self.all()), None)


APPS = Apps()


class Proxy:
    """Stands for what `find` returns, at each use."""

    def __init__(self, find: Callable[[], Any]) -> None:
        object.__setattr__(self, "_find", find)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._find(), name, value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._find())

    def __repr__(self) -> str:
        return repr(self._find())

    def __bool__(self) -> bool:
        return self._find() is not None

    def __eq__(self, other: object) -> bool:
        return bool(self._find() == other)

    def __hash__(self) -> int:
        return hash(self._find())

    def __reduce_ex__(self, protocol: Any) -> Any:
        """What it stands for travels, and not the proxy."""
        return (_same, (self._find(),))


def _same(value: Any) -> Any:
    return value


class SharedTask(Proxy):
    """A task of the current application, whichever that is."""

    def __init__(self, current: Callable[[], Any], find: Callable[[Any], Any]) -> None:
        super().__init__(lambda: find(current()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._find()(*args, **kwargs)


class CurrentTask(Proxy):
    """The task that runs here, as its application knows it; `find_there` has it be that of the process where it arrives."""

    def __init__(self, apps: Callable[[], Iterable[Any]], find_there: Callable[[], Any]) -> None:
        super().__init__(lambda: next((app.current_task for app in apps() if app.current_task is not None), None))
        object.__setattr__(self, "_find_there", find_there)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (self._find_there, ())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._find()(*args, **kwargs)
