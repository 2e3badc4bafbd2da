"""Why an actor ended."""

from __future__ import annotations

from enum import Enum

from gevent import GreenletExit


class Ended(Enum):
    """An end that is no failure of the actor's own."""

    NORMAL = "stopped"
    """It stopped itself, or somebody who holds its reference stopped it."""
    SHUTDOWN = "was shut down"
    """Its supervisor or the system stopped it."""
    KILLED = "was killed"
    """Its greenlet was ended in the middle of what it did."""


Reason = Ended | BaseException
"""How it ended, or the exception that it failed with."""

FATAL = (GreenletExit, KeyboardInterrupt, SystemExit)
"""Exceptions that end an actor whatever its `on_failure` thinks of them."""


def reason_of(error: BaseException) -> Reason:
    """The reason of an end that `error` has brought about."""
    return Ended.KILLED if isinstance(error, GreenletExit) else error


def describe(reason: Reason) -> str:
    """The reason in a few words, for errors and logs."""
    return reason.value if isinstance(reason, Ended) else f"failed with {reason!r}"


def is_interrupt(reason: Reason) -> bool:
    """Whether the program is asked to end: such an actor is not started again."""
    return isinstance(reason, (KeyboardInterrupt, SystemExit))
