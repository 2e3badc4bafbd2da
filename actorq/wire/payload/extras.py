"""Libraries that only some formats need, and that are not installed with actorq itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from actorq.errors import ImproperlyConfigured


def library(module: str, extra: str) -> Any:
    """The module of that name. Raises ImproperlyConfigured, which says how to install it, if it is not here."""
    try:
        return import_module(module)
    except ImportError:
        raise ImproperlyConfigured(
            f"{extra} needs a library that is not installed here: pip install 'actorq[{extra}]', on every node and in "
            f"every program that uses it"
        ) from None
