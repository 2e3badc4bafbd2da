"""Decisions, read from bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Tape:
    """Gives decisions as long as there are bytes; then the first choice, always, so that a tape may be cut anywhere."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def is_over(self) -> bool:
        return self._place >= len(self._data)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1. Takes one byte where that is enough."""
        number, span = 0, 1
        while span < limit:
            number = number * 256 + self._next()
            span *= 256
        return number % limit

    def choice(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """Whether something happens. Not on a tape that is over."""
        return self._next() * 100 >= (100 - percent) * 256

    def bytes(self, limit: int) -> bytes:
        """Up to `limit` bytes of the tape."""
        return bytes(self._next() for _ in range(self.below(limit + 1)))

    def _next(self) -> int:
        if self.is_over():
            return 0
        self._place += 1
        return self._data[self._place - 1]
