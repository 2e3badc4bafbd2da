"""Making the pool that a node was told to have."""

from __future__ import annotations

from actorq.worker.base import Deliver, InHub, Pool, Ready
from actorq.worker.kinds import SOLO, THREADS


def make_pool(kind: str, ready: Ready, node: str, concurrency: int, deliver: Deliver, in_hub: InHub) -> Pool:
    """A pool of one of `actorq.worker.kinds.KINDS`."""
    if kind == THREADS:
        from actorq.worker.threads import ThreadPool

        return ThreadPool(ready, node, concurrency, deliver, in_hub)
    from actorq.worker.pool import GreenPool

    return GreenPool(ready, node, 1 if kind == SOLO else concurrency, deliver, in_hub)
