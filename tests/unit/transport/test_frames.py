"""Which frames are copied on their way through a link, and which are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from actorq.config import BLOB_BYTES
from actorq.transport.sockets import NOBLOCK, receive_rest, send_frame

LARGE = bytes(range(256)) * (BLOB_BYTES // 256)


@pytest.fixture
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    context: zmq.Context[Any] = zmq.Context()
    one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    one.bind("inproc://pair")
    other.connect("inproc://pair")
    yield one, other
    one.close(0)
    other.close(0)
    context.term()


def received_view(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> memoryview:
    one, other = pair
    one.send(LARGE)
    (frame,) = receive_rest(other.recv, other.recv(NOBLOCK, False))
    assert isinstance(frame, memoryview)
    return frame


class Sent:
    """In the place of `socket.send`: remembers what it was given."""

    def __call__(self, data: object, flags: int, copy: bool = True) -> None:
        self.data, self.flags, self.copy = data, flags, copy


def test_a_large_frame_that_was_received_is_sent_from_the_buffer_it_came_in(
    pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    view = received_view(pair)
    sent = Sent()
    send_frame(sent, view, NOBLOCK)
    assert isinstance(sent.data, zmq.Frame) and id(sent.data) == id(view.obj)
    assert not sent.copy and sent.flags == NOBLOCK


def test_a_part_of_such_a_frame_is_sent_as_that_part(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    one, other = pair
    part = received_view(pair)[10:-10]
    send_frame(one.send, part, NOBLOCK)
    assert other.recv(NOBLOCK) == LARGE[10:-10]


def test_pythons_own_memory_is_copied_so_that_no_collector_thread_is_needed() -> None:
    for data in (LARGE, memoryview(LARGE), b"small"):
        sent = Sent()
        send_frame(sent, data, NOBLOCK)
        assert sent.data is data and sent.copy


def test_a_forwarded_frame_outlives_its_view_and_its_socket(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    one, other = pair
    for _ in range(3):
        send_frame(one.send, received_view(pair), NOBLOCK)
    one.close(1000)
    assert [other.recv(NOBLOCK) for _ in range(3)] == [LARGE] * 3
