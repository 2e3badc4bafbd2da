"""A coordinator that welcomes whoever comes, and then says whatever it likes."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import zmq

from actorq import native
from actorq.errors import ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import Member
from tests.fuzzing.mutation import hostile_frames
from tests.fuzzing.samples import MESSAGES, TEXTS
from tests.fuzzing.tape import Tape

SAMPLES = {type(message): message for message in MESSAGES}
HELLOS: dict[type[Message], frames.Kinds] = {
    m.WorkerHello: frames.TO_WORKER, m.ControlHello: frames.TO_CONTROL, m.ClientHello: frames.TO_CLIENT
}  # fmt: skip
FINAL = (m.Rejected, m.Reset, m.Refused)
"""These end a node, a connection or a call for good: that is what they are for."""


class FalseCoordinator:
    """Listens on a thread of its own. After each Hello it sends a volley of hostile messages."""

    def __init__(self, address: str, seed: int) -> None:
        self.address = address
        self.volleys = 0
        self.pids: set[int] = set()
        """Of the worker nodes that came."""
        self._rng = random.Random(seed)
        self._stops = False
        self._ended = native.new_lock()
        self._ended.acquire()

    def __enter__(self) -> FalseCoordinator:
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(self.address)
        native.start_thread(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._stops = True
        assert self._ended.acquire(True, 20)
        self._context.destroy(linger=0)

    def _run(self) -> None:
        try:
            while not self._stops:
                if self._router.poll(50):
                    self._hear(*self._router.recv_multipart())
        finally:
            self._ended.release()

    def _hear(self, route: bytes, *data: bytes) -> None:
        try:
            hello: Any = frames.unpack(data, frames.HELLO)
        except ProtocolError:
            return
        if isinstance(hello, m.Discover):
            view = m.View(hello.nonce, Member(self.address, f"false-{self._rng.randrange(3)}", "false"), [])
            self._say(route, [bytes(each) for each in frames.Packer().pack(view)])
            return
        if type(hello) not in HELLOS:
            return
        if isinstance(hello, m.WorkerHello):
            self.pids.add(hello.pid)
        tape = Tape(self._rng.randbytes(400))
        welcome = m.Welcome(1, hello.nonce, "false", f"false-{tape.below(3)}", 1000)
        self._say(route, [bytes(each) for each in frames.Packer().pack(welcome)])
        kinds = [kind for kind in HELLOS[type(hello)].values() if kind not in FINAL]
        for seq in range(1, 2 + tape.below(12)):
            message = SAMPLES[tape.choice(kinds)]
            if isinstance(message, m.Deliver):
                message = msgspec.structs.replace(message, seq=seq)
            self._say(route, hostile_frames(tape, message, TEXTS, tape.below(3)))
        self._say(route, [tape.bytes(2), tape.bytes(20)])  # In the end it breaks the protocol in any case.
        self.volleys += 1

    def _say(self, route: bytes, data: list[bytes]) -> None:
        self._router.send_multipart([route, *data])
