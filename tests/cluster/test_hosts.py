"""Hosts reach each other, and each fault of the network does what its name says."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.cluster.hosts import Host, Hosts, HostsError, reason_not_here

pytestmark = pytest.mark.skipif(bool(reason_not_here()), reason=reason_not_here())

PORT = 5999
WAIT_S = 10.0


class Wire:
    """Datagrams between hosts. What was sent earlier over the bridge has arrived when what was sent later has."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.sockets: dict[str, socket.socket] = {}
        for host in hosts:
            with host.entered():
                opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
            opened.bind((host.address, PORT))
            opened.settimeout(WAIT_S)
            self.sockets[host.name] = opened

    def close(self) -> None:
        for opened in self.sockets.values():
            opened.close()

    def send(self, source: Host, target: Host, data: bytes, times: int = 1) -> None:
        for _ in range(times):
            self.sockets[source.name].sendto(data, (target.address, PORT))

    def arrived(self, target: Host, last: bytes) -> list[bytes]:
        """All that has arrived before `last`. Raises TimeoutError if that does not come."""
        found = []
        while (data := self.sockets[target.name].recv(2000)) != last:
            found.append(data)
        return found


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts(3) as made:
        yield made


@pytest.fixture
def wire(hosts: Hosts) -> Iterator[Wire]:
    opened = Wire(hosts)
    yield opened
    opened.close()


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_all_hosts_reach_each_other(hosts: Hosts, wire: Wire) -> None:
    for source in hosts:
        for target in hosts:
            wire.send(source, target, source.name.encode())
    for target in hosts:
        heard = {wire.sockets[target.name].recv(2000).decode() for _ in hosts}
        assert heard == {source.name for source in hosts}


def test_a_cut_in_one_direction_leaves_the_other(hosts: Hosts, wire: Wire) -> None:
    first, second, third = hosts
    hosts.cut(first, second)
    wire.send(first, second, b"dropped")
    wire.send(third, second, b"last")
    assert wire.arrived(second, b"last") == []
    wire.send(second, first, b"back")
    wire.send(third, first, b"last")
    assert wire.arrived(first, b"last") == [b"back"]


def test_a_partition_cuts_both_directions_between_its_sides_and_nothing_else(hosts: Hosts, wire: Wire) -> None:
    first, second, third = hosts
    hosts.cut_all([(first, second), (second, first), (first, third), (third, first)])
    for source, target in ((second, first), (third, first), (first, second), (first, third)):
        wire.send(source, target, b"dropped")
    wire.send(first, first, b"last")
    wire.send(third, second, b"last")
    wire.send(second, third, b"last")
    for target in hosts:
        assert wire.arrived(target, b"last") == []


def test_after_healing_all_reach_each_other_again(hosts: Hosts, wire: Wire) -> None:
    first, second, third = hosts
    hosts.cut(first, second)
    wire.send(first, second, b"dropped")
    hosts.heal()
    wire.send(first, second, b"again")
    wire.send(third, second, b"last")
    assert wire.arrived(second, b"last") == [b"again"]


def test_loss_drops_about_its_share_and_survives_a_partition(hosts: Hosts, wire: Wire) -> None:
    first, second, third = hosts
    hosts.lose(0.05)
    hosts.cut(third, second)
    hosts.heal()
    wire.send(first, second, b"some", times=2000)
    hosts.lose(0.0)
    wire.send(third, second, b"last")
    # 100 are expected to be missing; the bounds are seven standard deviations away
    assert 30 <= 2000 - len(wire.arrived(second, b"last")) <= 170


def test_a_connection_stands_a_cut_and_goes_on_after_it(hosts: Hosts) -> None:
    first, second, _ = hosts
    with first.entered():
        listener = socket.create_server((first.address, PORT))
    with second.entered():
        dialled = socket.create_connection((first.address, PORT), WAIT_S)
    with listener, dialled, listener.accept()[0] as accepted:
        accepted.settimeout(WAIT_S)
        hosts.cut_all([(first, second), (second, first)])
        dialled.sendall(b"through")
        hosts.heal()
        assert accepted.recv(100) == b"through"


def test_a_rate_holds_back_what_is_too_much(hosts: Hosts, wire: Wire) -> None:
    first, second, third = hosts
    hosts.shape(rate_mbit=0.1)
    wire.sockets[first.name].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
    wire.send(first, second, bytes(1400), times=1000)
    hosts.shape()
    wire.send(third, second, b"last")
    assert len(wire.arrived(second, b"last")) < 500


def test_what_is_delayed_arrives_late(hosts: Hosts, wire: Wire) -> None:
    first, second, _ = hosts
    try:
        hosts.shape(delay_ms=300)
    except HostsError as error:
        pytest.skip(str(error))
    wire.send(first, second, b"late")
    wire.send(second, second, b"last")
    assert wire.arrived(second, b"last") == []
    assert wire.sockets[second.name].recv(2000) == b"late"


def test_nothing_is_left_after_a_failure() -> None:
    made = Hosts(2)
    with suppress(ZeroDivisionError), made:
        assert made.prefix in namespaces()
        raise ZeroDivisionError
    assert made.prefix not in namespaces()


def test_nothing_is_left_when_hosts_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Hosts(2)
    made[1].address = "nonsense"
    with pytest.raises(HostsError, match="nonsense"), made:
        pass
    assert made.prefix not in namespaces()
