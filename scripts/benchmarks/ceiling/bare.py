"""The three hops of the pipeline with nothing but ZeroMQ: client → coordinator → worker → client."""

from __future__ import annotations

import time
from typing import Any

import zmq

from scripts.benchmarks.ceiling.sockets import listen, open_socket
from scripts.benchmarks.figure import BenchmarkError

HELLO = b"H"


def run_coordinator() -> None:
    """Hands everything on to the worker that said hello last."""
    socket = open_socket(zmq.Context(1), zmq.ROUTER)
    print(f"listens on {listen(socket)}", flush=True)
    worker: Any = None
    while True:
        frames = socket.recv_multipart(copy=False)
        if frames[1].bytes == HELLO:
            worker = frames[0]
            print("has 1 workers", flush=True)
        else:
            socket.send_multipart([worker, *frames[1:]], copy=False)


def run_worker(address: str) -> None:
    """Sends each body back to the reply address that comes with it."""
    context = zmq.Context(1)
    socket = open_socket(context, zmq.DEALER)
    socket.connect(address)
    socket.send_multipart([HELLO, b""])
    client: zmq.Socket[bytes] | None = None
    while True:
        reply_address, body = socket.recv_multipart(copy=False)
        if client is None:
            client = open_socket(context, zmq.PUSH)
            client.connect(reply_address.bytes.decode())
        client.send(body, copy=False)


class Client:
    """Sends bodies and gets them back, in one thread."""

    def __init__(self, address: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context(1)
        self._socket = open_socket(self._context, zmq.DEALER)
        self._socket.connect(address)
        self._replies = open_socket(self._context, zmq.PULL)
        self._replies.rcvtimeo = 60_000
        self._reply_address = listen(self._replies).encode()

    def round_trip(self, body: bytes) -> bytes:
        """Send one body and wait for it."""
        self._socket.send_multipart([self._reply_address, body])
        reply: bytes = self._receive(copy=True)
        return reply

    def stream(self, body: bytes, count: int, in_flight: int) -> float:
        """Send `body` `count` times, `in_flight` of them at any time. Returns the seconds until the last was back."""
        started_s = time.perf_counter()
        for number in range(count + in_flight):
            if number < count:
                self._socket.send_multipart([self._reply_address, body], copy=False)
            if number >= in_flight and len(self._receive(copy=False)) != len(body):
                raise BenchmarkError("a body came back with another size")
        return time.perf_counter() - started_s

    def close(self) -> None:
        """End the session."""
        self._context.destroy(0)

    def _receive(self, copy: bool) -> Any:
        try:
            return self._replies.recv(copy=copy)
        except zmq.Again:
            raise BenchmarkError("bare ZeroMQ gave no reply within 60 s") from None
