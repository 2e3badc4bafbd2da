"""Which method of an actor handles which type of message, checked when the class is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import GenericAlias
from typing import Any, TypeVar, overload

A = TypeVar("A")
M1 = TypeVar("M1")
M2 = TypeVar("M2")
M3 = TypeVar("M3")
R = TypeVar("R")

MARK = "__actorq_handles__"


@overload
def handles(first: type[M1], /) -> Callable[[Callable[[A, M1], R]], Callable[[A, M1], R]]: ...
@overload
def handles(
    first: type[M1], second: type[M2], /
) -> Callable[[Callable[[A, M1 | M2], R]], Callable[[A, M1 | M2], R]]: ...
@overload
def handles(
    first: type[M1], second: type[M2], third: type[M3], /
) -> Callable[[Callable[[A, M1 | M2 | M3], R]], Callable[[A, M1 | M2 | M3], R]]: ...
@overload
def handles(*types: type) -> Callable[[Callable[[A, Any], R]], Callable[[A, Any], R]]: ...


def handles(*types: Any) -> Any:
    """Mark a method as the handler of messages of these classes, and of their subclasses that have no nearer one.

        class Counter(Actor):
            @handles(Add)
            def add(self, message: Add) -> int: ...

    What it returns is the answer, if the message was an ask. Raises TypeError for what is not a class, and for a method
    that could not be called with one message; the class statement raises it for a type with two handlers.
    """
    if not types:
        raise TypeError("say which messages it handles: @handles(MessageType)")
    for kind in types:
        if not isinstance(kind, type) or isinstance(kind, GenericAlias):  # Python 3.10 takes list[int] for a class.
            raise TypeError(f"@handles takes the classes of messages, and {kind!r} is not a class")

    def mark(method: Any) -> Any:
        _check_method(method)
        setattr(method, MARK, types)
        return method

    return mark


def handler_names(cls: type) -> dict[type, str]:
    """Message type to method name, for `cls` with its bases. Raises TypeError if a type has two handlers."""
    names: dict[type, str] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            for kind in getattr(member, MARK, ()):
                if names.setdefault(kind, name) != name:
                    raise TypeError(
                        f"{cls.__qualname__} has two handlers for {kind.__qualname__}: {names[kind]} and {name}. "
                        f"Keep one; a subclass overrides a handler by its method's name"
                    )
    return names


def _check_method(method: Any) -> None:
    name = getattr(method, "__qualname__", repr(method))
    if not inspect.isfunction(method):
        raise TypeError(f"@handles goes directly above a method; {name} is a {type(method).__name__}")
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
        raise TypeError(f"{name} handles messages in a greenlet: make it a plain method, without async or yield")
    try:
        inspect.signature(method).bind("self", "message")
    except TypeError:
        raise TypeError(
            f"{name} must take the message as its only argument: def {method.__name__}(self, message)"
        ) from None
