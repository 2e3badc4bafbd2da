"""Links over real sockets: under load, and when peers die, stall, misbehave or are not what they should be."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import zmq

from actorq.errors import AddressInUse, BadAddress
from actorq.transport import Down, Event, GreenWaiter, Link, LinkLimits, Received, ThreadWaiter, Up
from tests.support import NodeProcess, Nodes, eventually, free_port
from tests.unit.transport.worlds import Node, SocketWorld

QUICK = LinkLimits(heartbeat_s=0.1, heartbeat_timeout_s=0.4)

PEER = """
import sys
from actorq.transport import Link, LinkLimits, ThreadWaiter, Received, Up

def turn(events):
    for event in events:
        if isinstance(event, Up):
            link.send(event.peer, [b"k", b"here"])
            print("up", flush=True)
        if isinstance(event, Received):
            print("received", bytes(event.frames[1]).decode(), flush=True)

command, address, *quick = sys.argv[1:]
link = Link(ThreadWaiter(), turn, LinkLimits(heartbeat_s=0.1, heartbeat_timeout_s=0.4) if quick else None)
if command == "dial":
    link.dial(address)
else:
    print("listens", link.listen(address), flush=True)
link.run()
"""


@pytest.fixture(
    params=[(ThreadWaiter, True), (GreenWaiter, True), (ThreadWaiter, False)], ids=["thread", "green", "tcp"]
)
def world(request: pytest.FixtureRequest) -> Iterator[SocketWorld]:
    made = SocketWorld(*request.param)
    yield made
    made.close()


@pytest.fixture(params=[True, False], ids=["unix", "tcp"])
def plain(request: pytest.FixtureRequest) -> Iterator[SocketWorld]:
    """Where it does not matter how a link waits."""
    made = SocketWorld(ThreadWaiter, request.param)
    yield made
    made.close()


def connect(world: SocketWorld, dialler: Node, address: str) -> int:
    peer = dialler.dial(address)
    world.until(lambda: peer in dialler.ups(), "the connection is up")
    return peer


def start_peer(nodes: Nodes, command: str, address: str, *quick: str) -> NodeProcess:
    return nodes.start_command(sys.executable, "-c", PEER, command, address, *quick)


class Gate:
    """Holds a node's turn, as a greenlet does that never yields, until it is opened."""

    def __init__(self, node: Node) -> None:
        self._is_shut = threading.Event()
        self._opened = threading.Event()
        node.on_event = self._hold

    def _hold(self, event: Event) -> None:
        if isinstance(event, Received) and not self._opened.is_set():
            self._is_shut.set()
            assert self._opened.wait(20)

    def wait_shut(self) -> None:
        assert self._is_shut.wait(20)

    def open(self) -> None:
        self._opened.set()


def start_with_dial(link: Link, address: str) -> threading.Thread:
    def run() -> None:
        link.dial(address)
        link.run()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class CountingWaiter(ThreadWaiter):
    """Counts how often the link goes to sleep, or looks around."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = 0

    def wait(self, timeout_s: float) -> None:
        self.rounds += 1
        super().wait(timeout_s)

    def breathe(self) -> None:
        self.rounds += 1
        super().breathe()


# -- under load --------------------------------------------------------------------------------------------------


def test_no_message_is_lost_or_missed_when_both_sides_send_all_the_time(world: SocketWorld) -> None:
    count, window = 20_000, 200
    server, client = world.node(), world.node()
    peers: dict[str, int] = {}
    sent = {"server": 0, "client": 0}
    echoed = {"server": 0, "client": 0}
    in_order = {"server": True, "client": True}

    def play(name: str, node: Node) -> Callable[[Event], None]:
        """Ask questions, `window` at a time, and answer those of the other side."""

        def ask_more() -> None:
            while sent[name] < count and sent[name] - echoed[name] < window:
                node.link.send(peers[name], [b"question", b"%d" % sent[name]])
                sent[name] += 1

        def on_event(event: Event) -> None:
            if isinstance(event, Up):
                peers[name] = event.peer
                ask_more()
            elif isinstance(event, Received):
                kind, number = event.frames
                if kind == b"question":
                    node.link.send(event.peer, [b"answer", number])
                    if name not in peers:
                        peers[name] = event.peer
                        ask_more()
                else:
                    in_order[name] &= int(bytes(number)) == echoed[name]
                    echoed[name] += 1
                    ask_more()

        return on_event

    server.on_event, client.on_event = play("server", server), play("client", client)
    client.dial(server.listen())
    world.until(lambda: echoed == {"server": count, "client": count})
    assert in_order == {"server": True, "client": True}
    for node in (server, client):
        stats = world.link_of(node).stats
        assert stats.messages_in == stats.messages_out == 2 * count
        assert stats.missed_wakeups == 0
        assert stats.turns < stats.messages_in, "messages are handled in batches"


def test_one_message_at_a_time_needs_no_safety_timer(world: SocketWorld) -> None:
    server, client = world.node(), world.node()
    server.echo()
    left = 2000

    def on_event(event: Event) -> None:
        nonlocal left
        if isinstance(event, (Up, Received)):
            left -= 1
            client.link.send(event.peer, [b"k", b"x"])

    client.on_event = on_event
    client.dial(server.listen())
    world.until(lambda: left <= 0)
    assert world.link_of(server).stats.missed_wakeups == world.link_of(client).stats.missed_wakeups == 0


def test_what_others_append_while_the_link_is_awake_is_seen(world: SocketWorld) -> None:
    outbox: deque[bytes] = deque()
    count, threads = 3000, 3
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())
    link = world.link_of(client)
    original_turn = client.turn

    def turn(events: list[Event]) -> float | None:
        while outbox:
            link.send(peer, [b"k", outbox.popleft()])
        return original_turn(events)

    link._turn = turn

    def append() -> None:
        for number in range(count):
            outbox.append(b"%d" % number)
            if link.asleep:
                link.wake()

    appenders = [threading.Thread(target=append) for _ in range(threads)]
    for each in appenders:
        each.start()
    world.until(lambda: len(server.messages()) == count * threads)
    for each in appenders:
        each.join(10)
    assert link.stats.turns < count * threads


def test_what_is_appended_after_the_turn_has_looked_brings_another_turn(world: SocketWorld) -> None:
    outbox, seen = deque([b"first"]), list[bytes]()

    def turn(events: list[Event]) -> float | None:
        while outbox:
            seen.append(outbox.popleft())
        if seen == [b"first"]:
            # As another thread does, at the worst moment
            outbox.append(b"second")
            if link.asleep:
                link.wake()
        elif b"second" in seen:
            link.stop()
        return None

    link = Link(world.waiter(), turn)
    link.wake()
    link.run()
    assert seen == [b"first", b"second"]


def test_other_greenlets_run_while_a_link_is_flooded(plain: SocketWorld) -> None:
    import gevent

    count = 900  # What ZeroMQ holds for us without anybody's help: a busy main thread lets a sender hardly run.
    received = 0
    steps_while_flooded = 0

    def turn(events: list[Event]) -> float | None:
        nonlocal received
        received += sum(isinstance(event, Received) for event in events)
        return None

    link = Link(GreenWaiter(), turn, LinkLimits(round_messages=30))
    sender = plain.node()
    peer = connect(plain, sender, link.listen("tcp://127.0.0.1:0"))
    sender.send_all(peer, [[b"k", b"x"]] * count)
    plain.until(lambda: sender.backlog(peer) == 0)
    greenlet = gevent.spawn(link.run)
    with gevent.Timeout(20):
        while received < count:
            gevent.sleep(0)
            steps_while_flooded += 0 < received < count
    assert steps_while_flooded > 10
    link.stop(0)
    greenlet.join(10)
    assert greenlet.successful()


def test_a_peer_that_floods_does_not_keep_others_out(plain: SocketWorld) -> None:
    server = plain.node(LinkLimits(round_messages=100))
    flooder, modest = plain.node(), plain.node()
    address = server.listen()
    noisy, quiet = connect(plain, flooder, address), connect(plain, modest, server.listen())
    gate = Gate(server)
    modest.send(quiet, b"k", b"shut")
    gate.wait_shut()
    # Given a server that finds very many messages of one peer, and one of another that listens elsewhere
    flooder.send_all(noisy, [[b"k", b"flood"]] * 2000)
    plain.until(lambda: flooder.backlog(noisy) == 0 or world_has_stalled(plain, flooder))
    modest.send(quiet, b"k", b"modest")
    time.sleep(0.05)
    gate.open()
    plain.until(lambda: len(server.messages()) == 2002)
    # Then that one is served long before the flood is over
    assert server.messages().index([b"k", b"modest"]) < 1000


def world_has_stalled(world: SocketWorld, node: Node) -> bool:
    return world.link_of(node).stats.stalls > 0


# -- peers that die ----------------------------------------------------------------------------------------------


def test_a_listener_hears_of_a_peer_that_was_killed(plain: SocketWorld, nodes: Nodes) -> None:
    server = plain.node()
    process = start_peer(nodes, "dial", server.listen())
    plain.until(lambda: server.messages() == [[b"k", b"here"]])
    process.signal(signal.SIGKILL)
    plain.until(lambda: server.downs() == server.senders())


def test_a_dialler_hears_of_a_listener_that_was_killed(plain: SocketWorld, nodes: Nodes) -> None:
    client = plain.node()
    address = f"tcp://127.0.0.1:{free_port()}"
    process = start_peer(nodes, "listen", address)
    dialled = connect(plain, client, address)
    called = client.call(address)
    client.send(called, b"k", b"called")
    process.wait_for_output("received called")
    process.signal(signal.SIGKILL)
    plain.until(lambda: sorted(client.downs()) == sorted([dialled, called]))
    assert address in client.reasons()[0]


def test_a_peer_that_is_frozen_is_down_after_the_heartbeats_timeout(plain: SocketWorld, nodes: Nodes) -> None:
    server, client = plain.node(QUICK), plain.node(QUICK)
    inbound = start_peer(nodes, "dial", server.listen(), "quick")
    address = f"tcp://127.0.0.1:{free_port()}"
    outbound = start_peer(nodes, "listen", address)
    peer = connect(plain, client, address)
    plain.until(lambda: server.messages())
    time.sleep(0.5)  # Nobody sees its first ping, which says how long it may be silent.
    inbound.signal(signal.SIGSTOP)
    outbound.signal(signal.SIGSTOP)
    plain.until(lambda: server.downs() == server.senders() and client.downs() == [peer])


SLOW_READER = """
import sys, time
from actorq.transport import Down, Link, LinkLimits, Received, ThreadWaiter

def turn(events):
    global received, is_slow
    received += sum(isinstance(event, Received) for event in events)
    if any(isinstance(event, Down) for event in events):
        link.stop()
    if received == 1 and not is_slow:
        is_slow = True
        print("slow", flush=True)
        time.sleep(2)

received, is_slow = 0, False
link = Link(ThreadWaiter(), turn, LinkLimits(shortcuts=sys.argv[1] == "unix", heartbeat_s=0.1, heartbeat_timeout_s=5))
print("listens", link.listen(sys.argv[2]), flush=True)
link.run()
print("has received at least a pipe:", received > 1000, flush=True)
"""


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_a_reader_that_is_behind_outlives_a_peer_that_goes(way: str, nodes: Nodes) -> None:
    # Given a reader that does not look for twenty heartbeats, at more than a pipe holds
    address = f"tcp://127.0.0.1:{free_port()}"
    reader = nodes.start_command(sys.executable, "-c", SLOW_READER, way, address)
    reader.wait_for_output("listens")
    world = SocketWorld(ThreadWaiter, shortcuts=way == "unix")
    sender = world.node(LinkLimits(heartbeat_s=0.1, heartbeat_timeout_s=5))
    peer = connect(world, sender, address)
    sender.send(peer, b"k", b"first")
    reader.wait_for_output("slow")
    sender.send_all(peer, [[b"k", b"x" * 200]] * 1500)
    world.until(lambda: sender.backlog(peer) == 0)
    # When its peer closes the connection
    world.close()
    # Then it goes on: libzmq has not aborted it
    reader.wait_for_output("has received at least a pipe: True")


def test_each_of_many_peers_that_go_at_once_is_reported_once_and_the_others_stay(plain: SocketWorld) -> None:
    server, client, other = plain.node(), plain.node(), plain.node()
    server.echo()
    address = server.listen()
    stays = connect(plain, other, address)
    other.send(stays, b"k", b"stays")
    peers = [client.dial(address) for _ in range(50)]
    for peer in peers:
        client.send(peer, b"k", b"goes")
    plain.until(lambda: len(client.messages()) == 50)
    gone = [event.peer for event in server.events if isinstance(event, Received) and event.frames[1] == b"goes"]
    for peer in peers[:25]:
        client.hang_up(peer)
    plain.stop(client)
    plain.until(lambda: len(server.downs()) == 50)
    other.send(stays, b"k", b"again")
    plain.until(lambda: len(other.messages()) == 2)
    assert sorted(server.downs()) == sorted(gone)
    assert other.downs() == []


def test_peers_that_came_spoke_and_went_before_anybody_looked_are_down_each_after_its_message(
    plain: SocketWorld,
) -> None:
    count = 150
    # Given a listener that looks at few messages at a time, and is busy
    server, first, visitors = plain.node(LinkLimits(round_messages=64)), plain.node(), plain.node()
    address = server.listen()
    gate = Gate(server)
    first.send(first.dial(address), b"k", b"shut")
    gate.wait_shut()

    def say_and_go(event: Event) -> None:
        if isinstance(event, Up):
            visitors.link.send(event.peer, [b"k", b"hello"])
            visitors.link.hang_up(event.peer)

    # When many come, speak and go
    visitors.on_event = say_and_go
    visitors.ask(lambda: [visitors.link.dial(address) for _ in range(count)])
    plain.until(lambda: len(visitors.downs()) == count)
    plain.stop(visitors)
    gate.open()
    # Then it hears each of them, and of the end of each, once and in this order
    plain.until(lambda: len(server.downs()) == count)
    assert sorted(server.downs()) == sorted(server.senders()[1:])
    heard: set[int] = set()
    for event in server.events:
        if isinstance(event, Received):
            heard.add(event.peer)
        elif isinstance(event, Down):
            assert event.peer in heard


def test_a_peer_that_went_is_not_down_before_the_listener_has_received_all_it_said(plain: SocketWorld) -> None:
    count = 900
    server, client = plain.node(LinkLimits(round_messages=64)), plain.node()
    peer = connect(plain, client, server.listen())
    gate = Gate(server)
    client.send(peer, b"k", b"shut")
    gate.wait_shut()
    client.send_all(peer, [[b"k", b"%d" % number] for number in range(count)])
    plain.stop(client)
    gate.open()
    plain.until(lambda: server.downs())
    assert server.messages()[1:] == [[b"k", b"%d" % number] for number in range(count)]
    assert server.downs() == server.senders() and isinstance(server.events[-1], Down)


def test_a_listener_that_comes_back_is_another_session(plain: SocketWorld, nodes: Nodes) -> None:
    client = plain.node()
    address = f"tcp://127.0.0.1:{free_port()}"
    first_process = start_peer(nodes, "listen", address)
    first = connect(plain, client, address)
    first_process.signal(signal.SIGKILL)
    plain.until(lambda: client.downs() == [first])
    client.send(first, b"k", b"stale")
    second_process = start_peer(nodes, "listen", address)
    second = connect(plain, client, address)
    client.send(first, b"k", b"stale")
    client.send(second, b"k", b"fresh")
    second_process.wait_for_output("received fresh")
    assert "stale" not in second_process.output()
    assert first not in client.ups()[1:]


def test_what_was_sent_to_a_frozen_peer_does_not_reach_the_next_process_on_its_port(
    plain: SocketWorld, nodes: Nodes
) -> None:
    client = plain.node(QUICK)
    address = f"tcp://127.0.0.1:{free_port()}"
    frozen = start_peer(nodes, "listen", address)
    dialled, called = connect(plain, client, address), client.call(address)
    client.send(called, b"k", b"called")
    frozen.wait_for_output("received called")
    frozen.signal(signal.SIGSTOP)
    # Given many messages that ZeroMQ has taken, of which none was delivered, when another process comes to the port
    message = [b"k", b"stale" * 2000]
    client.send_all(called, [message] * 500)
    client.send_all(dialled, [message] * 500)
    plain.until(lambda: sorted(client.downs()) == sorted([called, dialled]))
    frozen.signal(signal.SIGKILL)
    frozen.wait()
    successor = start_peer(nodes, "listen", address)
    client.send(connect(plain, client, address), b"k", b"fresh")
    # Then it hears nothing of them
    successor.wait_for_output("received fresh")
    assert "stale" not in successor.output()


STREAM = """
import sys, threading, time
from actorq.transport import Link, LinkLimits, Received, ThreadWaiter, Up

COUNT = 2000
LIMITS = LinkLimits(pipe_messages=10 * COUNT)

def start(turn, limits=LIMITS):
    link = Link(ThreadWaiter(), turn, limits)
    addresses, listens = [], threading.Event()

    def run():
        addresses.append(link.listen("tcp://127.0.0.1:0"))
        listens.set()
        link.run()

    thread = threading.Thread(target=run)
    thread.start()
    assert listens.wait(10)
    return link, addresses[0], thread

def stream(link, event):
    for number in range(COUNT):
        link.send(event.peer, [b"k", b"%d" % number, b"x", b"y"])
"""


def test_all_that_a_peer_said_is_received_although_it_is_gone_before_half_of_it_is(nodes: Nodes) -> None:
    # In a process of its own, because libzmq can end one in which half a message is lost.
    script = """
def visit(number):
    def serve(events):
        for event in events:
            if isinstance(event, Received):
                stream(server, event)
                server.stop(5)

    def turn(events):
        for event in events:
            if isinstance(event, Up):
                client.send(event.peer, [b"hello", b""])
            elif isinstance(event, Received):
                received.append(event.frames)
                time.sleep(number % 10 / 1000 if len(received) == 1 else 0)
            else:
                client.stop(0)

    received = []
    server, address, thread = start(serve)
    client = Link(ThreadWaiter(), turn, LIMITS)
    client.dial(address)
    client.run()
    thread.join(10)
    assert received == [[b"k", b"%d" % number, b"x", b"y"] for number in range(COUNT)], len(received)

for number in range(5):
    visit(number)
"""
    process = nodes.start_command(sys.executable, "-c", STREAM + script)
    assert process.wait(60) == 0, process.tail()


def test_one_that_is_called_can_be_hung_up_in_the_middle_of_what_it_says(nodes: Nodes) -> None:
    # In a process of its own, because libzmq ends one that disconnects while half a message is read.
    script = """
def serve(events):
    for event in events:
        if isinstance(event, Received) and event.frames[0] == b"go":
            stream(server, event)

server, address, thread = start(serve)

def turn(events):
    for event in events:
        if isinstance(event, Received):
            counts[event.peer] += 1
    # Given that libzmq has taken a part of a message out, when it was asked whether there is one
    if counts[first] and len(counts) == 1 and client._caller.has_input():
        client.hang_up(first)
        second = client.call(address)
        counts[second] = 0
        client.send(second, [b"go", b""])
    if len(counts) == 2 and counts[max(counts)] == COUNT:
        client.stop(0)

client = Link(ThreadWaiter(), turn, LinkLimits(pipe_messages=10 * COUNT, round_messages=64))
first = client.call(address)
counts = {first: 0}
client.send(first, [b"go", b""])
client.run()
server.stop(0)
thread.join(10)
"""
    process = nodes.start_command(sys.executable, "-c", STREAM + script)
    assert process.wait(60) == 0, process.tail()


# -- peers that stall --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender_listens", [True, False], ids=["to a listener's peer", "to a dialled peer"])
def test_messages_for_a_stalled_peer_wait_in_order(world: SocketWorld, sender_listens: bool) -> None:
    small = LinkLimits(pipe_messages=10)
    listener, dialler, other = world.node(small), world.node(small), world.node()
    address = listener.listen()
    peer = connect(world, dialler, address)
    dialler.send(peer, b"k", b"hello")
    world.until(lambda: listener.senders())
    sender, receiver = (listener, dialler) if sender_listens else (dialler, listener)
    to = listener.senders()[0] if sender_listens else peer
    # Given a peer that does not receive
    gate = Gate(receiver)
    sender.send(to, b"k", b"shut")
    gate.wait_shut()
    bulk = [[b"k", b"%d" % number, bytes(20_000)] for number in range(1000)]
    sender.send_all(to, bulk)
    world.until(lambda: world_has_stalled(world, sender))
    assert sender.backlog(to) > 0
    # When something urgent comes, and others go on talking to the sender meanwhile
    sender.send(to, b"k", b"urgent", b"", urgent=True)
    sender.echo()
    if sender_listens:
        other_peer = connect(world, other, address)
        other.send(other_peer, b"k", b"meanwhile")
        world.until(lambda: other.messages())
    gate.open()

    # Then all arrive in order as soon as it receives again, the urgent one before what still waited here
    def numbers() -> list[bytes]:
        return [frames[1] for frames in receiver.messages() if frames[1] not in (b"hello", b"shut", b"urgent")]

    world.until(lambda: len(numbers()) >= len(bulk))
    assert numbers() == [frames[1] for frames in bulk]
    assert [frames[1] for frames in receiver.messages()].index(b"urgent") < len(bulk)
    assert sender.backlog(to) == 0


def test_a_link_with_a_stalled_peer_sleeps_between_its_attempts() -> None:
    waiter = CountingWaiter()
    receiver = zmq.Context().socket(zmq.ROUTER)
    receiver.set_hwm(1)
    port = receiver.bind_to_random_port("tcp://127.0.0.1")
    peers: list[int] = []

    def turn(events: list[Event]) -> float | None:
        for event in events:
            if isinstance(event, Up):
                for _ in range(1000):
                    link.send(event.peer, [b"k", bytes(20_000)])
                peers.append(event.peer)
        return None

    link = Link(waiter, turn, LinkLimits(pipe_messages=10))
    thread = start_with_dial(link, f"tcp://127.0.0.1:{port}")
    eventually(lambda: link.stats.stalls)
    before = waiter.rounds
    time.sleep(0.3)
    assert waiter.rounds - before < 150, "an attempt each 16 ms or so, not one after the other"
    assert link.backlog(peers[0]) > 0
    count = 0
    while count < 1000 and receiver.poll(10_000):
        count += len(receiver.recv_multipart()[1:]) == 2
    assert count == 1000
    link.stop()
    thread.join(10)
    receiver.context.destroy(0)


FLOOD = """
import os, sys, time, zmq
socket = zmq.Context().socket(zmq.DEALER)
for option, value in ((zmq.HEARTBEAT_IVL, 1), (zmq.HEARTBEAT_TIMEOUT, 60000), (zmq.SNDHWM, 0)):
    socket.setsockopt(option, value)
socket.connect(sys.argv[1])
until_s = time.monotonic() + 0.5
while time.monotonic() < until_s:
    for _ in range(200):
        socket.send(b"")
os.kill(os.getpid(), 9)
"""


def test_a_peer_that_pings_and_dies_amid_a_flood_harms_nobody(nodes: Nodes, address: str) -> None:
    # Given a process that is slower than its peer, which pings all the time: libzmq aborts those that stop their input
    listener = nodes.start_command(sys.executable, "-c", PEER, "listen", address)
    listener.wait_for_output("listens")
    for _ in range(4):
        subprocess.run([sys.executable, "-c", FLOOD, address], timeout=60)
    # Then it still hears others
    nodes.start_command(sys.executable, "-c", PEER, "dial", address).wait_for_output("up")
    listener.wait_for_output("received here")


def test_a_link_with_nothing_to_do_sleeps() -> None:
    waiter = CountingWaiter()
    world = SocketWorld(ThreadWaiter)
    server = world.node()
    address = server.listen()
    up = threading.Event()

    def turn(events: list[Event]) -> float | None:
        if any(isinstance(event, Up) for event in events):
            up.set()
        return None

    link = Link(waiter, turn)
    thread = start_with_dial(link, address)
    assert up.wait(10)
    before = waiter.rounds
    time.sleep(0.3)
    assert waiter.rounds - before < 10
    link.stop()
    thread.join(10)
    world.close()


# -- peers that misbehave ----------------------------------------------------------------------------------------


def test_a_frame_that_is_too_large_costs_only_its_sender_the_connection(plain: SocketWorld) -> None:
    server = plain.node(LinkLimits(max_frame_bytes=100_000))
    good, bad = plain.node(), plain.node()
    server.echo()
    address = server.listen()
    good_peer, bad_peer = connect(plain, good, address), connect(plain, bad, address)
    good.send(good_peer, b"k", b"1")
    bad.send(bad_peer, b"k", b"1")
    plain.until(lambda: good.messages() and bad.messages())
    bad.send(bad_peer, b"k", bytes(100_001))
    plain.until(lambda: bad.downs() == [bad_peer] and len(server.downs()) == 1)
    good.send(good_peer, b"k", b"2")
    plain.until(lambda: good.messages() == [[b"k", b"1"], [b"k", b"2"]])
    assert good.downs() == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\xff" * 1000,
        b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + b"\xee" * 500,
        bytes(100_000),
        os.urandom(5000),
    ],
    ids=["http", "ones", "a greeting and then noise", "zeros", "random"],
)
def test_bytes_that_are_no_protocol_cost_nobody_else_anything(plain: SocketWorld, garbage: bytes) -> None:
    server, client = plain.node(), plain.node()
    server.echo()
    address = server.listen()
    peer = connect(plain, client, address)
    port = int(address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(garbage)
        client.send(peer, b"k", b"meanwhile")
        plain.until(lambda: client.messages() == [[b"k", b"meanwhile"]])
    client.send(peer, b"k", b"after")
    plain.until(lambda: len(client.messages()) == 2)
    assert len(server.senders()) == 1 and client.downs() == []


def test_a_dialler_gives_up_one_that_answers_in_another_language(plain: SocketWorld) -> None:
    client = plain.node(LinkLimits(handshake_s=0.3))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = client.dial(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        listener.settimeout(10)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example.org ESMTP ready, and then some more words\r\n" * 5)
            plain.until(lambda: client.downs() == [peer])
    assert client.ups() == []


@pytest.mark.parametrize("accepts", [True, False], ids=["accepts", "accepts nothing"])
def test_one_that_says_nothing_is_given_up_and_has_not_refused(plain: SocketWorld, accepts: bool) -> None:
    """It may be behind a link that loses everything: whoever dials tries again, and is not told that its key is wrong."""
    client = plain.node(LinkLimits(handshake_s=0.3))
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as connections:
        peer = client.dial(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        if accepts:
            listener.settimeout(10)
            connections.enter_context(listener.accept()[0])
        plain.until(lambda: client.downs() == [peer])
    (down,) = [event for event in client.events if isinstance(event, Down)]
    assert not down.refused


# -- addresses ---------------------------------------------------------------------------------------------------


def test_a_link_listens_at_any_port_and_says_which(plain: SocketWorld) -> None:
    server = plain.node()
    for address, real in {"tcp://127.0.0.1:*": "tcp://127.0.0.1:", "tcp://*:0": "tcp://0.0.0.0:"}.items():
        found = server.listen(address)
        assert found.startswith(real) and int(found.removeprefix(real)) > 0


def test_a_path_is_an_address_and_is_not_taken_from_its_owner(plain: SocketWorld, tmp_path: object) -> None:
    server, thief, client = plain.node(), plain.node(), plain.node()
    server.echo()
    address = f"ipc://{tmp_path}/a"
    assert server.listen(address) == address
    with pytest.raises(AddressInUse):
        thief.listen(address)
    for peer in (connect(plain, client, address), client.call(address)):
        client.send(peer, b"k", b"x")
        plain.until(lambda peer=peer: client.messages(peer) == [[b"k", b"x"]])  # type: ignore[misc]
    # But one that was left behind by a process that died is no obstacle
    plain.stop(server)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(f"{tmp_path}/b")
    thief.listen(f"ipc://{tmp_path}/b")


def test_an_address_that_is_not_of_this_host_is_a_bad_one(plain: SocketWorld) -> None:
    server = plain.node()
    with pytest.raises(BadAddress, match="no network interface"):
        server.listen("tcp://192.0.2.1:0")


def test_a_link_speaks_ipv6(plain: SocketWorld) -> None:
    server, client = plain.node(), plain.node()
    server.echo()
    try:
        address = server.listen("tcp://[::1]:0")
    except Exception:
        pytest.skip("no IPv6 here")
    for peer in (connect(plain, client, address), client.call(address)):
        client.send(peer, b"k", b"x")
        plain.until(lambda peer=peer: client.messages(peer) == [[b"k", b"x"]])  # type: ignore[misc]


def test_a_name_that_cannot_be_found_is_tried_again_until_it_is_hung_up(plain: SocketWorld) -> None:
    client = plain.node(LinkLimits(redial_max_s=0.1))
    peer = client.dial("tcp://no-such-host.invalid:5570")
    time.sleep(0.3)
    assert client.downs() == client.ups() == []
    client.hang_up(peer)
    plain.until(lambda: client.downs() == [peer])


# -- large bodies ------------------------------------------------------------------------------------------------


def test_large_bodies_are_forwarded_as_they_came(world: SocketWorld) -> None:
    last, middle, first = world.node(), world.node(), world.node()
    onward = connect(world, middle, last.listen())

    def forward(event: Event) -> None:
        if isinstance(event, Received):
            middle.link.send(onward, event.frames)

    middle.on_event = forward
    peer = connect(world, first, middle.listen())
    bodies = [os.urandom(1_000_000) for _ in range(10)]
    for body in bodies:
        first.send(peer, b"k", b"head", body)
    world.until(lambda: len(last.messages()) == 10)
    assert last.messages() == [[b"k", b"head", body] for body in bodies]
    assert all(isinstance(event.frames[2], memoryview) for event in last.events if isinstance(event, Received))


def test_large_bodies_pass_in_a_patched_program_on_the_hub_and_on_a_native_thread(nodes: Nodes) -> None:
    script = """
from gevent import monkey; monkey.patch_all()
import gevent
from actorq import native
from actorq.transport import GreenWaiter, Link, Received, ThreadWaiter, Up

body = bytes(range(256)) * 4096
back = []

def serve(events):
    for event in events:
        if isinstance(event, Received):
            server.send(event.peer, event.frames)

def ask(events):
    for event in events:
        if isinstance(event, Up):
            for _ in range(20):
                client.send(event.peer, [b"k", body])
        if isinstance(event, Received):
            back.append(bytes(event.frames[1]))
            if len(back) == 20:
                client.stop()

server = Link(GreenWaiter(), serve)
address = server.listen("tcp://127.0.0.1:0")
gevent.spawn(server.run)
client = Link(ThreadWaiter(), ask)
ended = []
def run():
    client.dial(address)
    client.run()
    ended.append(True)
native.start_thread(run)
with gevent.Timeout(15):
    while not ended:
        gevent.sleep(0.01)
assert back == [body] * 20
server.stop()
gevent.sleep(0.1)
print("missed", server.stats.missed_wakeups, client.stats.missed_wakeups)
"""
    process = nodes.start_command(sys.executable, "-c", script)
    assert process.wait() == 0, process.tail()
    assert "missed 0 0" in process.output()


# -- the life of a link ------------------------------------------------------------------------------------------


def test_stop_sends_what_waits(world: SocketWorld) -> None:
    server, client = world.node(), world.node()
    peer = connect(world, client, server.listen())
    count = 900 if world.shortcuts else 5000  # Why: see the end of the head of `actorq.transport.shortcuts`.

    def send_and_stop() -> None:
        for number in range(count):
            client.link.send(peer, [b"k", b"%d" % number])
        client.link.stop(10)

    client.ask(send_and_stop)
    world.until(lambda: len(server.messages()) == count and server.downs())
    world.stop(client)


def test_stop_does_not_wait_for_ever_for_one_that_is_not_there(world: SocketWorld) -> None:
    client = world.node()
    client.send(client.dial(f"tcp://127.0.0.1:{free_port()}"), b"k", b"x")
    client.link.stop(0.05)
    world.stop(client)


def test_a_link_that_never_ran_can_be_stopped() -> None:
    link = Link(ThreadWaiter(), lambda events: None)
    address = link.listen("tcp://127.0.0.1:0")
    link.stop(0)
    with pytest.raises(RuntimeError, match="has stopped"):
        link.listen(address)
    other = Link(ThreadWaiter(), lambda events: None)
    assert other.listen(address) == address
    other.stop(0)


def test_an_error_in_a_turn_ends_the_link_and_comes_out_of_run() -> None:
    def turn(events: list[Event]) -> float | None:
        raise ZeroDivisionError

    link = Link(ThreadWaiter(), turn)
    address = link.listen("tcp://127.0.0.1:0")
    with pytest.raises(ZeroDivisionError):
        link.run()
    with socket.create_server(("127.0.0.1", int(address.rsplit(":", 1)[1]))):
        pass


def test_a_killed_greenlet_closes_its_link() -> None:
    import gevent

    link = Link(GreenWaiter(), lambda events: None)
    address = link.listen("tcp://127.0.0.1:0")
    greenlet = gevent.spawn(link.run)
    gevent.sleep(0.01)
    greenlet.kill(timeout=10)
    assert greenlet.dead
    with socket.create_server(("127.0.0.1", int(address.rsplit(":", 1)[1]))):
        pass


def test_a_turn_is_taken_when_it_is_due(world: SocketWorld) -> None:
    times: list[float] = []

    def turn(events: list[Event]) -> float | None:
        times.append(time.monotonic())
        if len(times) == 4:
            link.stop()
        return 0.02

    link = Link(world.waiter(), turn)
    link.run()
    assert len(times) == 4
    assert times[-1] - times[0] >= 3 * 0.02 - 0.001


def test_greenlets_send_without_a_wake() -> None:
    import gevent

    world = SocketWorld(ThreadWaiter)
    server = world.node()
    ups: list[int] = []

    def turn(events: list[Event]) -> float | None:
        ups.extend(event.peer for event in events if isinstance(event, Up))
        return None

    link = Link(GreenWaiter(), turn)
    link.dial(server.listen())
    greenlet = gevent.spawn(link.run)
    with gevent.Timeout(10):
        while not ups:
            gevent.sleep(0.001)
        for number in range(3):
            gevent.sleep(0.01)
            assert link.asleep
            link.send(ups[0], [b"k", b"%d" % number])
            assert not link.asleep, "a round was asked for"
            while len(server.messages()) <= number:
                gevent.sleep(0.001)
        gevent.sleep(0.01)
        assert link.asleep
        link.hang_up(ups[0])
        assert not link.asleep
    link.stop()
    greenlet.join(10)
    assert link.stats.missed_wakeups == 0
    world.close()


def test_a_link_is_refused_to_other_threads(plain: SocketWorld) -> None:
    node = plain.node()
    node.listen()
    with pytest.raises(RuntimeError, match="another link"):
        node.link.dial("tcp://127.0.0.1:1")


def test_a_link_is_refused_to_a_process_that_was_forked_off(nodes: Nodes) -> None:
    script = """
import os, sys
from actorq.transport import Link, ThreadWaiter
link = Link(ThreadWaiter(), lambda events: None)
link.listen("tcp://127.0.0.1:0")
child = os.fork()
if child == 0:
    for use in (link.run, lambda: link.dial("tcp://127.0.0.1:1")):
        try:
            use()
        except RuntimeError as error:
            print("refused:", error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
link.stop(0)
"""
    process = nodes.start_command(sys.executable, "-c", script)
    assert process.wait() == 0
    assert process.output().count("refused: a link is for the thread and the process") == 2


def test_a_link_that_runs_ends_in_a_process_that_was_forked_off_and_goes_on_in_its_own(nodes: Nodes) -> None:
    script = """
import gevent, os
from actorq.transport import GreenWaiter, Link, Received

link = Link(GreenWaiter(), lambda events: None)
link.listen("tcp://127.0.0.1:0")
greenlet = gevent.spawn(link.run)
gevent.sleep(0.01)
child = gevent.fork()
greenlet.join(0.1)
if child == 0:
    # gevent has copied the greenlet; it ends as soon as it wakes.
    greenlet.join(10)
    print("child:", greenlet.exception, flush=True)
    os._exit(0)
gevent.os.waitpid(child, 0)
print("parent:", greenlet.dead, flush=True)
link.stop(0)
greenlet.join(10)
assert greenlet.successful()
"""
    process = nodes.start_command(sys.executable, "-c", script)
    assert process.wait() == 0, process.tail()
    assert "child: a link cannot go on in a process that was forked off" in process.output()
    assert "parent: False" in process.output()
