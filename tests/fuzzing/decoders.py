"""Every decoder, against bytes that nobody vouches for: it returns something that can be passed on, or says no."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import cloudpickle
import numpy

from actorq.errors import BadAddress, ContentDisallowed, DecodeError, EncodeError, ProtocolError
from actorq.policies.addresses import is_loopback, parse_url
from actorq.transport.addresses import check_to_dial
from actorq.wire import frames
from actorq.wire.messages import Message
from actorq.wire.payload import Serializers, decode_failure, encode_failure
from actorq.wire.payload.code import MAGIC, load_code
from tests.fuzzing.engine import Target
from tests.fuzzing.mutation import RAW, changed_bytes, hostile_frames
from tests.fuzzing.samples import MESSAGES, TEXTS
from tests.fuzzing.tape import Tape

ALL_KINDS = frames.kinds(Message.__subclasses__())
TABLES: tuple[frames.Kinds, ...] = (
    frames.HELLO, frames.FROM_CLIENT, frames.FROM_WORKER, frames.FROM_CONTROL, frames.TO_CLIENT, frames.TO_WORKER,
    frames.TO_CONTROL, frames.TO_REPLY_SOCKET, ALL_KINDS,
)  # fmt: skip

LIMIT_BYTES = 100_000
BOMB_BYTES = 20 * LIMIT_BYTES
SERIALIZERS = Serializers.default(("msgpack", "json", "yaml"))
SERIALIZERS.max_body_bytes = LIMIT_BYTES
VALUES: list[Any] = [
    None, 1, -1, 2**80, 1.5, "text", b"bytes", [1, [2, [3]]], {"k": {"n": None}}, {(1, 2): 3}, (1, (2,)), {1, 2},
    frozenset({"a"}), range(1, 10, 2), datetime(2024, 1, 2, 3, 4, 5, 6), datetime(2024, 1, 2, tzinfo=timezone.utc),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=2))), date(2024, 1, 2), time(3, 4, fold=1),
    timedelta(-1, 2, 3), Decimal("1.50"), UUID(int=7), 1 + 2j, numpy.arange(6).reshape(2, 3), numpy.float32(1.5),
    numpy.zeros(2, dtype=[("a", "<i4"), ("b", "<U3")]), numpy.datetime64("2024-01-01"), [[], {}],
]  # fmt: skip
FAILURES: list[Exception] = [
    ValueError("no"), KeyError("k"), OSError(2, "no such file", "name"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why")
]  # fmt: skip
CHUNK = [[[[1], [2]]], {}]
PLAIN = [value for value in VALUES if not type(value).__module__.startswith("numpy")]
ADDRESSES = (
    "tcp://127.0.0.1:5570", "tcp://[::1]:1", "ipc:///tmp/x", "ipc://@x", "local://?processes=2", "tcp://a:1,tcp://b:2",
    "tcp://*:0", "",
)  # fmt: skip


def play(tape: Tape) -> None:
    """Feed one decoder one input."""
    tape.choice((_frames, _frames, _msgpack, _json, _yaml, _compressed, _pickles, _failure, _code, _address))(tape)


def _frames(tape: Tape) -> None:
    message, table = tape.choice(MESSAGES), tape.choice(TABLES)
    if tape.chance(10):
        data = [tape.bytes(2), tape.bytes(200), *[tape.bytes(3) for _ in range(tape.below(3))]]
    else:
        data = hostile_frames(tape, message, TEXTS, tape.below(4))
    if tape.chance(5):
        data = data[: tape.below(3)]
    try:
        taken = frames.unpack(data, table)
    except ProtocolError:
        return
    assert type(taken) in table.values()
    frames.unpack([bytes(frame) for frame in frames.Packer().pack(taken)], table)


def _msgpack(tape: Tape) -> None:
    _load(tape, "msgpack", RAW, VALUES)


def _json(tape: Tape) -> None:
    raw = (b"[" * 2000, b'{"a":' * 2000, b"9" * 5000, b'{"__actorq__":[]}', b'{"__actorq__":"Decimal","value":{}}')
    _load(tape, "json", raw, PLAIN)


def _yaml(tape: Tape) -> None:
    raw = (b"[" * 2000, b"a: &a [*a]", b"!!python/name:os.system", b"- &x 1\n- *x", b"!!binary |\n ...", b"\xff\xfe")
    _load(tape, "yaml", raw, PLAIN)


def _compressed(tape: Tape) -> None:
    """However it was changed, nothing is made of it that is larger than the limit."""
    compression = tape.choice(tuple(SERIALIZERS.compressions))
    name = f"{tape.choice(('msgpack', 'json'))}+{compression}"
    if tape.chance(30):
        data = SERIALIZERS.compressions.get(compression).compress(bytes(BOMB_BYTES))
        opened = _or_refusal(
            SERIALIZERS.compressions.get(compression).decompress, changed_bytes(tape, data), LIMIT_BYTES
        )
        assert opened is None or len(opened) <= LIMIT_BYTES
        return
    data = changed_bytes(tape, _or_refusal(SERIALIZERS.dumps, name, ["x" * tape.below(4000)]) or b"")
    for load in (SERIALIZERS.loads, SERIALIZERS.decode_call):
        _or_refusal(load, name, memoryview(data))


def _load(tape: Tape, name: str, raw: tuple[bytes, ...], values: list[Any]) -> None:
    value = tape.choice(values)
    data = _or_refusal(SERIALIZERS.encode_call, name, [value], {}) if tape.chance(30) else None
    data = data or _or_refusal(SERIALIZERS.dumps, name, value) or b"null"
    data = tape.choice(raw) + tape.bytes(8) if tape.chance(15) else changed_bytes(tape, data)
    for load in (SERIALIZERS.loads, SERIALIZERS.decode_call):
        found = _or_refusal(load, name, memoryview(data))
        if found is not None:
            _or_refusal(SERIALIZERS.dumps, name, found)


def _pickles(tape: Tape) -> None:
    data = changed_bytes(tape, cloudpickle.dumps(_explode))
    try:
        SERIALIZERS.loads("cloudpickle", data)
    except ContentDisallowed:
        return
    raise AssertionError("a pickle was opened that nobody has allowed")


def _failure(tape: Tape) -> None:
    data = encode_failure(tape.choice(FAILURES), "Traceback: here")
    data = tape.choice(RAW) if tape.chance(5) else changed_bytes(tape, data)
    found = _or_refusal(decode_failure, data)
    if found is not None:
        assert isinstance(found, Exception)
        str(found), repr(found)
        encode_failure(found, "")


def _code(tape: Tape) -> None:
    """What is no code of this version of Python is refused before it is unpickled. (What is, may do anything.)"""
    head = changed_bytes(tape, MAGIC)
    if not head.startswith(MAGIC):
        _or_refusal(load_code, head + tape.bytes(20))


def _address(tape: Tape) -> None:
    text = changed_bytes(tape, tape.choice(ADDRESSES).encode()).decode("utf-8", "surrogateescape")
    for check in (check_to_dial, parse_url):
        try:
            check(text)
        except BadAddress:
            continue
        if not text.startswith("local://"):
            for address in text.split(","):
                is_loopback(address)


def _or_refusal(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (DecodeError, EncodeError):
        return None


def _explode() -> None:
    raise AssertionError("this must never run")


TARGET = Target("decoders", play, ("wire/", "policies/addresses", "transport/addresses"), 120)
