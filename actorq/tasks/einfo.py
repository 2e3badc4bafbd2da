"""How a call has failed, as the hooks of its task are told."""

from __future__ import annotations

from types import TracebackType

from actorq.wire.payload import format_remote_traceback

OWN_MODULES = ("actorq.worker", "actorq.tasks")
"""Their frames are left out at the top of tracebacks: these begin in the user's code."""


class ExceptionInfo:
    """An exception, its class, and its traceback as text."""

    def __init__(self, error: BaseException) -> None:
        self.type: type[BaseException] = type(error)
        self.exception = error
        self.tb: TracebackType | None = error.__traceback__
        self.traceback: str = traceback_text(error)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


def traceback_text(error: BaseException) -> str:
    """The traceback, beginning in the user's code."""
    return format_remote_traceback(error, OWN_MODULES)
