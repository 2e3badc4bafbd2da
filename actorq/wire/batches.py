"""Cutting what is long into messages that a receiver takes: by count, and by bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from actorq.config import MAX_BATCH, MAX_BODY_BYTES, NOTE_BYTES
from actorq.wire.records import Call, Outcome

T = TypeVar("T")
R = TypeVar("R", Call, Outcome)

BATCH_BYTES = MAX_BODY_BYTES // 4
"""Bodies in one message: far below the limit of a frame, so that ids and names, which are not counted, fit as well."""
NOTE_BATCH = BATCH_BYTES // NOTE_BYTES
"""Notes in one message."""


def chunks(items: Sequence[T], count: int = MAX_BATCH) -> Iterator[Sequence[T]]:
    """`items` in order, `count` at the most at a time."""
    for start in range(0, len(items), count):
        yield items[start : start + count]


def revocations(ids: Sequence[str], roots: Sequence[str], terminate: bool) -> Iterator[dict[str, Any]]:
    """The arguments of as many `revoke` commands as it takes to name all of these."""
    for some, some_roots in zip_longest(chunks(ids), chunks(roots), fillvalue=()):
        yield {"ids": list(some), "roots": list(some_roots), "terminate": terminate}


def batches(records: Sequence[R], count: int = MAX_BATCH, size_bytes: int = BATCH_BYTES) -> Iterator[list[R]]:
    """`records` in order, in lists of `count` at the most, whose bodies have `size_bytes` together at the most.

    A single body over that makes a list of its own.
    """
    for chunk in chunks(records, count):
        sizes = [len(record.body) for record in chunk]
        if sum(sizes) <= size_bytes:
            yield list(chunk)
        else:
            yield from _by_bytes(chunk, sizes, size_bytes)


def _by_bytes(records: Sequence[R], sizes: Sequence[int], size_bytes: int) -> Iterator[list[R]]:
    batch: list[R] = []
    batch_bytes = 0
    for record, size in zip(records, sizes, strict=True):
        if batch and batch_bytes + size > size_bytes:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(record)
        batch_bytes += size
    yield batch
