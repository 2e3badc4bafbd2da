"""Functions by value: a function as a blob, known by its hash, for programs whose code the workers have not installed.

A blob is ``actorq-code <Python version>\\n`` and a cloudpickle. Bytecode differs from one minor version of Python to
the next, and loading a foreign one can crash the interpreter, so the version is checked before anything is unpickled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from actorq.errors import DecodeError
from actorq.wire.payload import cloudpickle_codec
from actorq.wire.payload.refusal import error_text, refusal

MAGIC = b"actorq-code "
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def code_blob(fn: Callable[..., Any]) -> tuple[str, bytes]:
    """``(hash, blob)`` of a function as it is now, with what its closure holds and what it uses of `__main__`.

    Takes some 10 µs and more: callers keep the pair. Raises EncodeError, which names what the function refers to that
    cannot travel.
    """
    try:
        pickled = cloudpickle_codec.dumps(fn)
    except Exception as error:
        name = getattr(fn, "__qualname__", "function")
        raise refusal("cloudpickle", [(name, fn)], cloudpickle_codec.dumps, error) from error
    blob = MAGIC + PYTHON.encode() + b"\n" + pickled
    return code_hash(blob), blob


def code_hash(blob: bytes | memoryview) -> str:
    """The address of a blob: its SHA-256 in hexadecimal. A receiver compares it before it loads the blob."""
    from hashlib import sha256  # Loads OpenSSL, which most programs never need.

    return sha256(blob).hexdigest()


def load_code(blob: bytes | memoryview) -> Callable[..., Any]:
    """The function of `code_blob`. RUNS CODE that the blob names: only for blobs of those who may send code.

    Raises DecodeError if it is no such blob, or was made by another minor version of Python.
    """
    data = bytes(blob)
    head, newline, pickled = data.partition(b"\n")
    if not newline or not head.startswith(MAGIC):
        raise DecodeError("not a function by value: the blob has no such header")
    made_by = head[len(MAGIC) :].decode("ascii", "replace")
    if made_by != PYTHON:
        raise DecodeError(
            f"the function was sent from Python {made_by[:16]}, and here runs Python {PYTHON}: run the same minor "
            f"version on both sides, or register the function as a task in a module that the workers import"
        )
    try:
        fn = cloudpickle_codec.loads(pickled)
    except Exception as error:
        raise DecodeError(
            f"the function cannot be loaded here: {error_text(error)}. What it imports must be installed on the workers"
        ) from error
    if not callable(fn):
        raise DecodeError("not a function by value: the blob holds something that cannot be called")
    return fn  # type: ignore[no-any-return]
