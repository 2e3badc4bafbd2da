"""Unix sockets beside loopback TCP."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from actorq.errors import AddressInUse
from actorq.transport import ThreadWaiter, shortcuts
from tests.support import free_port
from tests.unit.transport.worlds import SocketWorld


@pytest.fixture
def world() -> Iterator[SocketWorld]:
    made = SocketWorld(ThreadWaiter)
    yield made
    made.close()


STREAM = "0001"


def unix_sockets(name: str) -> int:
    """How many stream sockets of this network namespace have the name: the listener's, and those it has accepted."""
    with open("/proc/net/unix") as table:
        lines = [line.split() for line in table]
    return sum(line[4] == STREAM and line[-1] == f"@{name}" for line in lines)


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")


@pytest.mark.parametrize(
    ("address", "shortcut"),
    [
        ("tcp://127.0.0.1:5570", "ipc://@actorq-127.0.0.1:5570"),
        ("tcp://[::1]:5570", "ipc://@actorq-[::1]:5570"),
        ("tcp://localhost:5570", None),
        ("tcp://10.1.2.3:5570", None),
        ("tcp://0.0.0.0:5570", None),
        ("tcp://127.0.0.1:*", None),
        ("ipc:///tmp/mesh", None),
    ],
)
def test_only_addresses_of_loopback_have_a_shortcut(address: str, shortcut: str | None) -> None:
    assert shortcuts.shortcut_of(address) == shortcut


def test_without_a_listener_there_is_no_shortcut() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    assert shortcuts.shortest(address) == address


def test_those_who_dial_and_call_on_this_host_take_it(world: SocketWorld) -> None:
    server, client = world.node(), world.node()
    server.echo()
    address = server.listen()
    name = shortcuts.shortest(address).removeprefix("ipc://@")
    assert name.startswith("actorq-") and unix_sockets(name) == 1
    dialled, called = client.dial(address), client.call(address)
    for peer in (dialled, called):
        client.send(peer, b"k", b"x")
    world.until(lambda: len(client.messages()) == 2)
    assert unix_sockets(name) == 3


def test_a_listener_without_one_is_reached_by_tcp(world: SocketWorld) -> None:
    tcp = SocketWorld(ThreadWaiter, shortcuts=False)
    server, client = tcp.node(), world.node()
    server.echo()
    address = server.listen()
    assert shortcuts.shortest(address) == address
    for peer in (client.dial(address), client.call(address)):
        client.send(peer, b"k", b"x")
    world.until(lambda: len(client.messages()) == 2)
    tcp.close()


def test_a_shortcut_that_somebody_else_has_is_an_address_in_use(world: SocketWorld) -> None:
    # Given a program that waits for those who look for us
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as squatter:
        squatter.bind(f"\0actorq-127.0.0.1:{port}")
        squatter.listen()
        with pytest.raises(AddressInUse):
            world.node().listen(f"tcp://127.0.0.1:{port}")


def test_to_look_for_it_is_not_heard_of_and_leaves_nothing_open(world: SocketWorld) -> None:
    address = world.node().listen()
    open_files = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        assert shortcuts.shortest(address) != address
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_listener_that_ends_with_a_connection_in_its_backlog_is_no_listener(world: SocketWorld) -> None:
    # Given one that does not get to take the connection
    address = f"tcp://127.0.0.1:{free_port()}"
    shortcut = shortcuts.shortcut_of(address)
    assert shortcut is not None
    client = world.node()
    with socket.socket(socket.AF_UNIX) as ending, shortcuts.announce(shortcut):
        ending.bind(shortcut.replace("ipc://@", "\0"))
        ending.listen()
        peer = client.dial(address)
        assert select.select([ending], [], [], 10)[0]
    # When it has ended, and another one listens there
    world.node().listen(address)
    # Then the dialler comes to that one
    world.until(lambda: peer in client.ups(), "the connection is up")
