"""Raising an exception in another native thread, between two of its bytecodes."""

from __future__ import annotations

import ctypes
from typing import Any

_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
"""Keeps the interpreter's lock, as all of `ctypes.pythonapi`."""


def raise_in(thread: int, error: BaseException) -> None:
    """Have `error` raised in the thread with this ident, as soon as it executes bytecode; instead of one that was
    ordered before and was not raised yet.
    """
    _set_async_exc(ctypes.c_ulong(thread), ctypes.py_object(_class_of(error)))


def raise_nothing_in(thread: int) -> None:
    """Take back what was not raised yet."""
    _set_async_exc(ctypes.c_ulong(thread), None)


def _class_of(error: BaseException) -> type[BaseException]:
    """A class whose only instance is `error`: what is raised is made by calling a class."""

    def make(_: Any) -> BaseException:
        return error

    return type(type(error).__name__, (BaseException,), {"__new__": make})
