"""Garbage, truncated and hostile messages cost their sender the connection, and nobody else anything."""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import zmq

from actorq import ActorQ
from actorq.errors import OperationalError
from actorq.wire import messages as m
from actorq.wire.frames import Packer
from actorq.wire.records import SUCCESS, Call, Outcome
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + bytes(32)


def endpoint_of(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host, int(port)


@contextmanager
def dealer(address: str) -> Iterator[zmq.Socket[bytes]]:
    """A stranger's socket."""
    context = zmq.Context()
    sock = context.socket(zmq.DEALER)
    sock.linger = 0
    sock.rcvtimeo = 10_000
    sock.connect(address)
    try:
        yield sock
    finally:
        sock.close()
        context.term()


def receive(sock: zmq.Socket[bytes]) -> list[bytes]:
    """The next message that is not a probe of whether we are there."""
    while True:
        frames = sock.recv_multipart()
        if frames != [b""]:
            return frames


def hostile_frames() -> list[list[bytes]]:
    seed = random.Random(7)
    hello = Packer().pack(m.ClientHello((1, 1), "1", "x", "session", "tcp://127.0.0.1:1"))
    submit = Packer().pack(m.Submit(1, [], [Call("id", 77, b"")]))
    nested = b"\x91" * 100_000 + b"\xc0"
    return [
        [b""],
        [b"\x00"],
        [b"\xff", b"\xc0"],
        [bytes(hello[0])],
        [bytes(hello[0]), b""],
        [bytes(hello[0]), bytes(hello[1])[:-3]],
        [bytes(hello[0]), nested],
        [bytes(submit[0]), bytes(submit[1])],
        [bytes(hello[0]), b"\xdd\xff\xff\xff\xff"],
        *[[bytes(hello[0]), seed.randbytes(seed.randrange(200))] for _ in range(50)],
        *[[seed.randbytes(1), seed.randbytes(60), seed.randbytes(60)] for _ in range(50)],
    ]


def test_garbage_on_the_coordinators_port_disturbs_nobody(shared_app: ActorQ) -> None:
    waiting = tasks.pid_after.delay(0.5)
    for data in (os.urandom(4096), GREETING[:20], GREETING + b"\x04\x26" + b"\xff" * 100, struct.pack(">BQ", 2, 2**62)):
        with socket.create_connection(endpoint_of(shared_app.url), timeout=10) as raw:
            raw.sendall(data)
    for frames in hostile_frames():
        with dealer(shared_app.url) as sock:
            sock.send_multipart(frames)
    assert waiting.get(timeout=20)
    assert tasks.add.delay(1, 2).get(timeout=20) == 3


def test_garbage_on_a_clients_reply_port_disturbs_nobody(shared_app: ActorQ) -> None:
    address = shared_app.session.core.reply_address
    waiting = tasks.pid_after.delay(0.5)
    stranger = m.Results("another session", [Outcome(waiting.id, 1, SUCCESS, b"\xc0")])
    for frames in [*hostile_frames(), [bytes(each) for each in Packer().pack(stranger)]]:
        with dealer(address) as sock:
            sock.send_multipart(frames)
    assert waiting.get(timeout=20) is not None
    assert tasks.add.delay(1, 2).get(timeout=20) == 3


def test_who_speaks_before_hello_is_told_to_begin_again(shared_app: ActorQ) -> None:
    with dealer(shared_app.url) as sock:
        sock.send_multipart(Packer().pack(m.Ping()))
        kind, _ = receive(sock)
        assert kind == Packer().pack(m.Reset())[0]


def test_calls_with_options_that_were_never_sent_are_refused_with_the_reason(shared_app: ActorQ) -> None:
    packer = Packer()
    with dealer(shared_app.url) as sock:
        sock.send_multipart(packer.pack(m.ClientHello((1, 1), "1", "x", "s-77", "tcp://127.0.0.1:1")))
        receive(sock)
        sock.send_multipart(packer.pack(m.Submit(1, [], [Call("id-77", 77, b"")])))
        kind, payload = receive(sock)
        assert kind == packer.pack(m.Refused([]))[0]
        ((task_id, reason),) = msgspec.msgpack.decode(payload)[0]
        assert task_id == "id-77" and "options" in reason


def test_a_function_that_is_not_what_its_digest_names_ends_the_session_of_who_sent_it(shared_app: ActorQ) -> None:
    # Else it would stand in the way of the function of that digest, and the calls of others would fail.
    packer = Packer()
    with dealer(shared_app.url) as sock:
        sock.send_multipart(packer.pack(m.ClientHello((1, 1), "1", "x", "s-78", "")))
        receive(sock)
        sock.send_multipart(packer.pack(m.Code("0" * 64, b"another")))
        assert receive(sock)[0] == packer.pack(m.Reset())[0]


def test_a_client_of_another_protocol_version_is_told_which_one_is_spoken(
    shared_app: ActorQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m, "OLDEST_VERSION", 98)
    monkeypatch.setattr(m, "PROTOCOL_VERSION", 99)
    stranger = ActorQ("stranger", shared_app.url)
    with pytest.raises(OperationalError, match="the peer speaks protocol 98 to 99"):
        stranger.send_task("anything", publish_timeout=1.0)
    stranger.close()


def test_a_port_in_use_is_an_error_that_says_so(mesh: Mesh) -> None:
    first = mesh.start_coordinator()
    first.wait_for_output("listens")
    second = mesh.start_coordinator()
    assert second.wait() == 78
    assert "in use" in second.output() and "Traceback" not in second.output()


def test_a_module_that_does_not_import_is_an_error_that_names_it(mesh: Mesh) -> None:
    mesh.start_coordinator()
    worker = mesh.nodes.start("worker", "-A", "tests.integration.no_such_module", "-u", mesh.address)
    assert worker.wait() == 78
    assert "no_such_module" in worker.output() and "Traceback" not in worker.output()


def test_a_worker_joins_a_coordinator_that_starts_later(mesh: Mesh) -> None:
    mesh.start_worker()
    mesh.start_coordinator()
    with mesh.client() as app:
        wait_for_workers(app, 1)
        assert tasks.add.delay(1, 2).get(timeout=20) == 3
