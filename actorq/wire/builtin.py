"""The tasks that every worker offers, whatever application it runs."""

from __future__ import annotations

COLLECT = "actorq.collect"
"""Returns the list of values that it takes: so the values of a group are one value among others."""
KEEP = "actorq.keep"
"""Returns its argument, which the mesh then keeps under the call's id."""
MAP = "actorq.map"
"""Runs a task for each item of a list."""
STARMAP = "actorq.starmap"
"""As MAP, for lists of arguments."""

BUILTIN_NAMES = (COLLECT, KEEP, MAP, STARMAP)
