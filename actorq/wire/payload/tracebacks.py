"""The traceback of an exception that was raised on another node, as text that stays with the exception."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

MAX_TRACEBACK_CHARS = 64 * 1024
HEADING = "Traceback on the worker:\n\n"

DICT_OF_EXCEPTION = BaseException.__dict__["__dict__"].__get__
"""The attributes of an exception, whatever its class defines as `__dict__`."""


class RemoteTraceback(Exception):
    """Carries the text where exceptions have no notes (Python 3.10): its cause is printed above an exception."""

    def __str__(self) -> str:
        return str(self.args[0])


def format_remote_traceback(exc: BaseException, skip: Sequence[str] = ()) -> str:
    """The traceback of `exc` as Python prints it, with causes, without the frames of the runner at its top.

    `skip` names modules: frames are left out from the top as long as they are of one of these or of a module below it
    (``("actorq.worker",)``); all are kept if nothing would be left. Never fails: if `exc` cannot be formatted, the text
    says so. At most `MAX_TRACEBACK_CHARS`, head and tail are kept.
    """
    import traceback  # Slow to import, and needed only after the first failure.

    top = first_frame(exc.__traceback__, tuple(skip))
    try:
        lines = traceback.TracebackException(type(exc), exc, top, compact=True).format()
        return bounded("".join(lines), MAX_TRACEBACK_CHARS)
    except Exception as error:
        return f"{type(exc).__qualname__} (its traceback cannot be formatted: {type(error).__name__})\n"


def first_frame(top: TracebackType | None, skip: tuple[str, ...]) -> TracebackType | None:
    """Where the traceback begins that the user is to see."""
    entry = top
    while entry is not None and is_of(str(entry.tb_frame.f_globals.get("__name__", "")), skip):
        entry = entry.tb_next
    return entry or top


def is_of(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def remote_traceback(exc: BaseException) -> str | None:
    """The traceback on the node where `exc` was raised, or None if it was raised here."""
    text = DICT_OF_EXCEPTION(exc).get("__actorq_traceback__")
    return text if isinstance(text, str) else None


def attach_traceback(exc: BaseException, text: str) -> None:
    """Keep `text` as the remote traceback of `exc`, and have it printed with it."""
    if not text:
        return
    attributes = DICT_OF_EXCEPTION(exc)
    attributes["__actorq_traceback__"] = text
    if sys.version_info >= (3, 11):
        # Not `add_note`, which appends to whatever a class has under this name.
        attributes["__notes__"] = [*attributes.get("__notes__", ()), HEADING + text]
    else:
        exc.__cause__ = RemoteTraceback(HEADING + text)


def bounded(text: str, limit_chars: int) -> str:
    """`text`, or its head and tail with a line between them that says how much is left out."""
    if len(text) <= limit_chars:
        return text
    half = limit_chars // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
