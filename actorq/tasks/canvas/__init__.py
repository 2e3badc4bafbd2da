"""Workflows: signatures, chains, groups, chords, and how they become one plan.

Whoever imports one of the modules has all kinds of signatures: `|` makes them, and what arrives as a dict may be any.
"""

from __future__ import annotations

from actorq.tasks.canvas import chains, chords, groups, maps

__all__ = ["chains", "chords", "groups", "maps"]
