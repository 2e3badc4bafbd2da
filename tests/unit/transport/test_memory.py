"""The network in memory: delays, partitions, stalls and crashes, as the policy says and always in the same way."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from actorq.transport import Calm, Down, Event, LinkLimits, MemoryNetwork, Received, Up
from tests.unit.transport.worlds import MemoryWorld, Node


class Weather(Calm):
    """A policy that the test changes as it goes."""

    def __init__(self) -> None:
        self.delays: Callable[[], float] = lambda: 0.0
        self.blocked: set[tuple[str, str]] = set()
        self.stalled: set[str] = set()

    def delay_s(self, sender: str, receiver: str) -> float:
        return self.delays()

    def passes(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) not in self.blocked

    def reads(self, receiver: str) -> bool:
        return receiver not in self.stalled

    def partition(self, one: str, other: str) -> None:
        self.blocked |= {(one, other), (other, one)}


class Pair:
    """A client on host0 that is connected with a server on host1."""

    def __init__(self, limits: LinkLimits | None = None) -> None:
        self.weather = Weather()
        self.world = MemoryWorld(MemoryNetwork(self.weather, limits))
        self.client, self.server = self.world.node(), self.world.node()
        self.address = self.server.listen()
        self.peer = self.client.dial(self.address)
        self.client.send(self.peer, b"k", b"hello")
        self.world.until(lambda: self.server.messages())
        (self.from_client,) = self.server.senders()

    def pass_time(self, seconds: float) -> None:
        """Step by step, with everything that happens meanwhile."""
        end_s = self.world.now_s + seconds
        while self.world.now_s < end_s:
            self.world.network.deliver(self.world.now_s)
            for node in self.world.nodes:
                self.take_turn(node)
            self.world.now_s = min(max(self.world.network.next_s(), self.world.now_s + 0.001), end_s)
        self.world.network.deliver(self.world.now_s)
        for node in self.world.nodes:
            self.take_turn(node)

    def take_turn(self, node: Node) -> None:
        link = self.world.link_of(node)
        if link.wants_turn(self.world.now_s):
            link.take_turn(self.world.now_s)


def numbered(count: int) -> list[list[bytes]]:
    return [[b"k", b"%d" % number] for number in range(count)]


def test_delays_change_when_messages_come_and_never_their_order() -> None:
    pair = Pair()
    chance = random.Random(1)
    pair.weather.delays = lambda: chance.uniform(0, 1)
    pair.client.send_all(pair.peer, numbered(100))
    pair.world.network.deliver(pair.world.now_s)
    assert len(pair.server.messages()) < 100
    pair.pass_time(2)
    assert pair.server.messages()[1:] == numbered(100)


def test_a_partition_holds_messages_back_and_a_short_one_costs_nothing() -> None:
    pair = Pair()
    pair.weather.partition("host0", "host1")
    pair.client.send_all(pair.peer, numbered(10))
    pair.pass_time(5)
    assert len(pair.server.messages()) == 1
    pair.weather.blocked.clear()
    pair.pass_time(1)
    assert pair.server.messages()[1:] == numbered(10)
    assert pair.client.downs() == pair.server.downs() == []


def test_a_long_partition_ends_the_session_on_both_sides_and_all_that_was_under_way_is_lost() -> None:
    pair = Pair()
    pair.weather.partition("host0", "host1")
    pair.client.send_all(pair.peer, numbered(10))
    pair.pass_time(7)
    assert pair.client.downs() == [pair.peer] and pair.server.downs() == [pair.from_client]
    pair.weather.blocked.clear()
    pair.pass_time(1)
    assert len(pair.server.messages()) == 1
    assert pair.world.network.connections == []


def test_a_partition_of_one_direction_ends_it_too_when_the_deaf_side_has_noticed() -> None:
    pair = Pair()
    pair.weather.blocked.add(("host0", "host1"))
    pair.server.send(pair.from_client, b"k", b"still passes")
    pair.pass_time(1)
    assert pair.client.messages() == [[b"k", b"still passes"]] and pair.client.downs() == []
    pair.pass_time(6)
    assert pair.server.downs() == [pair.from_client] and pair.client.downs() == [pair.peer]


def test_a_stalled_host_keeps_its_session_and_its_peers_have_a_backlog() -> None:
    pair = Pair(LinkLimits(pipe_messages=10))
    pair.weather.stalled.add("host1")
    pair.client.send_all(pair.peer, numbered(100))
    pair.pass_time(60)
    assert pair.client.backlog(pair.peer) == 90 and pair.client.downs() == []
    pair.client.send(pair.peer, b"k", b"urgent", urgent=True)
    pair.weather.stalled.clear()
    pair.pass_time(1)
    received = pair.server.messages()[1:]
    assert received == [*numbered(10), [b"k", b"urgent"], *numbered(100)[10:]]
    assert pair.client.backlog(pair.peer) == 0


def test_a_connection_that_is_cut_is_down_on_both_sides_and_what_was_under_way_is_lost() -> None:
    pair = Pair()
    pair.weather.delays = lambda: 1.0
    pair.client.send_all(pair.peer, numbered(10))
    pair.pass_time(0.5)
    pair.world.network.cut("host1", "host0")
    pair.pass_time(5)
    assert len(pair.server.messages()) == 1
    assert pair.client.downs() == [pair.peer] and pair.server.downs() == [pair.from_client]


def test_of_a_crash_peers_hear_at_once_or_across_a_partition_by_their_heartbeats() -> None:
    for is_partitioned in (False, True):
        pair = Pair()
        if is_partitioned:
            pair.weather.partition("host0", "host1")
        pair.world.network.crash(pair.world.link_of(pair.server))
        pair.pass_time(1)
        assert pair.client.downs() == ([] if is_partitioned else [pair.peer])
        pair.pass_time(7)
        assert pair.client.downs() == [pair.peer]
        assert pair.server.downs() == [], "the dead hear nothing"


def test_a_process_that_comes_back_to_an_address_is_another_session() -> None:
    pair = Pair()
    pair.world.network.crash(pair.world.link_of(pair.server))
    pair.pass_time(1)
    again = pair.client.dial(pair.address)
    pair.client.send(again, b"k", b"fresh")
    pair.pass_time(3)
    assert pair.client.ups() == [pair.peer]
    successor = pair.world.node()
    successor.listen(pair.address)
    pair.pass_time(3)
    assert successor.messages() == [[b"k", b"fresh"]]
    assert pair.client.ups() == [pair.peer, again]


def test_one_that_is_called_across_a_partition_is_given_up() -> None:
    pair = Pair()
    pair.weather.partition("host0", "host1")
    peer = pair.client.call(pair.address)
    pair.pass_time(9)
    assert peer not in pair.client.downs()
    pair.pass_time(2)
    assert peer in pair.client.downs()


def test_the_network_knows_when_something_happens_next() -> None:
    pair = Pair()
    network = pair.world.network
    pair.pass_time(1)
    assert network.next_s() == math.inf
    pair.weather.delays = lambda: 3.0
    pair.client.send(pair.peer, b"k", b"x")
    network.deliver(pair.world.now_s)
    assert network.next_s() == pytest.approx(pair.world.now_s + 3)


def test_a_run_with_the_same_seed_is_the_same_run() -> None:
    def run() -> list[Event]:
        pair = Pair()
        chance = random.Random(7)
        pair.weather.delays = lambda: chance.expovariate(10)
        pair.server.echo()
        for number in range(50):
            pair.client.send(pair.peer, b"k", b"%d" % number)
            pair.pass_time(chance.random() / 10)
            if number == 30:
                pair.world.network.cut("host0", "host1")
                pair.peer = pair.client.dial(pair.address)
        pair.pass_time(5)
        return [*pair.client.events, *pair.server.events]

    first = run()
    assert first == run()
    assert {type(event) for event in first} == {Up, Down, Received}


def test_a_turn_is_due_when_the_owner_said() -> None:
    network = MemoryNetwork()
    turns: list[list[Event]] = []

    def turn(events: list[Event]) -> float | None:
        turns.append(events)
        return 2.0 if len(turns) == 1 else None

    link = network.link("host", turn)
    assert link.wants_turn(0)
    link.take_turn(0)
    assert not link.wants_turn(1.9) and link.wants_turn(2)
    link.take_turn(2)
    assert not link.wants_turn(1e9)
    assert link.asleep
    link.wake()
    assert not link.asleep and link.wants_turn(2)
