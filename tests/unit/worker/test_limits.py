"""Which calls are to end, and how far that has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actorq.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from actorq.wire.records import Call, CallSpec
from actorq.worker.endings import Ending, terminated
from actorq.worker.limits import GRACE_S, Limits
from tests.unit.worker.support import call_of

PATIENCE_S = 0.05


@dataclass(eq=False)
class FakeRun:
    """A running call."""

    call: Call
    spec: CallSpec
    started_s: float = 0.0


def run_of(soft_s: float = 0, hard_s: float = 0) -> Any:
    return FakeRun(call_of(), CallSpec("task", soft_time_limit_s=soft_s, time_limit_s=hard_s))


def deliver(end: Any, now_s: float) -> None:
    """The hub has raised the exception."""
    end.delivered_s = now_s


def test_a_call_is_told_once_that_its_soft_limit_is_over() -> None:
    limits, run = Limits(), run_of(soft_s=2)
    assert limits.check([run], 1.99) == []
    (end,) = limits.check([run], 2.0)
    assert isinstance(end.error, SoftTimeLimitExceeded) and not end.is_final
    deliver(end, 2.0)
    assert limits.check([run], 3.0) == []
    assert limits.steps(100.0, PATIENCE_S) == limits.steps(200.0, PATIENCE_S)
    assert not limits.steps(300.0, PATIENCE_S).replace  # It may go on for as long as it likes.


def test_the_hard_limit_comes_after_the_soft_one_and_ends_the_call() -> None:
    limits, run = Limits(), run_of(soft_s=1, hard_s=2)
    (soft,) = limits.check([run], 1.0)
    deliver(soft, 1.0)
    (hard,) = limits.check([run], 2.0)
    assert isinstance(hard.error, Ending) and isinstance(hard.error.error, TimeLimitExceeded)
    assert limits.check([run], 2.1) == []


def test_calls_without_limits_and_calls_that_have_ended_are_left_alone() -> None:
    limits, limited = Limits(), run_of(hard_s=1)
    assert limits.check([run_of()], 1e9) == []
    (end,) = limits.check([limited], 1.0)
    limited.call = call_of()  # Its slot runs another call now.
    limited.started_s = 1.01
    assert end.is_over
    steps = limits.steps(1.02, PATIENCE_S)
    assert not (steps.throw or steps.overdue or steps.replace)
    # And the other call has a time of its own
    assert limits.check([limited], 1.5) == []
    assert len(limits.check([limited], 2.02)) == 1


def test_a_call_that_ends_while_it_is_looked_at_is_not_judged_by_the_time_of_the_next_one() -> None:
    class EndsAtALook(FakeRun):
        @property
        def spec(self) -> CallSpec:
            self.call = call_of()
            return CallSpec("task", time_limit_s=1)

        @spec.setter
        def spec(self, value: CallSpec) -> None: ...

    run: Any = EndsAtALook(call_of(), CallSpec("task"))
    assert Limits().check([run], 100.0) == []


def test_a_call_is_made_to_end_once_however_often_that_is_asked_for() -> None:
    limits, run = Limits(), run_of(hard_s=1)
    assert limits.end(run, run.call, terminated(), 0.0) is not None
    assert limits.end(run, run.call, terminated(), 0.0) is None
    assert limits.check([run], 1.0) == []
    assert limits.end(run, call_of(), terminated(), 0.0) is None


def test_a_hub_that_does_not_throw_it_soon_is_interrupted() -> None:
    limits, run = Limits(), run_of()
    end = limits.end(run, run.call, terminated(), 0.0)
    assert limits.steps(PATIENCE_S / 2, PATIENCE_S).overdue == []
    assert limits.steps(PATIENCE_S, PATIENCE_S).overdue == [end]
    assert limits.pending() == [end]
    deliver(end, PATIENCE_S)
    assert limits.steps(PATIENCE_S * 2, PATIENCE_S).overdue == []
    assert limits.pending() == []


def test_a_call_that_nothing_reaches_costs_its_process_after_the_grace() -> None:
    limits, run = Limits(), run_of()
    end = limits.end(run, run.call, terminated(), 0.0)
    assert limits.steps(GRACE_S - 0.01, PATIENCE_S).replace == []
    assert limits.steps(GRACE_S, PATIENCE_S).replace == [end]


def test_a_call_that_catches_what_is_to_end_it_gets_it_twice_and_then_costs_its_process() -> None:
    limits, run = Limits(), run_of()
    end = limits.end(run, run.call, terminated(), 0.0)
    deliver(end, 0.1)
    assert limits.steps(0.1 + GRACE_S / 2 - 0.01, PATIENCE_S).throw == []
    assert limits.steps(0.1 + GRACE_S / 2, PATIENCE_S).throw == [end]
    deliver(end, 0.6)
    steps = limits.steps(0.6 + GRACE_S / 2, PATIENCE_S)
    assert steps.throw == [] and steps.replace == [end]
    # Unless it has ended by then
    run.call = call_of()
    assert limits.steps(10.0, PATIENCE_S).replace == []
