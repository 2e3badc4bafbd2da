"""Signatures under the name that programs written for Celery import: ``from actorq.canvas import chain, group``."""

from __future__ import annotations

from actorq.tasks.canvas.chains import chain
from actorq.tasks.canvas.chords import chord
from actorq.tasks.canvas.groups import group
from actorq.tasks.canvas.maps import chunks, xmap, xstarmap
from actorq.tasks.canvas.signature import Signature, maybe_signature, signature, subtask
from actorq.tasks.canvas.stamping import StampingVisitor

__all__ = [
    "Signature",
    "StampingVisitor",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
