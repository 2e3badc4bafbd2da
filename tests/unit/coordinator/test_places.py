"""Where a call goes that was accepted and is nowhere yet: to its lane, to the schedule, or to its end."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.config import CoordinatorSettings
from actorq.coordinator.core.state import State
from actorq.wire.records import FAILURE, REVOKED, Call, CallSpec

NOW_S = 1e9


def a_call(state: State, acks_late: bool = True, **fields: Any) -> Call:
    """A call that is in no index but `calls`."""
    entry = state.entry(CallSpec("add", acks_late=acks_late))
    call = Call("call", entry.number, b"body", **fields)
    state.calls.add(call)
    state.body_bytes += len(call.body)
    return call


@pytest.fixture
def state() -> State:
    return State("coordinator", "epoch", CoordinatorSettings(), 100.0, NOW_S)


def lane_of(state: State, call: Call) -> list[Call]:
    entry = state.entries_by_number[call.spec]
    return list(entry.lane.levels[entry.spec.priority])


@pytest.mark.parametrize("fields", [{}, {"expires": NOW_S + 1}, {"not_before": NOW_S}, {"lost": 1}])
def test_what_may_start_now_goes_to_the_end_of_its_lane(state: State, fields: dict[str, Any]) -> None:
    call = a_call(state, **fields)
    assert state.place(call)
    assert lane_of(state, call) == [call] and call.seq == state.seq == 1 and not call.not_before


def test_what_must_not_start_yet_waits_in_the_schedule(state: State) -> None:
    call = a_call(state, not_before=NOW_S + 5, expires=NOW_S + 9)
    assert state.place(call)
    assert lane_of(state, call) == [] and state.schedule.next_s() == NOW_S + 5


@pytest.mark.parametrize("fields", [{}, {"not_before": NOW_S + 5}, {"lost": 1, "acks_late": False}])
def test_what_a_worker_may_run_is_held_back(state: State, fields: dict[str, Any]) -> None:
    call = a_call(state, **fields)
    assert state.place(call, is_held_back=True)
    assert state.held_back == {"call": call} and lane_of(state, call) == [] and state.schedule.next_s() is None


@pytest.mark.parametrize(
    ("fields", "ends_as", "is_dead"),
    [
        ({"expires": NOW_S, "not_before": NOW_S + 5}, REVOKED, False),
        ({"lost": 1, "acks_late": False}, FAILURE, True),
    ],
    ids=["its time is over", "it may have started"],
)
def test_what_must_not_start_at_all_is_settled(
    state: State, fields: dict[str, Any], ends_as: int, is_dead: bool
) -> None:
    call = a_call(state, **fields)
    assert not state.place(call)
    outcome = state.outcomes.get("call")
    assert outcome is not None and outcome.state == ends_as
    assert len(state.dead_letters) == is_dead
    assert not state.calls and not state.body_bytes and state.schedule.next_s() is None and lane_of(state, call) == []


def test_what_was_revoked_is_settled_so_whatever_else_holds_of_it(state: State) -> None:
    state.revoked["call"] = (NOW_S + 60, False)
    assert not state.place(a_call(state, expires=NOW_S, lost=1, acks_late=False))
    outcome = state.outcomes.get("call")
    assert outcome is not None and outcome.state == REVOKED and not state.dead_letters
