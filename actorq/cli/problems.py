"""How a command ends when it could not do what was asked: an exit status, and a line or two on standard error.

The statuses are those of BSD's sysexits.h, which service managers and shell scripts know.
"""

from __future__ import annotations

import click

from actorq.errors import (
    ActorqError,
    AddressInUse,
    CommandError,
    ImproperlyConfigured,
    NotPermitted,
    NotRegistered,
    OperationalError,
)

FAILED = 1
"""The task failed, or was revoked."""
UNAVAILABLE = 69
"""No coordinator could be reached, or no node answered."""
NOT_YET = 75
"""The call has not settled in the time that was given."""
MISCONFIGURED = 78
"""A setting cannot be used, a module cannot be imported, an address is in use."""
NOT_PERMITTED = 77
"""The key has not the right to do that."""
INTERRUPTED = 130
"""Ctrl-C."""


class Problem(click.ClickException):
    """What went wrong, and the exit status that says of what kind it is."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # A class variable only for those who always end alike.


def problem_of(error: ActorqError) -> Problem:
    """An error of actorq's as the end of a command."""
    if isinstance(error, CommandError):
        return Problem(str(error), error.exit_code)
    if isinstance(error, (AddressInUse, ImproperlyConfigured, NotRegistered)):
        return Problem(str(error), MISCONFIGURED)
    if isinstance(error, NotPermitted):
        return Problem(str(error), NOT_PERMITTED)
    if isinstance(error, (OperationalError, TimeoutError)):
        return Problem(str(error), UNAVAILABLE)
    return Problem(str(error) or type(error).__name__, FAILED)
