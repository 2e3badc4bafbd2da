"""All calls that have not settled, by id, so that a million of them cost no more than a few.

One dict of a million entries does not fit into the processor's caches, and a look into it costs as much as everything
else that is done for a call. But ids that are made one after another come, and go, one after another. So they stand in
small dicts, one for each *block* of neighbours (`actorq.policies.numbering`): those that are used now are few.
"""

from __future__ import annotations

from collections.abc import Iterator

from actorq.policies.numbering import block_of
from actorq.wire.records import Call

Block = dict[str, Call]
FOREIGN = 0
"""Spec number of a lease from an earlier coordinator whose call has not been sent again yet."""


class Calls:
    """A table of calls. What goes through many calls may use the blocks themselves, and then keeps `count`."""

    def __init__(self) -> None:
        self.count = 0
        self._blocks: dict[str, Block] = {}

    def get(self, task_id: str) -> Call | None:
        """The call, or None if it is not known."""
        block = self._blocks.get(block_of(task_id))
        return None if block is None else block.get(task_id)

    def add(self, call: Call) -> None:
        """Enter a call that is not known."""
        self.block(block_of(call.id))[call.id] = call
        self.count += 1

    def remove(self, call: Call) -> None:
        """Forget a call that is known. Raises KeyError."""
        key = block_of(call.id)
        block = self._blocks[key]
        del block[call.id]
        self.count -= 1
        self.close(key)

    def block(self, key: str) -> Block:
        """The block with this key, to look into and add to. Whoever leaves it says `close`."""
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = {}
        return block

    def close(self, key: str) -> None:
        """Let the block go if it is empty."""
        if not self._blocks.get(key, True):
            del self._blocks[key]

    def __len__(self) -> int:
        return self.count

    def __contains__(self, task_id: str) -> bool:
        return self.get(task_id) is not None

    def __iter__(self) -> Iterator[Call]:
        for block in self._blocks.values():
            yield from block.values()
