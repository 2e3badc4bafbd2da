"""A call that goes on as something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from actorq import ids
from actorq.errors import ImproperlyConfigured
from actorq.wire.records import Call, CallSpec, Extra, Plan, Replacement
from actorq.wire.replacements import encode_replacement


class Compiles(Protocol):
    """What a task can be replaced by: a signature, group, chain or chord."""

    def clone(self) -> Compiles: ...

    def stamp(self, visitor: None = None, append_stamps: bool = False, **headers: Any) -> None: ...

    def compile_as(self, task_id: str) -> tuple[list[CallSpec], Plan]:
        """The plan whose last call has that id. Spec numbers in it are places in the list, from 1."""


def replaced_by(sig: Compiles, call: Call, stamps: Mapping[str, list[Any]] | None = None) -> bytes:
    """What `call` goes on as. All of it belongs to the tree of that call, and has its stamps, beside those that it has.

    Raises ImproperlyConfigured for nothing.
    """
    if stamps:
        sig = sig.clone()
        sig.stamp(None, True, **stamps)
    specs, plan = sig.compile_as(call.id)
    if not plan.nodes:
        raise ImproperlyConfigured(f"a task cannot be replaced by {sig!r}, which has no tasks in it")
    own = call.extra or Extra()
    plan.id = ids.random_id()
    for node in plan.nodes:
        extra = node.call.extra or Extra()
        parent = own.parent if node.call.id == call.id else call.id
        node.call.extra = msgspec.structs.replace(extra, root=own.root or call.id, parent=extra.parent or parent)
    return encode_replacement(Replacement(specs, plan))
