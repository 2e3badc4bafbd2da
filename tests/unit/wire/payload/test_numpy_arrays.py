"""Arrays and scalars of numpy come back as they were, without pickle, and numpy is not imported for anything else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgpack
import pytest

from actorq.errors import DecodeError, EncodeError
from actorq.wire.payload import dumps, loads, numpy_arrays
from actorq.wire.payload.extension_types import NDARRAY, NUMPY_SCALAR
from tests.support import REPOSITORY

numpy = pytest.importorskip("numpy")

RECORDS = numpy.dtype([("name", "U3"), ("at", "<M8[s]"), ("grid", "<f4", (2, 2))])

ARRAYS = [
    numpy.arange(6).reshape(2, 3),
    numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
    numpy.arange(24).reshape(2, 3, 4)[:, ::2, ::-1],
    numpy.array(5),
    numpy.zeros((0, 3)),
    numpy.array([], dtype="U5"),
    numpy.array([True, False]),
    numpy.array([1, 2], dtype=">i2"),
    numpy.array([1 + 2j], dtype="complex64"),
    numpy.array(["ab", "c"]),
    numpy.array([b"ab"]),
    numpy.array(["2024-01-01", "NaT"], dtype="M8[ns]"),
    numpy.array([1.5], dtype="float16"),
    numpy.zeros(2, dtype=RECORDS),
    numpy.zeros(2, dtype=numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
]

SCALARS = [
    numpy.float64(1.5),
    numpy.float32("nan"),
    numpy.int8(-1),
    numpy.bool_(True),
    numpy.complex128(1j),
    numpy.str_("ab"),
    numpy.str_(""),
    numpy.bytes_(b""),
    numpy.datetime64("2024-01-01T00:00:00.000000001"),
    numpy.timedelta64(5, "D"),
    numpy.zeros(1, dtype=RECORDS)[0],
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_comes_back_as_it_was(array: Any) -> None:
    back = loads(dumps({"a": [array]}))["a"][0]
    assert type(back) is numpy.ndarray
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.f_contiguous or not array.flags.f_contiguous
    assert back.flags.writeable


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: f"{scalar.dtype}")
def test_a_scalar_comes_back_as_it_was(scalar: Any) -> None:
    back = loads(dumps((scalar, 1)))[0]
    assert type(back) is type(scalar)
    assert back.dtype == scalar.dtype
    assert back.tobytes() == scalar.tobytes()


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (numpy.array([{}], dtype=object), "tolist()"),
        (numpy.zeros(1, dtype=[("a", "i4"), ("b", "O")]), "tolist()"),
        (numpy.ma.array([1], mask=[True]), "numpy.asarray()"),
        (numpy.zeros(3, dtype="V0"), "shape"),
    ],
)
def test_what_is_not_plain_data_is_refused(array: Any, advice: str) -> None:
    with pytest.raises(EncodeError) as caught:
        dumps([array])
    assert advice in str(caught.value)
    assert "value[0]" in str(caught.value)


def test_a_dtype_whose_name_stands_for_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # As with bfloat16 of ml_dtypes, which gives its name as that of two raw bytes.
    monkeypatch.setattr(numpy_arrays, "dtype_from_plain", lambda plain: numpy.dtype("V2"))
    with pytest.raises(EncodeError, match=r"astype\(\)"):
        dumps(numpy.zeros(2, dtype="float16"))


@pytest.mark.parametrize(
    "parts",
    [
        [NDARRAY, "|O", [1], "C", bytes(8)],
        [NDARRAY, [["a", "|O"]], [1], "C", bytes(8)],
        [NDARRAY, "<f8", [2], "C", bytes(8)],
        [NDARRAY, "<f8", [1], "C", bytes(16)],
        [NDARRAY, "<f8", [2**62, 2**62], "C", b""],
        [NDARRAY, "<f8", [-1], "C", bytes(8)],
        [NDARRAY, "<f8", [-1, -1], "C", bytes(8)],
        [NDARRAY, "<f8", ["a"], "C", bytes(8)],
        [NDARRAY, "<f8", 1, "C", bytes(8)],
        [NDARRAY, "|V0", [2**40], "C", b""],
        [NDARRAY, "no such dtype", [1], "C", bytes(8)],
        [NDARRAY, 5, [1], "C", bytes(8)],
        [NDARRAY, {"names": ["a"], "formats": ["O"]}, [1], "C", bytes(8)],
        [NDARRAY, "<f8", [1], "C", "text"],
        [NDARRAY],
        [NUMPY_SCALAR, "|O", bytes(8)],
        [NUMPY_SCALAR, "<f8", bytes(4)],
        [NUMPY_SCALAR, "|V0", b""],
        [NUMPY_SCALAR, "<f8"],
    ],
    ids=repr,
)
def test_parts_that_make_no_array_are_a_decode_error(parts: list[Any]) -> None:
    with pytest.raises(DecodeError):
        loads(msgpack.packb([msgpack.ExtType(parts[0], b""), *parts[1:]]))


def test_what_only_claims_to_be_a_shape_is_not_multiplied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("math.prod", lambda _: pytest.fail("multiplied"))
    with pytest.raises(DecodeError, match="not the shape"):
        loads(msgpack.packb([msgpack.ExtType(NDARRAY, b""), "<f8", [2**63] * 100_000, "C", b""]))


def run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True, timeout=30)


def test_encoding_other_values_does_not_import_numpy() -> None:
    run(
        "import sys; from actorq.errors import EncodeError; from actorq.wire.payload import dumps\n"
        "dumps([1, (2,), {3}, type('S', (str,), {})('a')])\n"
        "try: dumps(object())\n"
        "except EncodeError: pass\n"
        "assert 'numpy' not in sys.modules"
    )


def test_decoding_an_array_imports_numpy_by_itself() -> None:
    data = dumps(numpy.arange(3))
    run(f"from actorq.wire.payload import loads; assert loads({data!r}).tolist() == [0, 1, 2]")


def test_an_array_that_arrives_where_numpy_is_missing_is_a_decode_error() -> None:
    data = dumps(numpy.arange(3))
    run(
        "import sys; sys.modules['numpy'] = None\n"
        "from actorq.errors import DecodeError; from actorq.wire.payload import loads\n"
        f"try: loads({data!r})\n"
        "except DecodeError as error: assert 'numpy' in str(error)\n"
        "else: raise SystemExit('decoded')"
    )
