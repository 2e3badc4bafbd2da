"""Any Python value, by pickle. Whoever may send such a payload may run any code on the node that opens it."""

from __future__ import annotations

from typing import Any


def dumps(value: object) -> bytes:
    """`value` as a pickle; what `__main__` defines, lambdas and closures are in it by value. Raises any Exception."""
    import cloudpickle  # Both are slow to import, and most programs never need them.

    data: bytes = cloudpickle.dumps(value)
    return data


def loads(data: bytes | memoryview) -> Any:
    """The value that `dumps` was given. RUNS CODE that the data names. Raises any Exception."""
    import pickle

    return pickle.loads(data)
