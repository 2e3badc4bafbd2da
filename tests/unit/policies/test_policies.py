"""Chunk sizes, retry policies, addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.errors import BadAddress
from actorq.policies.addresses import is_loopback, parse_url
from actorq.policies.chunks import LARGEST, TARGET_S, ChunkSize
from actorq.policies.retry import RetryPolicy


def test_short_items_travel_in_growing_chunks_and_long_ones_alone() -> None:
    size = ChunkSize()
    sizes = []
    for _ in range(20):
        size.measured(size.items, size.items * 1e-6)
        sizes.append(size.items)
    assert sizes[:3] == [2, 4, 8] and sizes[-1] == LARGEST
    for _ in range(60):
        size.measured(size.items, size.items * 1.0)
    assert size.items == 1


@given(st.lists(st.floats(0, 10), max_size=50))
def test_a_chunk_never_outgrows_its_bounds(item_times_s: list[float]) -> None:
    size = ChunkSize()
    for item_s in item_times_s:
        before = size.items
        size.measured(before, before * item_s)
        assert 1 <= size.items <= min(2 * before, LARGEST)


def test_a_fixed_size_stays() -> None:
    size = ChunkSize(7)
    size.measured(7, 100 * TARGET_S)
    assert size.items == 7


def test_a_policy_grants_the_sum_of_its_intervals() -> None:
    assert RetryPolicy().budget_s() == pytest.approx(0.6)
    assert RetryPolicy(max_retries=None).budget_s() is None
    assert RetryPolicy(5, 0.5, 0.5, 1.0).budget_s() == pytest.approx(4.5)


def test_urls_name_coordinators_or_embed_a_mesh() -> None:
    assert parse_url("tcp://a:1, tcp://b:2").addresses == ("tcp://a:1", "tcp://b:2")
    local = parse_url("local://?processes=2&concurrency=10")
    assert local.is_local and local.options == {"processes": "2", "concurrency": "10"}
    with pytest.raises(BadAddress):
        parse_url("tcp://a:99999")


def test_loopback_is_told_from_the_network() -> None:
    assert is_loopback("tcp://127.0.0.1:1") and is_loopback("tcp://localhost:1") and is_loopback("ipc:///tmp/x")
    assert is_loopback("tcp://[::1]:1")
    assert not is_loopback("tcp://10.0.0.1:1")
    assert not is_loopback("tcp://*:1")
    assert not is_loopback("tcp://127.example.org:1")
