"""Dead letters: calls that were given up, with the reason; and, as far as there is room, the calls themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from actorq.wire.frames import body_of
from actorq.wire.records import Blob, Call, CallSpec


@dataclass(slots=True)
class Letter:
    """One of them."""

    number: int
    said: dict[str, Any]
    """What people are told: id, task, queue, reason, worker, deliveries, time."""
    call: bytes
    """Spec and call, encoded; empty: not kept."""


class DeadLetters:
    """A table of them, by number; the oldest are forgotten."""

    def __init__(self, count: int, size_bytes: int) -> None:
        self.number = 0
        """The last one that was given."""
        self.size_bytes = 0
        self._count = count
        self._limit_bytes = size_bytes
        self._letters: dict[int, Letter] = {}

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (letter.said for letter in self._letters.values())

    def write(self, said: dict[str, Any], spec: CallSpec, call: Call) -> Letter:
        """A new one, about this call."""
        is_kept = len(call.body) * 4 <= self._limit_bytes and not spec.code
        said["replayable"] = is_kept
        self.number += 1
        letter = Letter(self.number, said, encode_call(spec, call) if is_kept else b"")
        self.keep(letter)
        return letter

    def keep(self, letter: Letter) -> None:
        """Enter one, also one that the journal has kept."""
        self._letters[letter.number] = letter
        self.number = max(self.number, letter.number)
        self.size_bytes += len(letter.call)

    def excess(self) -> list[int]:
        """Forget the oldest, as far as there are too many. Returns their numbers."""
        gone: list[int] = []
        while len(self._letters) > self._count or self.size_bytes > self._limit_bytes:
            gone.append(next(iter(self._letters)))
            self.forget(gone[-1:])
        return gone

    def forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.size_bytes -= len(self._letters.pop(number).call)

    def select(self, ids: Sequence[str], queue: str) -> list[Letter]:
        """Those about these calls, or, if none are named, all; of one queue, if it is named."""
        wanted = set(ids)
        return [
            letter
            for letter in self._letters.values()
            if (not wanted or letter.said.get("id") in wanted) and (not queue or letter.said.get("queue") == queue)
        ]


def encode_call(spec: CallSpec, call: Call) -> bytes:
    """What is needed to run a call again."""
    again = msgspec.structs.replace(call, attempt=0, lost=0, worker=0, row=0, not_before=0, expires=0, client=0)
    return _encode((spec, again))


def decode_call(data: bytes) -> tuple[CallSpec, Call]:
    """The reverse. Raises ValueError for what a journal has spoilt."""
    spec, call = _decode(data)
    if not isinstance(call.body, bytes) or any(not isinstance(part.body, bytes) for part in _parts(call)):
        raise ValueError("its arguments are not there")
    call.body = body_of(call.body)
    for part in _parts(call):
        part.body = body_of(part.body)
    return spec, call


def _parts(call: Call) -> list[Any]:
    return [] if call.inputs is None else list(call.inputs.parts)


def _bytes_of(value: Any) -> bytes:
    if type(value) is not Blob:
        raise TypeError(f"{type(value).__name__} is no part of a call")
    return bytes(value.view)


_encode = msgspec.msgpack.Encoder(enc_hook=_bytes_of).encode
_decode: Callable[[bytes], tuple[CallSpec, Call]] = msgspec.msgpack.Decoder(tuple[CallSpec, Call]).decode
