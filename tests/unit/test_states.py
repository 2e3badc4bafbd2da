"""The states of calls, and which of two counts."""

from __future__ import annotations

from actorq import states


def test_the_sets_are_those_of_celery_with_two_honest_states_more() -> None:
    assert {"SUCCESS", "FAILURE", "REVOKED"} == states.READY_STATES
    assert {"PENDING", "QUEUED", "SCHEDULED", "RECEIVED", "STARTED", "REJECTED", "RETRY"} == states.UNREADY_STATES
    assert {"RETRY", "FAILURE", "REVOKED"} == states.EXCEPTION_STATES
    assert {"FAILURE", "REVOKED"} == states.PROPAGATE_STATES
    assert states.IGNORED == "IGNORED" and states.READY_STATES < states.ALL_STATES


def test_states_are_compared_by_what_counts_more() -> None:
    state = states.state
    assert state("PENDING") < state("RETRY") < state("RECEIVED") < state("STARTED") < state("REVOKED")
    assert state("REVOKED") < state("PROGRESS") < state("FAILURE") < state("SUCCESS")
    assert state("SUCCESS") > "PENDING" and state("SUCCESS") >= "SUCCESS" and state("PROGRESS") <= "OWN"
    assert state("SUCCESS") == "SUCCESS"
