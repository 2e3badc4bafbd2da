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


def dumps_without(owner: object, value: object) -> bytes:
    """As `dumps`, but `owner`, wherever `value` refers to it, is not in it."""
    from io import BytesIO

    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, obj: object) -> bool | None:
            return True if obj is owner else None

    file = BytesIO()
    Pickler(file).dump(value)
    return file.getvalue()


def loads_with(owner: object, data: bytes) -> Any:
    """What `dumps_without` was given, with `owner` in the place of the other one. RUNS CODE. Raises any Exception."""
    import pickle
    from io import BytesIO

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, _: Any) -> object:
            return owner

    return Unpickler(BytesIO(data)).load()
