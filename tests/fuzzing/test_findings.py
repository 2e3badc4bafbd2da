"""What fuzzing has found, as plain stories, so that it stays mended."""

from __future__ import annotations

import pytest

from actorq.errors import ProtocolError
from actorq.wire import messages as m
from actorq.wire.records import Call
from tests.unit.client.core_support import Bench as ClientBench
from tests.unit.coordinator.support import Bench as CoordinatorBench
from tests.unit.worker.core_support import Bench as WorkerBench


@pytest.mark.parametrize("attempt", [-1, 2**31 + 1, 2**63])
def test_a_worker_takes_no_delivery_whose_number_no_other_coordinator_would_take_from_it(attempt: int) -> None:
    # Else it lists that number in each Hello, and is never welcomed by an honest coordinator again.
    bench = WorkerBench()
    with pytest.raises(ProtocolError):
        bench.deliver("a", attempt=attempt)
    bench.lose()
    assert bench.open().held == []


def test_a_delivery_with_such_a_number_changes_nothing() -> None:
    bench = WorkerBench()
    with pytest.raises(ProtocolError):
        bench.hear(m.Deliver(1, [Call("a", 1, b"", attempt=1), Call("b", 1, b"", attempt=-1)]))
    assert bench.start() == []
    bench.hear(m.Deliver(1, [Call("a", 1, b"", attempt=1)]))
    assert bench.start() == ["a"]


def test_a_call_that_the_coordinator_is_asked_for_and_says_nothing_of_is_asked_for_again() -> None:
    # Else it would be asked for nowhere any more, and its outcome, if that was lost on the way, would never come.
    bench = ClientBench()
    bench.submit("a", "b")
    bench.hear(m.Accepted(1))
    bench.wait(6.0)
    [query] = bench.take(m.Query)
    bench.hear(m.Report(query.token, [("a", "PENDING"), ("not asked for", "")]))
    bench.wait(6.0)
    assert [sorted(again.ids) for again in bench.take(m.Query)] == [["a", "b"]]


def test_a_call_that_was_not_asked_for_is_not_sent_again_because_it_is_reported_as_unknown() -> None:
    # Else one message would have any number of calls sent any number of times.
    bench = ClientBench()
    bench.submit("a", "b")
    bench.hear(m.Accepted(1))
    bench.wait(6.0)
    [query] = bench.take(m.Query)
    bench.submit("c")
    bench.take(m.Submit)
    bench.hear(m.Report(query.token, [("a", ""), ("a", ""), ("b", "PENDING"), ("c", "")]))
    assert bench.submitted() == [(["a"], True)]


def test_a_function_without_a_name_for_which_there_is_no_room_is_nothing_to_calls_of_tasks() -> None:
    # Else one message would have all calls of all others refused.
    bench = CoordinatorBench(code_limit_bytes=10)
    stranger, client = bench.client("stranger"), bench.client()
    stranger.say(m.Code("", bytes(20)))
    client.submit("a")
    assert client.take(m.Refused) == []
    assert bench.state_of("a") == "open"
