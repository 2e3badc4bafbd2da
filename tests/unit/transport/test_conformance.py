"""What every link does, be it of sockets, on a thread or on a gevent hub, or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from actorq.config import BLOB_BYTES
from actorq.errors import AddressInUse, MessageTooLarge
from actorq.transport import Down, GreenWaiter, Received, ThreadWaiter
from tests.support import free_address
from tests.unit.transport.worlds import MemoryWorld, Node, SocketWorld, World


@pytest.fixture(params=["thread", "green", "tcp", "memory"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    worlds: dict[str, Callable[[], World]] = {
        "thread": lambda: SocketWorld(ThreadWaiter),
        "green": lambda: SocketWorld(GreenWaiter),
        "tcp": lambda: SocketWorld(ThreadWaiter, shortcuts=False),
        "memory": MemoryWorld,
    }
    made = worlds[request.param]()
    yield made
    made.close()


def connect(world: World, dialler: Node, address: str) -> int:
    peer = dialler.dial(address)
    world.until(lambda: peer in dialler.ups(), "the connection is up")
    return peer


def test_messages_go_both_ways_in_order(world: World) -> None:
    server, client = world.node(), world.node()
    server.echo()
    peer = connect(world, client, server.listen())
    sent = [[b"k", b"%d" % number] for number in range(1000)]
    client.send_all(peer, sent)
    world.until(lambda: len(client.messages()) == len(sent))
    assert client.messages(peer) == server.messages() == sent
    assert len(server.senders()) == 1


def test_up_comes_once_and_before_all_messages(world: World) -> None:
    server, client = world.node(), world.node()
    server.echo()
    peer = client.dial(server.listen())
    # Given a message that was sent before the connection is there
    client.send(peer, b"early", b"")
    world.until(lambda: client.messages() == [[b"early", b""]])
    assert client.ups() == [peer]
    assert not isinstance(client.events[0], Received)


def test_a_dialled_address_that_nobody_listens_at_is_tried_until_somebody_does(world: World) -> None:
    server, client = world.node(), world.node()
    address = free_address()
    peer = client.dial(address)
    client.send(peer, b"k", b"waits")
    assert client.backlog(peer) == 1
    server.listen(address)
    world.until(lambda: server.messages() == [[b"k", b"waits"]])
    assert client.ups() == [peer] and client.downs() == []


def test_a_message_may_have_one_frame_or_many(world: World) -> None:
    server, client = world.node(), world.node()
    server.echo()
    address = server.listen()
    messages = [[b"one"], [b"%d" % number for number in range(50)], [b"last"]]
    for peer in (connect(world, client, address), client.call(address)):
        client.send_all(peer, messages)
        world.until(lambda peer=peer: len(client.messages(peer)) == 3)  # type: ignore[misc]
        assert client.messages(peer) == messages


def test_large_frames_come_as_views_and_small_ones_as_bytes(world: World) -> None:
    server, client = world.node(), world.node()
    server.echo()
    peer = connect(world, client, server.listen())
    message = (b"k", b"s" * (BLOB_BYTES - 1), b"L" * BLOB_BYTES, memoryview(b"v" * 300_000), memoryview(b"small"))
    client.send(peer, *message)
    world.until(lambda: client.messages())
    (event,) = [event for event in client.events if isinstance(event, Received)]
    assert [type(frame) for frame in event.frames] == [bytes, bytes, memoryview, memoryview, bytes]
    assert [bytes(frame) for frame in event.frames] == [bytes(frame) for frame in message]


def test_an_empty_frame_alone_is_no_message_but_one_among_others_is(world: World) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())
    client.send_all(peer, [[b""], [b"", b""], [b"k", b"", b"x"]])
    world.until(lambda: len(server.messages()) == 2)
    assert server.messages() == [[b"", b""], [b"k", b"", b"x"]]


def test_urgent_messages_go_first(world: World) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())

    def send() -> None:
        for name in (b"1", b"2"):
            client.link.send(peer, [b"bulk", name])
        for name in (b"1", b"2"):
            client.link.send(peer, [b"urgent", name], urgent=True)

    client.ask(send)
    world.until(lambda: len(server.messages()) == 4)
    assert server.messages() == [[b"urgent", b"1"], [b"urgent", b"2"], [b"bulk", b"1"], [b"bulk", b"2"]]


def test_both_sides_hear_of_the_end_of_a_session_once(world: World) -> None:
    server, client = world.node(), world.node()
    server.echo()
    peer = connect(world, client, server.listen())
    client.send(peer, b"k", b"x")
    world.until(lambda: client.messages())
    client.hang_up(peer)
    client.hang_up(peer)
    world.until(lambda: server.downs())
    # And another session proves that nothing more was to come of the first
    other = connect(world, client, server.ask(lambda: server.link.listen("tcp://127.0.0.1:0")))
    client.send(other, b"k", b"y")
    world.until(lambda: client.messages(other))
    assert server.downs() == server.senders()[:1]
    assert client.downs() == [peer] and client.reasons() == ["hung up here"]


def test_the_last_words_of_a_session_come_before_its_down(world: World) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())

    def say_and_hang_up() -> None:
        for number in range(500):
            client.link.send(peer, [b"k", b"%d" % number])
        client.link.hang_up(peer)

    client.ask(say_and_hang_up)
    world.until(lambda: server.downs())
    assert server.messages() == [[b"k", b"%d" % number] for number in range(500)]
    assert isinstance(server.events[-1], Down)


def test_a_dialler_hears_when_the_listener_stops_and_what_it_said_last(world: World) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())
    client.send(peer, b"k", b"hello")
    world.until(lambda: server.messages())
    (from_client,) = server.senders()
    server.send_all(from_client, [[b"k", b"%d" % number] for number in range(500)])
    world.stop(server)
    world.until(lambda: client.downs() == [peer])
    assert client.messages() == [[b"k", b"%d" % number] for number in range(500)]
    assert isinstance(client.events[-1], Down)


def test_a_session_after_another_is_a_new_peer_and_gets_nothing_that_was_meant_for_the_first(world: World) -> None:
    server, client = world.node(), world.node()
    address = server.listen()
    first = connect(world, client, address)
    client.send(first, b"k", b"first")
    world.until(lambda: server.messages())
    (old,) = server.senders()
    client.hang_up(first)
    world.until(lambda: server.downs() == [old])
    second = connect(world, client, address)
    server.send(old, b"k", b"stale")
    client.send(second, b"k", b"second")
    world.until(lambda: len(server.messages()) == 2)
    new = server.senders()[1]
    assert new != old and second != first
    server.send(new, b"k", b"fresh")
    world.until(lambda: client.messages())
    assert client.messages() == client.messages(second) == [[b"k", b"fresh"]]


def test_a_listeners_peer_that_was_hung_up_and_goes_on_is_a_new_one(world: World) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())
    client.send(peer, b"k", b"1")
    world.until(lambda: server.messages())
    (first,) = server.senders()
    server.hang_up(first)
    world.until(lambda: server.downs() == [first])
    client.send(peer, b"k", b"2")
    world.until(lambda: len(server.messages()) == 2)
    second = server.senders()[1]
    assert second != first
    server.send(first, b"k", b"to nobody")
    server.send(second, b"k", b"here")
    world.until(lambda: client.messages())
    assert client.messages() == [[b"k", b"here"]]


def test_a_call_takes_messages_at_once_and_can_be_answered(world: World) -> None:
    server, caller = world.node(), world.node()
    server.echo()
    address = server.listen()

    def call_and_send() -> int:
        peer = caller.link.call(address)
        caller.link.send(peer, [b"k", b"outcome"])
        return peer

    peer = caller.ask(call_and_send)
    world.until(lambda: caller.messages(peer) == [[b"k", b"outcome"]])
    assert caller.call(address) == peer, "the session lives, so it is the same"
    assert caller.ups() == []


def test_many_can_be_called_and_one_that_stops_is_down_alone(world: World) -> None:
    caller, servers = world.node(), [world.node() for _ in range(3)]
    peers = [caller.call(server.listen()) for server in servers]
    for number, peer in enumerate(peers):
        caller.send(peer, b"k", b"%d" % number)
    world.until(lambda: all(server.messages() for server in servers))
    assert [server.messages() for server in servers] == [[[b"k", b"0"]], [[b"k", b"1"]], [[b"k", b"2"]]]
    world.stop(servers[1])
    world.until(lambda: caller.downs() == [peers[1]])
    caller.send(peers[2], b"k", b"still there")
    world.until(lambda: servers[2].messages() == [[b"k", b"2"], [b"k", b"still there"]])


def test_a_call_that_nobody_takes_is_down(world: World) -> None:
    caller = world.node()
    address = free_address()
    peer = caller.call(address)
    caller.send(peer, b"k", b"lost")
    world.until(lambda: caller.downs() == [peer])
    assert address in caller.reasons()[0]
    assert caller.call(address) != peer


def test_an_address_can_be_called_again_after_it_was_hung_up(world: World) -> None:
    server, caller = world.node(), world.node()
    address = server.listen()
    first = caller.call(address)
    caller.send(first, b"k", b"1")
    world.until(lambda: server.messages() == [[b"k", b"1"]])
    caller.hang_up(first)
    world.until(lambda: len(server.downs()) == 1)
    second = caller.call(address)
    caller.send(second, b"k", b"2")
    world.until(lambda: server.messages() == [[b"k", b"1"], [b"k", b"2"]])
    assert second != first and caller.downs() == [first]


def test_to_send_to_one_that_is_gone_is_no_error(world: World) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())
    client.hang_up(peer)
    client.send(peer, b"k", b"x")
    assert client.backlog(peer) == 0


def test_a_frame_over_the_limit_is_refused_where_it_is_sent(world: World) -> None:
    server, client = world.node(), world.node()
    server.echo()
    peer = connect(world, client, server.listen())
    with pytest.raises(MessageTooLarge):
        client.send(peer, b"k", bytes(64 * 1024 * 1024 + 1))
    client.send(peer, b"k", b"still connected")
    world.until(lambda: client.messages() == [[b"k", b"still connected"]])


def test_two_cannot_listen_at_one_address(world: World) -> None:
    server, other = world.node(), world.node()
    address = server.listen()
    with pytest.raises(AddressInUse, match=address):
        other.listen(address)


def test_peers_have_numbers_of_their_own(world: World) -> None:
    server, clients = world.node(), [world.node() for _ in range(3)]
    address = server.listen()
    peers = [connect(world, client, address) for client in clients]
    for client, peer in zip(clients, peers, strict=True):
        client.send(peer, b"k", b"x")
    world.until(lambda: len(server.senders()) == 3)
    assert len({*peers, *server.senders()}) == 6
