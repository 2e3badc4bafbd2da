"""Who may connect to a mesh, and what they may do there: key files, and the rights of their owners."""

from __future__ import annotations

from actorq.keys.files import ClientKey, ClusterKey, load_cluster_key, load_key
from actorq.keys.links import client_keys, node_keys
from actorq.keys.rights import CODE, CONTROL, Grant, Role, brings_code, why_denied
from actorq.keys.ring import KeyRing

__all__ = [
    "CODE",
    "CONTROL",
    "ClientKey",
    "ClusterKey",
    "Grant",
    "KeyRing",
    "Role",
    "brings_code",
    "client_keys",
    "load_cluster_key",
    "load_key",
    "node_keys",
    "why_denied",
]
