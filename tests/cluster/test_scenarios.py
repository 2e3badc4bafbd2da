"""Each scenario in a small size: whatever happens to hosts and processes, the mesh keeps its promises."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.cluster.hosts import reason_not_here
from tests.cluster.run import reason_not_to_run, run
from tests.cluster.scenarios import ALL, BY_NAME, Scenario, Size

SEED = 1


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_every_call_settles_as_it_was_promised(scenario: Scenario, tmp_path: Path) -> None:
    reason = reason_not_to_run(scenario)
    if reason:
        pytest.skip(reason)
    report = run(scenario, scenario.small, SEED, tmp_path)
    assert report.violations() == [], report.table()
    assert len(report.faults) == report.planned, report.table()
    assert report.verdict.accepted == scenario.small.calls, report.table()


@pytest.mark.slow
@pytest.mark.skipif(bool(reason_not_here()), reason=reason_not_here())
def test_lost_calls_are_found_where_calls_can_be_lost(tmp_path: Path) -> None:
    # Given clients that leave, and a coordinator that has no journal
    scenario = dataclasses.replace(BY_NAME["durable"], has_data=False, kinds=("kill coordinator",), workers=1)
    # When it is killed, then the calls that waited in it are lost, and nothing else is wrong
    verdict = run(scenario, Size(calls=2000, faults=1), SEED, tmp_path).verdict
    assert len(verdict.lost) > 0
    assert verdict.settled + len(verdict.lost) == verdict.accepted
    assert len(verdict.unexpected) == len(verdict.wrong) == 0
