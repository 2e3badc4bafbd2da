"""numpy's arrays and scalars as plain parts: type, shape, order and raw bytes; never pickled.

numpy is not imported for a value that is not numpy's, and here only when the first array arrives.
"""

from __future__ import annotations

import math
from typing import Any

from actorq.wire.payload.refusal import Refused

MAX_DIMENSIONS = 64
"""numpy has no more; checked here too, so that nothing is multiplied out that only claims to be a shape."""

Parts = tuple[Any, "list[int] | None", str, "bytes | memoryview"]


def is_numpy(bases: tuple[type, ...]) -> bool:
    """True for the bases of an array or a scalar of numpy. By name, so that numpy need not be imported to find out."""
    return any(base.__module__ == "numpy" and base.__name__ in ("ndarray", "generic") for base in bases)


def parts(value: Any) -> Parts:
    """``(dtype, shape, order, data)`` of an array; a scalar's shape is None. Raises Refused if it is no plain data."""
    import numpy

    dtype = dtype_to_plain(value)
    size = value.dtype.itemsize
    if not size and type(value) not in (numpy.str_, numpy.bytes_):
        raise Refused(value, "Its elements have no size: pass its shape")
    if isinstance(value, numpy.generic):
        return dtype, None, "C", value.tobytes()[:size]
    if type(value) is not numpy.ndarray:
        raise Refused(value, "Pass numpy.asarray() of it")
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    # As bytes, because a memoryview cannot show every dtype (datetime64). No copy where the array is contiguous.
    flat = numpy.ascontiguousarray(value.T if fortran else value).reshape(-1).view(numpy.uint8)
    return dtype, list(value.shape), "F" if fortran else "C", flat.data


def dtype_to_plain(value: Any) -> Any:
    """The dtype of `value` as a string, or as a list for records. Raises Refused if it would not come back the same."""
    dtype = value.dtype
    if dtype.hasobject:
        raise Refused(value, "Arrays of Python objects are not plain data: pass value.tolist()")
    plain = dtype.str if dtype.names is None else dtype.descr
    if dtype_from_plain(plain) != dtype:
        raise Refused(value, f"Convert it with astype(): dtype {dtype} has no portable name")
    return plain


def dtype_from_plain(plain: Any) -> Any:
    import numpy

    if type(plain) not in (str, list):
        raise ValueError("not a dtype")
    dtype = numpy.lib.format.descr_to_dtype(plain)
    if dtype.hasobject:
        raise ValueError("a dtype that holds Python objects")
    return dtype


def array(plain_dtype: Any, shape: list[int], order: str, data: bytes) -> Any:
    """The array of these parts, writable. Raises ValueError or TypeError if they do not fit together."""
    import numpy

    dtype = dtype_from_plain(plain_dtype)
    if not dtype.itemsize:  # Otherwise a few bytes could ask for any number of elements.
        raise ValueError("elements without a size")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError("not the shape of an array")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
    # A bytearray, because bytes would make an array that cannot be written to.
    return numpy.ndarray(tuple(shape), dtype, bytearray(data), order="F" if order == "F" else "C")


def scalar(plain_dtype: Any, data: bytes) -> Any:
    """The scalar of these parts. Raises ValueError or TypeError if they do not fit together."""
    import numpy

    dtype = dtype_from_plain(plain_dtype)
    if dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes for a scalar of {dtype.itemsize}")
    return numpy.ndarray((), dtype, data).copy()[()] if data else dtype.type()  # No array holds the empty string.
