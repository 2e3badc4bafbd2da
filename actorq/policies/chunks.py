"""How many items of a map travel together."""

from __future__ import annotations

TARGET_S = 0.05
LARGEST = 4096


class ChunkSize:
    """Adapts so that a chunk runs for about 50 ms: long enough to hide the cost of its way, short enough to spread.

    Starts at one item and at most doubles with each chunk that came back, so one slow item is never joined by many.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self.items = fixed or 1
        self._is_fixed = fixed is not None
        self._item_s: float | None = None

    def measured(self, items: int, elapsed_s: float) -> None:
        """A chunk of `items` ran for `elapsed_s` on its worker."""
        if self._is_fixed or not items:
            return
        item_s = elapsed_s / items
        self._item_s = item_s if self._item_s is None else (3 * self._item_s + item_s) / 4
        wanted = int(TARGET_S / max(self._item_s, TARGET_S / LARGEST))
        self.items = max(1, min(wanted, 2 * self.items))
