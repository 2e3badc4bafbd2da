"""What a worker holds: calls that are delivered, started, given back, revoked and forgotten."""

from __future__ import annotations

import pytest

from actorq.errors import ProtocolError
from actorq.wire import messages as m
from actorq.wire.records import REVOKED, SUCCESS, Outcome
from tests.unit.worker.core_support import BY_VALUE, ONCE, Bench


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A worker that is welcomed; it hears each message once, or twice."""
    return Bench(twice=request.param)


def test_delivered_calls_are_ready_in_the_order_in_which_they_came(bench: Bench) -> None:
    bench.deliver("a", "b")
    bench.deliver("c")
    assert bench.start() == ["a", "b", "c"]
    assert list(bench.core.held) == ["a", "b", "c"]


def test_the_function_of_a_call_by_value_is_there_when_its_job_is_made(bench: Bench) -> None:
    bench.deliver("a", spec=BY_VALUE)
    [(_, job)] = bench.core.ready
    assert job.code == b"the function"


def test_a_call_whose_options_were_not_defined_breaks_the_protocol(bench: Bench) -> None:
    with pytest.raises(ProtocolError, match="has not defined"):
        bench.deliver("a", spec=99)


def test_a_call_that_may_run_once_waits_for_begin(bench: Bench) -> None:
    bench.deliver("a", spec=ONCE)
    assert bench.start() == []
    assert bench.take(m.Starting) == [m.Starting([("a", 1)])]
    bench.hear(m.Begin(["a"]))
    assert bench.start() == ["a"]


def test_a_call_that_has_lost_a_worker_waits_for_begin(bench: Bench) -> None:
    bench.deliver("a", attempt=2, lost=1)
    assert bench.start() == []
    bench.hear(m.Begin(["a"]))
    assert bench.start() == ["a"]


def test_what_has_ended_is_reported_before_something_that_may_end_the_process(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.said.clear()
    bench.core.ended([Outcome("a", 1, SUCCESS, b"")])
    bench.deliver("b", lost=1, attempt=2)
    kinds = [type(message) for message in bench.said]
    assert kinds.index(m.Finished) < kinds.index(m.Starting)


def test_begin_for_what_is_not_held_changes_nothing(bench: Bench) -> None:
    bench.hear(m.Begin(["stranger"]))
    assert bench.start() == []


def test_a_worker_that_drains_gives_back_what_has_not_started_and_all_that_still_comes(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.deliver("b")
    bench.deliver("c", spec=ONCE)
    bench.core.drain()
    bench.step()
    assert bench.given_back() == [("b", 1), ("c", 1)]
    assert list(bench.core.held) == ["a"]
    assert bench.take(m.Capacity)[-1].capacity == 0
    bench.deliver("late")
    assert bench.given_back() == [("late", 1)]


def test_a_worker_is_idle_when_all_its_outcomes_are_acknowledged(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.core.drain()
    assert not bench.core.is_idle()
    bench.end("a")
    assert not bench.core.is_idle()
    bench.hear(m.Acked(1))
    assert bench.core.is_idle()


def test_what_the_watchdog_gives_back_is_said_again_by_the_hub() -> None:
    bench = Bench()
    bench.deliver("a", "b", "c")
    bench.core.ready.popleft()  # It runs.
    assert bench.core.give_back() == {bench.session.number: m.Returned([("b", 1), ("c", 1)])}
    assert list(bench.core.held) == ["a"]
    bench.step()
    assert bench.given_back() == [("b", 1), ("c", 1)], "its connection may have been lost with it"
    assert bench.take(m.Capacity), "and how much is wanted now"
    bench.step()
    assert bench.given_back() == []


def test_nothing_to_give_back_is_not_said() -> None:
    bench = Bench()
    assert bench.core.give_back() == {}


def test_a_revoked_call_that_has_not_started_does_not_start(bench: Bench) -> None:
    bench.deliver("a", "b")
    bench.deliver("c", spec=ONCE)
    bench.hear(m.Revoke(["a", "c"]))
    assert bench.start() == ["b"]
    assert bench.reported() == {"a": "REVOKED", "c": "REVOKED"}


def test_its_outcome_goes_through_the_coordinator(bench: Bench) -> None:
    bench.deliver("a")
    bench.hear(m.Revoke(["a"]))
    [finished] = bench.take(m.Finished)
    assert finished.relay
    assert bench.results == []


def test_a_running_call_ends_only_if_it_is_to_be_terminated(bench: Bench) -> None:
    bench.deliver("a", "b")
    bench.start()
    bench.hear(m.Revoke(["a"]))
    assert bench.to_end == []
    bench.hear(m.Revoke(["b"], terminate=True))
    assert set(bench.to_end) == {"b"}
    bench.end("b", state=REVOKED)
    assert bench.reported() == {"b": "REVOKED"}


def test_a_call_whose_lease_was_given_away_ends_and_nothing_is_reported(bench: Bench) -> None:
    bench.deliver("waits", "runs")
    bench.core.ready.rotate(1)
    bench.core.ready.popleft()
    bench.hear(m.Revoke(["waits", "runs"], forget=True))
    assert bench.start() == []
    assert bench.to_end == ["runs"]
    assert bench.core.held == {}
    bench.core.ended([Outcome("runs", 1, SUCCESS, b"")])
    bench.step()
    assert bench.reported() == {}


def test_a_call_that_was_forgotten_and_comes_again_starts_once(bench: Bench) -> None:
    bench.deliver("a", attempt=1)
    bench.hear(m.Revoke(["a"], forget=True))
    bench.deliver("a", attempt=2)
    assert [call.attempt for call, _ in bench.core.ready] == [2]


def test_revoking_what_the_watchdog_has_just_given_back_changes_nothing() -> None:
    bench = Bench()
    bench.deliver("a")
    pair = bench.core.ready.pop()  # The watchdog has it in its hands.
    bench.session.revoke(["a"], terminate=False, forget=False)
    bench.core.ready.append(pair)
    bench.step()
    assert bench.reported() == {}


def test_revoking_what_is_not_held_changes_nothing(bench: Bench) -> None:
    bench.hear(m.Revoke(["stranger"], terminate=True))
    assert bench.to_end == [] and bench.reported() == {}
