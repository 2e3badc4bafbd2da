"""Each scenario in a small size: whatever happens to hosts and processes, the mesh keeps its promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.run import reason_not_to_run, run
from tests.cluster.scenarios import ALL, Scenario

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
