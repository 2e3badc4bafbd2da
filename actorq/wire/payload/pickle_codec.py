"""What the standard library pickles. Whoever may send such a payload may run any code on the node that opens it."""

from __future__ import annotations


def dumps(value: object) -> bytes:
    """`value` as a pickle; functions and classes are in it by name. Raises any Exception."""
    import pickle  # Slow to import, and most programs never need it.

    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
