"""The application that ``-A`` names, for commands that use it here. (Workers import it in their own processes.)"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from actorq.cli.problems import MISCONFIGURED, Problem
from actorq.errors import ActorqError
from actorq.worker.application import find_application


def import_application(name: str) -> Any:
    """Import ``module`` or ``module:attribute``, in the current directory too. Raises ImproperlyConfigured, Problem."""
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return find_application(name)
    except ActorqError:
        raise
    except Exception as error:
        raise Problem(f"-A {name} cannot be imported: {_told(error)}", MISCONFIGURED) from error


def _told(error: Exception) -> str:
    """What was raised, and the last line of the user's code that led to it."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
