"""Durable coordinators: what is kept before it is said, and what a new one makes of it."""

from __future__ import annotations

import pytest

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.messages import CallSpec
from tests.unit.coordinator.support import Bench

ONCE = CallSpec("add", acks_late=False)


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A coordinator with a store."""
    return Bench(twice=request.param, shelf=Shelf())


def restart(bench: Bench) -> None:
    """Another incarnation of the coordinator, with what the store has. Its grace is over."""
    bench.start()
    bench.wait(bench.settings.liveness.grace_s + 0.5)


def test_nothing_is_acknowledged_before_it_is_kept(bench: Bench) -> None:
    bench.is_slow = True
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    # Delivery does not wait for the disk
    assert worker.delivered() == ["a"]
    worker.report("a")
    bench.wait(1.0)
    assert client.take(m.Accepted) == [] and worker.take(m.Acked) == []
    bench.write()
    bench.wait(0.01)  # Acknowledgements are in no hurry.
    assert [message.seq for message in client.take(m.Accepted)] == [1]
    assert [message.seq for message in worker.take(m.Acked)] == [1]


def test_acknowledgements_stay_in_order_behind_those_that_wait_for_the_disk(bench: Bench) -> None:
    bench.is_slow = True
    client = bench.client()
    client.submit("a")
    # Given a submission that is not written yet, when the next one brings nothing to write
    client.submit("a", fresh=False)
    bench.wait(0.1)
    assert client.take(m.Accepted) == []
    bench.write()
    assert client.accepted() == 2


def test_an_outcome_of_the_coordinators_own_is_told_when_it_is_kept(bench: Bench) -> None:
    bench.is_slow = True
    client = bench.client()
    client.submit("a")
    client.order("revoke", ids=["a"])
    client.say(m.Query(5, ["a"]))
    assert client.outcomes() == {}, "a coordinator that dies now would run the call"
    bench.write()
    assert client.outcomes() == {"a": "REVOKED"}


def test_calls_that_were_accepted_outlive_the_coordinator(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", "b", body=b"arguments")
    client.submit("c", spec=CallSpec("add", priority=9))
    restart(bench)
    worker = bench.worker(slots=3)
    assert worker.delivered() == ["c", "a", "b"]
    assert worker.calls["a"].body == b"arguments"


def test_what_was_not_written_is_gone(bench: Bench) -> None:
    bench.is_slow = True
    bench.client().submit("a")
    restart(bench)
    assert bench.state_of("a") == "unknown"


def test_outcomes_outlive_the_coordinator(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a", body=b"5")
    restart(bench)
    client = bench.client()
    client.say(m.Query(1, ["a"]))
    [settled] = client.take(m.Settled)
    assert [outcome.body for outcome in settled.outcomes] == [b"5"]
    client.submit("a", fresh=False, resent=True)
    assert bench.worker("another").delivered() == []


def test_a_call_waits_one_grace_for_the_worker_that_runs_it(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    attempt = worker.attempt("a")
    before = bench.epoch
    bench.start()
    free = bench.worker("free")
    busy = bench.worker("worker", epoch="worker-1", coordinator=before, held=[("a", attempt)])
    bench.wait(3.0)
    assert free.delivered() == []
    busy.report("a", attempt=attempt)
    assert bench.state_of("a") == "SUCCESS"


def test_the_client_that_waits_for_a_call_is_told_by_the_new_coordinator(bench: Bench) -> None:
    bench.client("session").submit("a")
    restart(bench)
    worker = bench.worker()
    client = bench.client("session")
    worker.report("a", relay=True)
    assert client.outcomes() == {"a": "SUCCESS"}


def test_whoever_did_not_want_the_outcome_is_not_told_by_the_new_one(bench: Bench) -> None:
    bench.client("session").submit("a", spec=CallSpec("add", ignore_result=True))
    restart(bench)
    assert bench.worker().delivered() == ["a"]
    assert [call.client for call in bench.core.state.calls] == [0]


def test_times_outlive_the_coordinator(bench: Bench) -> None:
    client = bench.client()
    client.submit("scheduled", not_before=bench.wall_s + 10)
    client.submit("expiring", expires=bench.wall_s + 5)
    restart(bench)
    bench.wait(3.5)
    assert bench.state_of("expiring") == "REVOKED"
    worker = bench.worker()
    assert worker.delivered() == []
    for _ in range(6):
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
        bench.wait(1.0)
    assert worker.delivered() == ["scheduled"]


def test_functions_by_value_outlive_the_coordinator(bench: Bench) -> None:
    client = bench.client()
    client.say(m.Code("digest", b"the function"))
    client.submit("a", spec=CallSpec("f", code="digest"))
    restart(bench)
    worker = bench.worker()
    assert worker.delivered() == ["a"]
    assert worker.take(m.Code) == [m.Code("digest", b"the function")]


def test_the_start_of_a_call_that_may_run_once_is_kept_before_it_begins(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=ONCE)
    bench.is_slow = True
    assert worker.announce("a") == []
    bench.write()
    assert worker.begun() == ["a"]


def test_a_call_that_may_run_once_and_has_started_is_given_up_after_a_restart(bench: Bench) -> None:
    client, worker = bench.client("session"), bench.worker(slots=2)
    client.submit("started", "waiting", spec=ONCE)
    worker.announce("started")
    restart(bench)
    assert bench.state_of("started") == "FAILURE"
    assert bench.worker("another", slots=2).delivered() == ["waiting"]


def test_it_is_so_too_if_its_worker_had_it_from_an_earlier_coordinator(bench: Bench) -> None:
    # Given a call that a client and a worker bring to a new coordinator, in either order
    bench.client("session").submit("first", spec=ONCE, fresh=False, resent=True)
    bench.worker(coordinator="the one before", held=[("first", 1), ("second", 1)], slots=2)
    bench.client("session").submit("second", spec=ONCE, fresh=False, resent=True)
    # When it dies as well, and the worker with it
    restart(bench)
    assert bench.worker("another", slots=2).delivered() == []
    assert (bench.state_of("first"), bench.state_of("second")) == ("FAILURE", "FAILURE")


def test_a_call_that_a_worker_brought_before_its_client_is_kept_once_it_is_accepted(bench: Bench) -> None:
    bench.worker(coordinator="the one before", held=[("a", 1)])
    bench.client("session").submit("a", fresh=False, resent=True)
    restart(bench)
    assert bench.worker("another").delivered() == ["a"]


def test_a_call_that_was_revoked_and_not_written_down_as_ended_does_not_start(bench: Bench) -> None:
    # Given a coordinator that dies when it has written that a call is revoked, and not what became of it
    client = bench.client()
    client.submit("a")
    bench.is_slow = True
    client.order("revoke", ids=["a"])
    assert bench.store is not None
    for _, operations in bench._unwritten:
        kept = [each for each in operations if type(each).__name__ == "KeepRevocations"]
        bench.store.commit(bench.store.prepare(kept))
    restart(bench)
    assert bench.worker().delivered() == []
    assert bench.state_of("a") == "REVOKED"


def test_a_call_that_was_taken_out_of_its_line_when_it_was_written_is_not_lost(bench: Bench) -> None:
    # Given a store that copies a call late: it was revoked meanwhile, and the coordinator dies before that is written
    client = bench.client()
    bench.is_slow = True
    client.submit("a", "b", "c")
    client.order("revoke", ids=["a"])
    assert bench.store is not None
    bench.store.commit(bench.store.prepare(bench._unwritten[0][1]))
    restart(bench)
    assert bench.worker(slots=3).delivered() == ["a", "b", "c"]
