"""Workers connect to clients where they come from, and to nobody else."""

from __future__ import annotations

import pytest

from actorq.coordinator.reply_addresses import may_reply_to


@pytest.mark.parametrize(
    ("reply_address", "peer_address"),
    [
        ("tcp://10.0.0.7:40123", "10.0.0.7"),
        ("tcp://10.0.0.7:40123", "::ffff:10.0.0.7"),
        ("tcp://[2001:db8::7]:40123", "2001:db8:0::7"),
        ("tcp://127.0.0.1:40123", "127.0.0.1"),
        ("tcp://127.0.0.2:40123", "127.0.0.1"),
        ("tcp://[::1]:40123", "127.0.0.1"),
        ("tcp://127.0.0.1:40123", ""),
        ("ipc:///run/client", ""),
    ],
)
def test_a_client_may_listen_where_it_comes_from(reply_address: str, peer_address: str) -> None:
    assert may_reply_to(reply_address, peer_address)


@pytest.mark.parametrize(
    ("reply_address", "peer_address"),
    [
        ("tcp://10.0.0.8:40123", "10.0.0.7"),
        ("tcp://127.0.0.1:40123", "10.0.0.7"),
        ("tcp://[::1]:40123", "2001:db8::7"),
        ("ipc:///run/client", "10.0.0.7"),
        ("tcp://192.0.2.1:40123", ""),
        ("tcp://192.0.2.1:40123", "127.0.0.1"),
        ("tcp://0.0.0.0:40123", ""),
        ("tcp://localhost:40123", ""),
        ("tcp://client.example:40123", "10.0.0.7"),
        ("udp://10.0.0.7:40123", "10.0.0.7"),
        ("10.0.0.7:40123", "10.0.0.7"),
        ("tcp://", "10.0.0.7"),
        ("tcp://10.0.0.7:40123", "tcp://10.0.0.7:40123"),
    ],
)
def test_and_nowhere_else(reply_address: str, peer_address: str) -> None:
    assert not may_reply_to(reply_address, peer_address)
