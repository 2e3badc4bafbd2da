"""What a coordinator, and a coordinator that is away, can make a worker hold is bounded."""

from __future__ import annotations

import pytest

from actorq.errors import ProtocolError
from actorq.wire import messages as m
from actorq.wire.records import SUCCESS, CallSpec, Outcome
from actorq.worker import jobs
from actorq.worker.jobs import Jobs
from tests.unit.worker.core_support import BY_VALUE, PLAIN, Bench
from tests.unit.worker.support import PlainApplication


def usage(bench: Bench, name: str) -> dict[str, int]:
    return bench.core.usage()[name]


def test_a_worker_asks_for_nothing_while_too_many_bytes_of_outcomes_are_not_acknowledged() -> None:
    bench = Bench(unacked_bytes=100)
    bench.deliver("a", "b")
    bench.start()
    bench.core.ended([Outcome(task_id, 1, SUCCESS, bytes(60)) for task_id in ("a", "b")])
    bench.step()
    assert usage(bench, "unacked_bytes") == {"now": 120, "limit": 100}
    assert bench.take(m.Capacity)[-1].capacity == 0
    # And for as much as before once they are
    bench.hear(m.Acked(1))
    assert usage(bench, "unacked_bytes")["now"] == usage(bench, "unacked")["now"] == 0
    assert bench.take(m.Capacity)[-1].capacity == 2


def test_outcomes_that_are_reported_again_are_counted_once() -> None:
    bench = Bench()
    bench.deliver("a")
    bench.start()
    bench.core.ended([Outcome("a", 1, SUCCESS, bytes(60))])
    bench.step()
    bench.lose()
    bench.connect()
    assert usage(bench, "unacked_bytes")["now"] == 60


def test_functions_are_forgotten_with_the_session_and_when_the_coordinator_says_so() -> None:
    bench = Bench()
    assert usage(bench, "code")["now"] == len(b"the function")
    bench.hear(m.Code("digest", b""))
    assert usage(bench, "code")["now"] == 0
    bench.hear(m.Code("digest", b"12345"))
    bench.lose()
    hello = bench.open()
    bench.hear(m.Welcome(1, hello.nonce, "c", "c"))
    assert usage(bench, "code")["now"] == 0


def test_a_call_that_runs_keeps_its_function() -> None:
    bench = Bench()
    bench.hear(m.Code("digest", b""))
    bench.deliver("a", spec=BY_VALUE)
    [(_, job)] = bench.core.ready
    assert job.code == b"the function"


def test_the_number_of_options_that_are_not_used_any_more_is_free_again() -> None:
    bench = Bench()
    before = usage(bench, "specs")["now"]
    bench.hear(m.Define([(PLAIN, CallSpec(""))], []))
    assert usage(bench, "specs")["now"] == before - 1
    with pytest.raises(ProtocolError):
        bench.deliver("a")


def test_a_coordinator_that_sends_more_functions_than_any_keeps_is_left() -> None:
    bench = Bench(code_bytes=20)
    with pytest.raises(ProtocolError, match="20 bytes"):
        bench.hear(m.Code("another", bytes(20)))


def test_a_coordinator_that_defines_more_than_any_knows_is_left() -> None:
    bench = Bench(spec_limit=5)
    with pytest.raises(ProtocolError, match="more than 5 specs"):
        bench.hear(m.Define([(number, CallSpec("add")) for number in range(10, 15)], []))


def test_jobs_that_were_made_long_ago_are_forgotten_and_their_runs_stay_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "JOBS_KEPT", 8)
    made = Jobs(PlainApplication({}))
    for priority in range(10):
        made.make(CallSpec("add", priority=priority), None).runs = 1
    assert made.totals() == {"add": 10}
    assert len(made._made) == 8
