"""The worker's decisions about leases that are given away, and the size of what it reports."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.config import MAX_BODY_BYTES, WorkerSettings
from actorq.wire import messages as m
from actorq.wire.batches import BATCH_BYTES
from actorq.wire.frames import body_of
from actorq.wire.records import FAILURE, REVOKED, SUCCESS, Call, CallSpec, Member, Outcome
from actorq.worker.core import FORGOTTEN, Effects, Worker


class PlainJob:
    """A job that needs no announcement."""

    guarded = False
    spec = CallSpec("task")


def connected(core: Worker, peer: int, coordinator: str) -> Effects:
    """Have the worker welcomed by a coordinator that runs the spec 1."""
    core.advance(10.0 * peer)
    (address,) = core.finish().dial
    core.dialled(address, peer)
    core.opened(peer)
    (discover,) = core.finish().sends[peer]
    assert isinstance(discover, m.Discover)
    core.receive(peer, m.View(discover.nonce, Member(address, coordinator), []))
    (hello,) = core.finish().sends[peer]
    assert isinstance(hello, m.WorkerHello)
    core.receive(peer, m.Welcome(1, hello.nonce, coordinator, coordinator))
    core.receive(peer, m.Define([(1, CallSpec("task"))], []))
    return core.finish()


@pytest.fixture
def core() -> Worker:
    make_job: Any = lambda spec, blob: PlainJob()  # noqa: E731
    core = Worker("worker@test", "epoch", 1, ["default"], ["task"], make_job, WorkerSettings(), ["tcp://host:1"])
    connected(core, 1, "first")
    return core


def call() -> Call:
    return Call("x", 1, b"", attempt=1)


def started(core: Worker) -> Call:
    return core.ready.popleft()[0]


def reported(effects: Effects) -> list[list[Outcome]]:
    return [
        message.outcomes for sends in effects.sends.values() for message in sends if isinstance(message, m.Finished)
    ]


def test_an_attempt_that_is_forgotten_gives_no_outcome_to_a_new_lease_with_the_same_number(core: Worker) -> None:
    core.receive(1, m.Deliver(1, [call()]))
    old = started(core)
    # Given a new coordinator, which numbers attempts from 1 again
    core.lose(1)
    connected(core, 2, "second")
    core.receive(2, m.Revoke(["x"], forget=True))
    core.receive(2, m.Deliver(1, [call()]))
    assert core.finish().end == [("x", FORGOTTEN, False)]
    # When the old attempt ends after all, then that is no outcome of the new one
    core.ended([Outcome(old.id, old.attempt, REVOKED, b"")])
    assert reported(core.finish()) == [] and "x" in core.held
    new = started(core)
    core.ended([Outcome(new.id, new.attempt, SUCCESS, b"")])
    assert [[each.state for each in batch] for batch in reported(core.finish())] == [[SUCCESS]]
    assert not core.held


def test_a_call_that_is_leased_anew_takes_the_place_of_what_still_runs_or_waits(core: Worker) -> None:
    core.receive(1, m.Deliver(1, [call()]))
    old = started(core)
    core.receive(1, m.Deliver(2, [call()]))
    assert old.attempt == FORGOTTEN and core.finish().end == [("x", FORGOTTEN, False)]
    core.receive(1, m.Deliver(3, [call()]))
    assert len(core.ready) == 1 and core.held["x"] is core.ready[0][0]
    assert core.finish().end == []


def test_a_terminated_attempt_still_has_an_outcome(core: Worker) -> None:
    core.receive(1, m.Deliver(1, [call()]))
    started(core)
    core.receive(1, m.Revoke(["x"], terminate=True))
    assert core.finish().end == [("x", 1, True)] and "x" in core.held


def test_reports_are_cut_by_bytes_also_those_that_are_said_again(core: Worker) -> None:
    count, body = 64, bytes(BATCH_BYTES // 16)
    core.receive(1, m.Deliver(1, [Call(f"x{number}", 1, b"", attempt=1) for number in range(count)]))
    core.ended([Outcome(f"x{number}", 1, FAILURE, body_of(body)) for number in range(count)])
    batches = reported(core.finish())
    core.lose(1)
    again = reported(connected(core, 2, "first"))
    for each in (batches, again):
        assert sum(map(len, each)) == count
        assert all(sum(len(outcome.body) for outcome in batch) < MAX_BODY_BYTES / 2 for batch in each)
