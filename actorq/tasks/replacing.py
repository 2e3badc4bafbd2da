"""A call that goes on as something else."""

from __future__ import annotations

from typing import Protocol

import msgspec

from actorq import ids
from actorq.errors import ImproperlyConfigured
from actorq.wire.records import Call, CallSpec, Extra, Plan, Replacement
from actorq.wire.replacements import encode_replacement


class Compiles(Protocol):
    """What a task can be replaced by: a signature, group, chain or chord."""

    def compile_as(self, task_id: str) -> tuple[list[CallSpec], Plan]:
        """The plan whose last call has that id. Spec numbers in it are places in the list, from 1."""


def replaced_by(sig: Compiles, call: Call) -> bytes:
    """What `call` goes on as. All of it belongs to the tree of that call. Raises ImproperlyConfigured for nothing."""
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
