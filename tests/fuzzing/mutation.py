"""Valid messages turned into hostile ones: by what their fields mean, and byte by byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from actorq.wire.frames import Packer
from actorq.wire.messages import Message
from tests.fuzzing.tape import Tape

INTEGERS = (0, 1, -1, 2, 3, 255, 4096, 4097, 2**31 - 1, 2**31, 2**31 + 1, 2**53, 2**63 - 1, 2**64 - 1, -(2**63))
FLOATS = (0.0, -0.0, 0.5, -1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1_700_000_001.0)
TEXTS = ("", "a", "default", "\x00", "ü" * 100, "x" * 256, "x" * 257, "y" * 512, "y" * 513, "[1]", "tcp://*:0")
FEW_COPIES = (0, 1, 2)
COPIES = (*FEW_COPIES, 100, 4097)
"""The last change only: copies of copies are larger than any message that a link takes."""


def nested(depth: int, in_maps: bool = False) -> bytes:
    """msgpack of a value nested so deep."""
    return (b"\x81\xa1k" if in_maps else b"\x91") * depth + b"\xc0"


RAW = (
    nested(100), nested(1000), nested(2000), nested(200, in_maps=True), b"\x81\x80\x01", b"\x81\x91\x01\x01",
    b"\xd4\x05\x00", b"\xd6\xff\x00\x00\x00\x01", b"\xd7\xff" + b"\xff" * 8, b"\xc7\x00\x10", b"\x92\xc7\x00\x11\x90",
    b"\xa1\xff", b"\xdc\xff\xff", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
)  # fmt: skip
"""msgpack that no field expects: deep, with keys that are no keys, extensions of others, no text, no end."""
RAW_VALUES = tuple(map(msgspec.Raw, RAW))


def hostile_frames(tape: Tape, message: Message, texts: Sequence[str], changes: int) -> list[bytes]:
    """The frames of `message` with so many of its values replaced; `texts` are those that mean something to others."""
    kind, payload, *blobs = [bytes(frame) for frame in Packer().pack(message)]
    fields = msgspec.msgpack.decode(payload)
    for left in reversed(range(changes)):
        _change_one(tape, fields, texts, FEW_COPIES if left else COPIES)
    if tape.chance(3):
        blobs = blobs[1:] if blobs and tape.chance(50) else [*blobs, tape.bytes(4)]
    data = msgspec.msgpack.encode(fields)
    return [kind, changed_bytes(tape, data) if tape.chance(5) else data, *blobs]


def changed_bytes(tape: Tape, data: bytes) -> bytes:
    """`data` with a few bytes replaced, added or cut."""
    changed = bytearray(data)
    for _ in range(1 + tape.below(3)):
        start = tape.below(len(changed) + 1)
        end = min(start + tape.below(4), len(changed))
        changed[start:end] = tape.bytes(4)
    return bytes(changed)


def _change_one(tape: Tape, root: list[Any], texts: Sequence[str], copies: Sequence[int]) -> None:
    """Go down at random, and replace what is there."""
    holder: Any = root
    for _ in range(8):
        if not holder:
            return
        key = tape.choice(list(holder)) if isinstance(holder, dict) else tape.below(len(holder))
        value = holder[key]
        if not isinstance(value, (list, dict)) or not value or tape.chance(20):
            break
        holder = value
    if isinstance(holder, list) and tape.chance(10):
        _change_length(tape, holder, key, copies)
    else:
        holder[key] = _another(tape, value, texts)


def _change_length(tape: Tape, items: list[Any], index: int, copies: Sequence[int]) -> None:
    if tape.chance(30):
        del items[index:]
    else:
        items[index:index] = [items[index]] * tape.choice(copies)


def _another(tape: Tape, value: Any, texts: Sequence[str]) -> Any:
    """Mostly of the same type, so that it gets past the decoder."""
    if tape.chance(7):
        return tape.choice((None, True, -1, 0.5, "text", b"bytes", [], {}, [[]], {"k": []}, *RAW_VALUES))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return tape.choice((min(value + 1, 2**64 - 1), max(value - 1, 0), tape.below(8), tape.choice(INTEGERS)))
    if isinstance(value, float):
        return tape.choice(FLOATS)
    if isinstance(value, str):
        return tape.choice(texts) if texts and tape.chance(70) else tape.choice(TEXTS)
    if isinstance(value, bytes):
        return bytes(tape.choice((0, 1, 100, 70_000)))
    if isinstance(value, list):
        return value[::-1] if tape.chance(50) else value * tape.choice((0, 2, 3))
    return {"ids": [tape.choice(texts) if texts else ""], "terminate": tape.chance(50)}
