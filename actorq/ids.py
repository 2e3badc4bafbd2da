"""Identifiers that nobody can guess."""

from __future__ import annotations

import os


def random_id() -> str:
    """16 hexadecimal digits from the operating system's random source: the epoch of a node or session."""
    return os.urandom(8).hex()
