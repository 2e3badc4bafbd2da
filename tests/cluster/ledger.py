"""What happened to calls, as clients and tasks write it down: files of records of a call's number and a time.

Calls are numbered from 0 on over all clients. What is said of a call depends on the name of the file it stands in:

| file | says of a call |
|---|---|
| `*.attempted` | it is about to be submitted |
| `*.accepted` | it was promised to settle: to a client that waits for it by `delay()`, to one that leaves by `flush()` |
| `*.unknown` | it was submitted, and the mesh did not say whether it took it |
| `*.settled` | its client has its right result |
| `*.wrong` | its client has another result, or an exception |
| `*.executed` | a task has begun to run it; as often as that happened |

Each process writes files of its own, in whole records, so one that is killed at any time leaves a file that counts.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path

RECORD = struct.Struct("<Qd")
"""Number of the call, and seconds of the monotonic clock, which all processes of a machine share."""


class Ledger:
    """One client's files: `write("settled", numbers)`."""

    def __init__(self, directory: Path, client: str) -> None:
        self._directory = directory
        self._client = client
        self._files: dict[str, int] = {}

    def write(self, kind: str, numbers: Iterable[int]) -> None:
        """Note this of these calls, now, with one system call."""
        now_s = time.monotonic()
        records = b"".join([RECORD.pack(number, now_s) for number in numbers])
        if records:
            os.write(self._file(kind), records)

    def _file(self, kind: str) -> int:
        if kind not in self._files:
            self._files[kind] = open_to_append(self._directory / f"{self._client}.{kind}")
        return self._files[kind]


def open_to_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
