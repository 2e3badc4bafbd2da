"""A node that may run only so many calls."""

from __future__ import annotations

import pytest

from actorq.wire import messages as m
from tests.unit.worker.core_support import ONCE, Bench


@pytest.fixture(params=[False, True], ids=["once", "twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(twice=request.param, max_calls=3)


def test_what_is_within_its_share_runs_and_the_rest_goes_back(bench: Bench) -> None:
    bench.deliver("a", "b")
    assert not bench.core.has_had_its_share
    bench.deliver("c", "d", "e")
    assert bench.core.has_had_its_share and bench.start() == ["a", "b", "c"]
    assert bench.given_back() == [("d", 1), ("e", 1)]
    assert [message.capacity for message in bench.take(m.Capacity)][-1:] == [0]
    # And what comes afterwards
    bench.deliver("f")
    assert bench.given_back() == [("f", 1)]
    bench.end("a", "b", "c")
    assert bench.reported() == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}


def test_exactly_its_share_is_enough(bench: Bench) -> None:
    bench.deliver("a", "b", "c")
    assert bench.core.has_had_its_share and bench.core.draining
    assert bench.start() == ["a", "b", "c"] and bench.given_back() == []


def test_calls_that_wait_for_their_begin_count_and_run(bench: Bench) -> None:
    bench.deliver("a", "b", "c", "d", spec=ONCE)
    assert bench.given_back() == [("d", 1)]
    bench.hear(m.Begin(["a", "b"]))
    assert bench.start() == ["a", "b"]


def test_without_a_share_there_is_no_end_of_it() -> None:
    bench = Bench()
    for number in range(100):
        bench.deliver(f"call-{number}")
    assert not bench.core.has_had_its_share and bench.given_back() == []


def test_a_call_that_was_revoked_before_it_started_is_told_for_the_log(bench: Bench) -> None:
    bench.deliver("a", "b")
    bench.core.receive(bench.peer, m.Revoke(["b"]))
    ((call, job),) = bench.core.finish().discarded
    assert call.id == "b" and job.spec.task == "add"
