"""Roles and rights: which messages the owner of a key may send to a coordinator. What is not listed is denied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.payload import PLAIN_FORMATS
from actorq.wire.records import CallSpec

CODE = "by-value"
"""The right to send functions by value, and arguments as pickles: which is to run any code on the workers."""
PLAIN_COMPRESSIONS = frozenset({"", "gzip", "zlib", "bzip2", "lzma", "zstd"})
"""Compressions that stop at the limit on what they make of a payload. Of others a coordinator cannot know."""
CONTROL = "control"
"""The right to give orders to nodes: revoke, shut down, and whatever else is no question."""
RIGHTS = (CODE, CONTROL)
QUESTIONS = frozenset(
    {
        "ping", "stats", "active", "reserved", "registered", "active_queues", "coordinator", "queues", "queue_details",
        "topology", "consumers", "dead_letters", "call_details", "call_children", "workflow", "open_calls",
    }
)  # fmt: skip
"""Control commands that change nothing: these need no right."""


def brings_code(spec: CallSpec) -> bool:
    """Whether calls with these options need the right CODE."""
    is_plain = spec.serializer in PLAIN_FORMATS and spec.compression in PLAIN_COMPRESSIONS
    return bool(spec.code) or not is_plain


class Role(str, Enum):
    """What the owner of a key is."""

    NODE = "node"
    """A coordinator or worker. Has the cluster's secret."""
    CLIENT = "client"
    """Submits calls."""
    OBSERVER = "observer"
    """Looks, and does nothing else."""


_MAY_SEND: dict[Role, frozenset[type[Message]]] = {
    Role.CLIENT: frozenset({m.Discover, m.ClientHello, m.Submit, m.Code, m.Query, m.Control, m.Ping}),
    Role.OBSERVER: frozenset({m.Discover, m.ClientHello, m.Query, m.Control, m.Ping}),
}
"""A node may send everything."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do."""

    name: str
    role: Role
    rights: frozenset[str] = frozenset()

    @property
    def is_unlimited(self) -> bool:
        """Whether there is nothing to check."""
        return self.role is Role.NODE

    def may(self, right: str) -> bool:
        """Whether it has one of the RIGHTS."""
        return self.is_unlimited or (self.role is Role.CLIENT and right in self.rights)

    def __str__(self) -> str:
        if self.role is Role.CLIENT:
            rights = " and ".join(sorted(self.rights)) or "neither control nor by-value"
            return f"{self.name} (role client, with {rights})"
        return f"{self.name} (role {self.role.value})"


def grant(name: str, role: Role, rights: Iterable[str] = ()) -> Grant:
    """A Grant with these of the RIGHTS. An observer has none."""
    return Grant(name, role, frozenset(rights) if role is Role.CLIENT else frozenset())


def why_denied(granted: Grant, message: Message) -> str:
    """Why the owner of a key may not send this message; empty if it may."""
    kind = type(message)
    if granted.is_unlimited:
        return ""
    if kind not in _MAY_SEND[granted.role]:
        return _denial(granted, f"send {kind.__name__}", f"role {_first_role_for(kind)}")
    if kind is m.Code and not granted.may(CODE):
        what = "send functions by value, or arguments other than as msgpack or json, or in a compression of its own"
        return _denial(granted, what, "the right by-value", CODE)
    if isinstance(message, m.Control) and message.command not in QUESTIONS and not granted.may(CONTROL):
        return _denial(granted, f"give the order {message.command[:100]!r}", "the right control", CONTROL)
    return ""


def _first_role_for(kind: type[Message]) -> str:
    return Role.CLIENT.value if kind in _MAY_SEND[Role.CLIENT] else Role.NODE.value


def _denial(granted: Grant, what: str, needed: str, right: str = "") -> str:
    if right and granted.role is Role.CLIENT:
        needed = (
            f"the right {right}, which 'actorq key grant {granted.name} --{right}' gives it where the cluster's file is"
        )
    else:
        needed = f"{needed}: 'actorq key client --help' says how to make such a key"
    return f"the key {granted} may not {what}: that needs {needed}"
