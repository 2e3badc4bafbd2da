"""Warnings that point at the line of the program that they are about, however deep in here they are found."""

from __future__ import annotations

import sys
import warnings

_PACKAGE = __name__.partition(".")[0]


def warn_program(text: str, category: type[Warning] = UserWarning) -> None:
    """As ``warnings.warn``, at the innermost line that is not this package's (``skip_file_prefixes`` of Python 3.12)."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "")
    warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno, module, registry)
