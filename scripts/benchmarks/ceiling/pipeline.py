"""The nodes of the ceiling's pipeline. A call is ``[id, task, arguments, reply address]``; a message holds many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from scripts.benchmarks import work
from scripts.benchmarks.ceiling.sockets import NOBLOCK, GreenInput, drain, listen, open_socket

BATCH = 256
GREENLETS = 100
WINDOW = 4096
"""Calls that a worker may hold."""
SUBMIT, DELIVER, FINISHED, HELLO = b"S", b"D", b"F", b"H"

Call = list[Any]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


def run_coordinator() -> None:
    """Takes calls from clients and gives them to the worker with the most room."""
    socket = open_socket(zmq.Context(1), zmq.ROUTER)
    print(f"listens on {listen(socket)}", flush=True)
    readable = GreenInput(socket)
    queue: deque[Call] = deque()
    calls: dict[str, Call] = {}
    room: dict[bytes, int] = {}
    while True:
        readable.wait()
        while messages := drain(socket):
            for peer, kind, payload in messages:
                records = decode(payload)
                if kind == SUBMIT:
                    for call in records:
                        if call[0] not in calls:
                            calls[call[0]] = call
                            queue.append(call)
                elif kind == FINISHED:
                    for call_id in records:
                        calls.pop(call_id, None)
                    room[peer] += len(records)
                else:
                    room[peer] = records
                    print(f"has {len(room)} workers", flush=True)
            while queue and room:
                peer = max(room, key=room.__getitem__)
                count = min(room[peer], len(queue), BATCH)
                if not count:
                    break
                room[peer] -= count
                batch = [queue.popleft() for _ in range(count)]
                socket.send_multipart([peer, DELIVER, encode(batch)], NOBLOCK)


def run_worker(address: str) -> None:
    """Runs calls in greenlets that are there for good, and sends the results straight to the clients."""
    import gevent
    from gevent import get_hub
    from gevent.queue import SimpleQueue

    context = zmq.Context(1)
    socket = open_socket(context, zmq.DEALER)
    socket.connect(address)
    socket.send_multipart([HELLO, encode(WINDOW)])
    readable = GreenInput(socket)
    tasks: dict[str, Callable[..., Any]] = {
        "add": work.add,
        "echo": work.echo,
        "spin": work.spin,
        "started_at": work.started_at,
    }
    waiting = SimpleQueue()
    clients: dict[str, zmq.Socket[bytes]] = {}
    results: dict[str, list[tuple[str, bytes]]] = {}
    finished: list[str] = []
    once_per_turn = get_hub().loop.run_callback

    def flush() -> None:
        for reply_address, batch in results.items():
            client = clients.get(reply_address)
            if client is None:
                client = clients[reply_address] = open_socket(context, zmq.PUSH)
                client.connect(reply_address)
            client.send(encode(batch), NOBLOCK)
        results.clear()
        socket.send_multipart([FINISHED, encode(finished)], NOBLOCK)
        finished.clear()
        readable.look()

    def run_calls() -> None:
        take = waiting.get
        while True:
            call_id, task, body, reply_address = take()
            args, kwargs = decode(body)
            result = (call_id, encode(tasks[task](*args, **kwargs)))
            if not finished:
                once_per_turn(flush)
            finished.append(call_id)
            results.setdefault(reply_address, []).append(result)

    for _ in range(GREENLETS):
        gevent.spawn(run_calls)
    while True:
        readable.wait()
        for _, payload in drain(socket):
            for call in decode(payload):
                waiting.put(call)
