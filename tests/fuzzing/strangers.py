"""What comes over sockets from strangers: noise, handshakes that go wrong, and valid ZeroMQ with hostile messages."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import zmq

from actorq.wire import messages as m
from actorq.wire.frames import Packer
from actorq.wire.messages import Message
from tests.fuzzing.mutation import hostile_frames
from tests.fuzzing.samples import MESSAGES, TEXTS
from tests.fuzzing.tape import Tape

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\x00") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
SAMPLES = {type(message): message for message in MESSAGES}
VERSIONS = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
MOST_HELD = 20
"""Connections that are left half open at once."""


class Strangers:
    """Attacks one address. Used as a context manager: at its end all connections are closed."""

    def __init__(self, address: str, kinds: list[type[Message]]) -> None:
        self.address = address
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._endpoint = host, int(port)
        self._kinds = kinds
        self._held: list[socket.socket] = []
        self._context = zmq.Context()
        self._sessions = 0

    def __enter__(self) -> Strangers:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._held:
            each.close()
        self._context.destroy(linger=0)

    def attack(self, tape: Tape) -> None:
        """Do one harmful thing."""
        attacks: tuple[Callable[[Tape], None], ...] = (
            self.make_noise, self.greet_wrongly, self.stay_half_open, self.send_bad_frames, self.send_slowly,
            self.speak, self.speak, self.speak, self.say_many_hellos,
        )  # fmt: skip
        tape.choice(attacks)(tape)

    # -- raw bytes -----------------------------------------------------------------------------------------------

    def make_noise(self, tape: Tape) -> None:
        self._send_raw(tape.bytes(200) * (1 + tape.below(50)))

    def greet_wrongly(self, tape: Tape) -> None:
        mechanism = tape.choice((b"PLAIN", b"CURVE", b"GSSAPI", b"", b"\xff" * 20, b"NULL"))
        greeting = bytearray(GREETING[:12] + mechanism.ljust(20, b"\x00") + GREETING[32:])
        greeting[10] = tape.choice((0, 1, 2, 3, 4, 255))  # The version.
        greeting[32] = tape.below(2)  # As a server.
        self._send_raw(bytes(greeting) + tape.choice((b"", READY, tape.bytes(50))))

    def stay_half_open(self, tape: Tape) -> None:
        whole = GREETING + READY
        with suppress(OSError):
            raw = socket.create_connection(self._endpoint, timeout=10)
            self._held.append(raw)
            raw.sendall(whole[: tape.below(len(whole))])
        if len(self._held) > MOST_HELD:
            self._held.pop(0).close()

    def send_bad_frames(self, tape: Tape) -> None:
        frames = tape.choice(
            (
                struct.pack(">BQ", 2, 2**62),  # Long beyond all memory.
                struct.pack(">BQ", 3, 2**63 + 1),
                struct.pack(">BQ", 2, 64 * 2**20 + 1),  # One byte over the limit.
                struct.pack(">BQ", 3, 64 * 2**20) + b"only a little of it",
                b"\x01\x00" * 500,  # A message of many empty frames, with no end.
                b"\x06" + bytes(8),  # A command where none may be.
                b"\x04\xff" + bytes(255),
                b"\xff\xff",
            )
        )
        self._send_raw(GREETING + READY + frames)

    def send_slowly(self, tape: Tape) -> None:
        """A few bytes at a time, with the end of it never coming."""
        kind, payload = (bytes(each) for each in Packer().pack(self._hello(tape)))
        whole = GREETING + READY + b"\x01\x01" + kind + struct.pack("BB", 0, len(payload)) + payload
        with suppress(OSError), socket.create_connection(self._endpoint, timeout=10) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, tape.below(len(whole)), 3):
                raw.sendall(whole[start : start + 3])

    def _send_raw(self, data: bytes) -> None:
        with suppress(OSError), socket.create_connection(self._endpoint, timeout=10) as raw:
            raw.sendall(data)

    # -- valid ZeroMQ --------------------------------------------------------------------------------------------

    def speak(self, tape: Tape) -> None:
        """Say Hello, mostly, and then something that is not allowed, or nearly is."""
        with self._dealer() as dealer:
            if not tape.chance(10):
                dealer.send_multipart([bytes(each) for each in Packer().pack(self._hello(tape))])
            for _ in range(1 + tape.below(8)):
                message = SAMPLES[tape.choice(self._kinds)]
                if isinstance(message, m.Control) and message.command not in {"ping", "stats"}:
                    continue
                dealer.send_multipart(hostile_frames(tape, message, TEXTS, tape.below(4)))
            for _ in range(tape.below(3)):
                dealer.send_multipart([tape.bytes(2), tape.bytes(50), tape.bytes(3)])

    def say_many_hellos(self, tape: Tape) -> None:
        with self._dealer() as dealer:
            for _ in range(50):
                dealer.send_multipart([bytes(each) for each in Packer().pack(self._hello(tape))])

    def _hello(self, tape: Tape) -> Message:
        self._sessions += 1
        name = f"stranger-{self._sessions}"
        if tape.chance(50):
            return m.ClientHello(VERSIONS, "1", name, name, "tcp://127.0.0.1:1")
        return m.WorkerHello(VERSIONS, "1", name, name, ["strange"], ["strange"], 4, 4)

    @contextmanager
    def _dealer(self) -> Iterator[zmq.Socket[bytes]]:
        with ExitStack() as stack:
            dealer = self._context.socket(zmq.DEALER)
            stack.callback(dealer.close, 200)
            dealer.sndtimeo = 5000
            dealer.connect(self.address)
            with suppress(zmq.Again):
                yield dealer
