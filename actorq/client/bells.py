"""How a user's thread or greenlet waits for something that the session's thread brings about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from actorq import context
from actorq.native import Bell, NativeBell, PatientBell


@contextmanager
def stepping_aside() -> Iterator[None]:
    """Around each wait for the mesh: a task that waits leaves its slot to other calls, and has one again after it."""
    running = context.current.get()
    if running is None:
        yield
        return
    running.pause()
    try:
        yield
    finally:
        running.resume()


def is_green() -> bool:
    """Whether blocking this native thread would keep other greenlets from running."""
    hub_local = sys.modules.get("gevent._hub_local")
    return _is_patched() or (hub_local is not None and hub_local.get_hub_if_exists() is not None)


def is_in_greenlet() -> bool:
    """Whether the caller's hub is sure to run on: in a patched program, and in a greenlet beside the main one.

    A hub that a plain program has once made, and does not wait on, runs nothing.
    """
    gevent = sys.modules.get("gevent")
    return _is_patched() or (gevent is not None and gevent.getcurrent().parent is not None)


def others_run_meanwhile() -> bool:
    """Whether other tasks or greenlets run while the caller waits for an answer, and do not while it goes on."""
    return context.current.get() is not None or is_in_greenlet()


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def new_bell() -> Bell:
    """The kind of bell that suits the caller."""
    if not is_green():
        return NativeBell() if context.current.get() is None else PatientBell()
    from gevent import get_hub

    from actorq.actors.bells import GreenBell

    return GreenBell(get_hub())
