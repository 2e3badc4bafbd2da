"""Batches that wait to be written, and the group of them that is being written: what a journal decides, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from actorq.stores.api import KeepCalls, Operation, Settle, Store

GROUP_ROWS = 16_384
GROUP_BYTES = 16 * 1024**2
"""What is written at once has about so much at the most."""


class Groups:
    """Writes what waits, in order: many batches at once, and a group that failed again until it is there.

    `add` may be called from another thread than the rest.
    """

    def __init__(self, store: Store) -> None:
        self.confirmed = 0
        """All batches up to this token are durable."""
        self._store = store
        self._waiting: deque[tuple[int, Sequence[Operation]]] = deque()
        self._token = 0
        """Of the group that is in hand; 0: none."""
        self._prepared: Any = None
        self._in_hand: tuple[int, list[Operation]] | None = None
        """The group that is to be prepared."""

    def add(self, token: int, operations: Sequence[Operation]) -> None:
        """A batch is to be written. Tokens ascend."""
        self._waiting.append((token, operations))

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._token or self._in_hand or self._waiting)

    @property
    def is_in_flood(self) -> bool:
        """So much waits that it does not pay to wait for more."""
        return len(self._waiting) >= GROUP_ROWS

    def write(self) -> str:
        """Write the next group; the one that failed the last time, if it did. Returns why it failed, or nothing."""
        try:
            self.take()
            self._store.commit(self._prepared)
        except Exception as error:  # Whatever it is: to go on without this group would lose what was accepted.
            return str(error) or repr(error)
        self.confirmed, self._token, self._prepared = self._token, 0, None
        return ""

    def take(self) -> None:
        """Take up the next group, unless one is in hand.

        It is prepared once, so that what is repeated is the same: after an error it may be there already. If that fails,
        as memory is short, nothing of it is there, and it is prepared the next time.
        """
        if not self._token:
            self._in_hand = self._in_hand or self._gather()
            token, operations = self._in_hand
            self._prepared = self._store.prepare(operations)
            self._token, self._in_hand = token, None

    def _gather(self) -> tuple[int, list[Operation]]:
        """As many of the batches that wait as are written at once. They are not split."""
        token, rows, size_bytes = 0, 0, 0
        operations: list[Operation] = []
        while self._waiting and rows < GROUP_ROWS and size_bytes < GROUP_BYTES:
            token, batch = self._waiting.popleft()
            operations += batch
            for operation in batch:
                if isinstance(operation, KeepCalls):
                    rows += len(operation.calls)
                    size_bytes += sum([len(call.body) for call in operation.calls])
                elif isinstance(operation, Settle):
                    size_bytes += sum([len(outcome.body) for outcome in operation.outcomes])
        return token, operations
