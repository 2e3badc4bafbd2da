"""Reads what is written down of calls; see `tests.cluster.ledger`. Apart from that, as workers do not need NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.cluster.ledger import RECORD

Numbers = npt.NDArray[np.uint64]
Times = npt.NDArray[np.float64]

_DTYPE = np.dtype([("number", "<u8"), ("at_s", "<f8")])


def read(directory: Path, kind: str) -> tuple[Numbers, Times]:
    """All that was written of this kind: the calls' numbers, in no order, and the times that belong to them."""
    parts = [_records(path) for path in sorted(directory.glob(f"*.{kind}"))]
    whole = np.concatenate(parts) if parts else np.empty(0, _DTYPE)
    return whole["number"], whole["at_s"]


def count(directory: Path, kind: str) -> int:
    """How many records of this kind there are, without reading them."""
    return sum(path.stat().st_size for path in directory.glob(f"*.{kind}")) // RECORD.size


def _records(path: Path) -> npt.NDArray[np.void]:
    data = path.read_bytes()
    return np.frombuffer(data, _DTYPE, len(data) // RECORD.size)
