"""Links with keys: who is let in, what both sides hear of it, and that it works as without."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from actorq.errors import BadAddress, OperationalError
from actorq.transport import (
    Down,
    KeyPair,
    Link,
    LinkKeys,
    LinkLimits,
    Received,
    ThreadWaiter,
    is_key,
    new_pair,
    pair_of,
)
from actorq.transport import zap as gates
from tests.unit.transport.worlds import Node, SocketWorld

SERVER = new_pair()
FRIEND = new_pair()


def keys_of(own: KeyPair, server: str = SERVER.public, listener: KeyPair = SERVER, admits: str = "") -> LinkKeys:
    return LinkKeys(own, server, listener, lambda key, address: key == (admits or FRIEND.public))


@pytest.fixture(params=[True, False], ids=["unix", "tcp"])
def world(request: pytest.FixtureRequest) -> Iterator[SocketWorld]:
    made = SocketWorld(ThreadWaiter, request.param)
    yield made
    made.close()


def refusal(world: SocketWorld, dialler: Node, address: str) -> str:
    """Why the listener does not take this one."""
    peer = dialler.dial(address)
    world.until(lambda: peer in dialler.downs(), "the session ends")
    (down,) = [event for event in dialler.events if isinstance(event, Down)]
    assert down.refused and not dialler.ups()
    return down.reason


# -- key pairs -----------------------------------------------------------------------------------------------------


def test_a_pair_follows_from_its_secret() -> None:
    assert pair_of(b"a" * 32) == pair_of(b"a" * 32) != pair_of(b"b" * 32)
    assert is_key(pair_of(b"a" * 32).public)
    assert pair_of(b"a" * 32).secret not in repr(pair_of(b"a" * 32))


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "é" * 40, " " * 40, "~" * 40, None, 7])
def test_what_is_no_key_is_told_from_one(text: object) -> None:
    assert not is_key(text)


# -- who is let in -------------------------------------------------------------------------------------------------


def test_a_known_key_is_let_in_and_both_sides_know_whom_they_talk_to(world: SocketWorld) -> None:
    listener, dialler = world.node(keys=keys_of(SERVER)), world.node(keys=keys_of(FRIEND))
    listener.echo()
    peer = dialler.dial(listener.listen())
    dialler.send(peer, b"k", b"hello")
    world.until(lambda: dialler.messages(peer) == [[b"k", b"hello"]])
    (sender,) = listener.senders()
    assert world.link_of(listener).identity(sender).key == FRIEND.public
    assert world.link_of(listener).identity(sender).address in ("", "127.0.0.1")
    assert world.link_of(dialler).identity(peer).key == SERVER.public


def test_an_unknown_key_is_refused_and_named_on_both_sides(
    world: SocketWorld, caplog: pytest.LogCaptureFixture
) -> None:
    listener, stranger = world.node(keys=keys_of(SERVER)), new_pair()
    address = listener.listen()
    reason = refusal(world, world.node(keys=keys_of(stranger)), address)
    assert f"{address} does not know this key" in reason and "actorq key client" in reason
    assert not listener.events
    world.until(lambda: world.link_of(listener).stats.refused == 1)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and stranger.public in record.getMessage()


def test_one_without_a_key_is_told_that_it_needs_one(world: SocketWorld, caplog: pytest.LogCaptureFixture) -> None:
    listener = world.node(keys=keys_of(SERVER))
    assert "it wants a key, and this side has none" in refusal(world, world.node(), listener.listen())
    world.until(lambda: world.link_of(listener).stats.broken_handshakes)
    assert not listener.events and "broke off the handshake" in caplog.text


def test_one_with_a_key_does_not_talk_to_a_listener_without(world: SocketWorld) -> None:
    listener = world.node()
    reason = refusal(world, world.node(keys=keys_of(FRIEND)), listener.listen())
    assert "was started without" in reason and not listener.events


def test_one_with_another_servers_key_does_not_talk_to_this_one(world: SocketWorld) -> None:
    listener = world.node(keys=keys_of(SERVER))
    dialler = world.node(keys=keys_of(FRIEND, server=new_pair().public))
    assert "it has another cluster's key" in refusal(world, dialler, listener.listen())
    assert not listener.events


def test_who_is_called_needs_the_key_that_is_expected(world: SocketWorld) -> None:
    own = new_pair()
    listener = world.node(keys=keys_of(own, listener=own))
    caller = world.node(keys=keys_of(FRIEND))
    address = listener.listen()
    wrong = caller.call(address, new_pair().public)
    caller.send(wrong, b"k", b"for another")
    world.until(lambda: wrong in caller.downs(), "the session ends")
    right = caller.call(address, own.public)
    caller.send(right, b"k", b"for it")
    world.until(lambda: listener.messages() == [[b"k", b"for it"]])
    with pytest.raises(BadAddress, match="named no key"):
        caller.call(address)


def test_a_call_to_the_same_address_with_another_key_is_another_session(world: SocketWorld) -> None:
    own = new_pair()
    listener = world.node(keys=keys_of(own, listener=own))
    caller = world.node(keys=keys_of(FRIEND))
    address = listener.listen()
    first = caller.call(address, own.public)
    assert caller.call(address, own.public) == first
    second = caller.call(address, new_pair().public)
    assert second != first
    world.until(lambda: first in caller.downs(), "the first session ends")


def test_nobody_takes_the_place_of_a_listener_that_has_proved_its_key(world: SocketWorld) -> None:
    own = new_pair()
    listener = world.node(keys=keys_of(own, listener=own))
    caller = world.node(keys=keys_of(FRIEND))
    address = listener.listen()
    first = caller.call(address, own.public)
    caller.send(first, b"k", b"one")
    world.until(lambda: listener.messages() == [[b"k", b"one"]])
    link: Any = caller.link
    world.until(lambda: first in link._caller._answered, "the handshake is heard of")
    with pytest.raises(BadAddress, match="another key"):
        caller.call(address, new_pair().public)
    caller.send(caller.call(address, own.public), b"k", b"two")
    world.until(lambda: [b"k", b"two"] in listener.messages())


def test_a_listener_takes_no_more_connections_than_its_limit(world: SocketWorld) -> None:
    listener = world.node(LinkLimits(connections=2), keys_of(SERVER))
    address = listener.listen()
    for _ in range(2):
        dialler = world.node(keys=keys_of(FRIEND))
        peer = dialler.dial(address)
        world.until(lambda dialler=dialler, peer=peer: peer in dialler.ups())  # type: ignore[misc]
    world.until(lambda: world.link_of(listener).stats.connections == 2)
    assert "has as many connections as it takes" in refusal(world, world.node(keys=keys_of(FRIEND)), address)


def test_of_many_that_connect_at_once_no_more_are_let_in_than_its_limit(world: SocketWorld) -> None:
    listener = world.node(LinkLimits(connections=2), keys_of(SERVER))
    address = listener.listen()
    diallers = [world.node(keys=keys_of(FRIEND)) for _ in range(8)]
    with listener.standing_still():
        for dialler in diallers:
            dialler.dial(address)
    world.until(lambda: all(each.ups() or each.downs() for each in diallers), "all are answered")
    assert sum(len(each.ups()) for each in diallers) <= 2


# -- as without ----------------------------------------------------------------------------------------------------


def test_the_largest_frame_passes(world: SocketWorld) -> None:
    limits = LinkLimits(max_frame_bytes=100_000)
    listener, dialler = world.node(limits, keys_of(SERVER)), world.node(limits, keys_of(FRIEND))
    listener.echo()
    peer = dialler.dial(listener.listen())
    dialler.send(peer, b"k", bytes(100_000))
    world.until(lambda: dialler.messages(peer) == [[b"k", bytes(100_000)]])


def test_a_thousand_messages_come_in_order(world: SocketWorld) -> None:
    listener, dialler = world.node(keys=keys_of(SERVER)), world.node(keys=keys_of(FRIEND))
    peer = dialler.dial(listener.listen())
    messages = [[b"k", b"%d" % number] for number in range(1000)]
    dialler.send_all(peer, messages)
    world.until(lambda: len(listener.messages()) == 1000)
    assert listener.messages() == messages


def test_who_ends_is_noticed(world: SocketWorld) -> None:
    listener, dialler = world.node(keys=keys_of(SERVER)), world.node(keys=keys_of(FRIEND))
    peer = dialler.dial(listener.listen())
    dialler.send(peer, b"k", b"hello")
    world.until(lambda: listener.senders())
    world.stop(dialler)
    world.until(lambda: listener.downs() == listener.senders(), "the listener notices")


# -- the test of the gate ------------------------------------------------------------------------------------------


def test_a_link_whose_gate_lets_a_stranger_in_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates.Gate, "_user", lambda self, request: "anybody")
    link = Link(ThreadWaiter(), lambda events: None, keys=keys_of(SERVER))
    with pytest.raises(OperationalError, match="does not refuse an unknown key"):
        link.listen("tcp://127.0.0.1:0")
    link.stop()


def test_a_link_whose_gate_is_shut_for_all_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates.Gate, "_user", lambda self, request: "")
    link = Link(ThreadWaiter(), lambda events: None, keys=keys_of(SERVER))
    with pytest.raises(OperationalError, match="nobody could connect"):
        link.listen("tcp://127.0.0.1:0")
    link.stop()


def test_a_link_without_a_gate_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates.Gate, "receive", lambda self, limit: True)
    monkeypatch.setattr(gates, "_TEST_S", 0.2)
    link = Link(ThreadWaiter(), lambda events: None, keys=keys_of(SERVER))
    with pytest.raises(OperationalError):
        link.listen("tcp://127.0.0.1:0")
    link.stop()


def test_the_guest_of_the_test_is_not_let_in_later(world: SocketWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[KeyPair] = []

    def note() -> KeyPair:
        made.append(new_pair())
        return made[-1]

    monkeypatch.setattr(gates, "new_pair", note)
    listener = world.node(keys=keys_of(SERVER))
    address = listener.listen()
    for pair in made:
        assert "does not know this key" in refusal(world, world.node(keys=keys_of(pair)), address)
    assert len(made) == 2 and not [event for event in listener.events if isinstance(event, Received)]
