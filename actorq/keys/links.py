"""What a key means for the links of its owner: with what it connects and listens, and whom it lets in."""

from __future__ import annotations

from collections.abc import Callable

from actorq.keys.files import ClientKey, ClusterKey
from actorq.transport import LinkKeys, new_pair


def node_keys(key: ClusterKey, admit: Callable[[str, str], bool] | None = None) -> LinkKeys:
    """Of a coordinator, which lets in whom `admit` does, or of a worker, to which nobody connects."""
    return LinkKeys(key.node, key.node.public, key.node, admit or _nobody)


def client_keys(key: ClusterKey | ClientKey) -> LinkKeys:
    """Of a client's session. Its reply socket has a fresh key, and lets in nobody but nodes."""
    own, server = (key.client, key.node.public) if isinstance(key, ClusterKey) else (key.pair, key.server)
    return LinkKeys(own, server, new_pair(), lambda public, address: public == server)


def _nobody(public: str, address: str) -> bool:
    return False
