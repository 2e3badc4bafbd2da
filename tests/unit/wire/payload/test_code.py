"""Functions travel by value, known by their hash, and only to the same minor version of Python."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading

import pytest

from actorq.errors import DecodeError, EncodeError
from actorq.wire.payload import code_blob, code_hash, load_code
from actorq.wire.payload.code import MAGIC, PYTHON
from tests.support import REPOSITORY


def test_a_closure_does_there_what_it_does_here() -> None:
    factor = 6
    _, blob = code_blob(lambda number: number * factor)
    assert load_code(blob)(7) == 42
    assert load_code(memoryview(blob))(7) == 42


def test_a_function_of_main_works_in_a_process_that_does_not_have_it() -> None:
    script = """
import sys
from actorq.wire.payload import code_blob
offset = 40
def helper(number): return number + offset
def task(number): return helper(number)
sys.stdout.buffer.write(code_blob(task)[1])
"""
    blob = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True, timeout=30
    ).stdout
    assert load_code(blob)(2) == 42


def test_a_blob_is_known_by_the_hash_of_its_bytes() -> None:
    digest, blob = code_blob(lambda: 1)
    other, _ = code_blob(lambda: 2)
    assert digest == code_hash(blob)
    assert digest != other
    assert len(bytes.fromhex(digest)) == 32
    assert code_hash(blob + b"x") != digest


def test_another_minor_version_of_python_is_refused_before_anything_is_unpickled() -> None:
    bomb = MAGIC + b"3.99\n" + pickle.dumps(pytest.fail)
    with pytest.raises(DecodeError, match=f"sent from Python 3.99, and here runs Python {PYTHON}"):
        load_code(bomb)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\n",
        b"nonsense",
        MAGIC,
        pickle.dumps(len),
        MAGIC + PYTHON.encode() + b"\n",
        MAGIC + PYTHON.encode() + b"\nnot a pickle",
        MAGIC + PYTHON.encode() + b"\n" + pickle.dumps(5),
        MAGIC + PYTHON.encode() + b"\n" + b"cno_such_module\nfn\n.",
    ],
)
def test_bytes_that_are_no_function_are_a_decode_error(blob: bytes) -> None:
    with pytest.raises(DecodeError, match="function"):
        load_code(blob)


def test_a_function_that_cannot_travel_says_what_it_refers_to() -> None:
    guard = threading.Lock()

    def task() -> bool:
        return guard.locked()

    with pytest.raises(EncodeError, match=r"task\.<closure>\.guard as cloudpickle.*_thread\.lock"):
        code_blob(task)
