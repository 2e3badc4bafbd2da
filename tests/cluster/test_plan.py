"""Plans of faults, and figures over time."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest

from tests.cluster.plan import CUTS, KINDS, Fault, Timing, draw
from tests.cluster.series import per_second, rate_between, recovery_s, slope


def plan(seed: int = 1, kinds: tuple[str, ...] = KINDS, count: int = 70, hosts: int = 5) -> list[Fault]:
    return draw(Random(seed), kinds, count, Timing(), coordinators=2, workers=3, hosts=hosts)


def test_a_seed_gives_the_same_plan_again_and_another_seed_another() -> None:
    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


def test_each_kind_of_fault_happens_as_often_as_the_others() -> None:
    kinds = [fault.kind for fault in plan()]
    assert {kinds.count(kind) for kind in KINDS} == {10}


def test_a_fault_ends_before_the_next_begins() -> None:
    faults = plan()
    assert faults[0].at_s == Timing().first_s
    assert all(fault.until_s < following.at_s for fault, following in itertools.pairwise(faults))


def test_all_nodes_are_harmed_and_no_others() -> None:
    faults = plan()
    assert {fault.target for fault in faults if fault.kind.endswith("coordinator")} == {0, 1}
    assert {fault.target for fault in faults if fault.kind.endswith("worker")} == {0, 1, 2}


@pytest.mark.parametrize("kind", CUTS)
def test_cuts_separate_two_sides_that_are_all_hosts(kind: str) -> None:
    for fault in plan(kinds=(kind,)):
        there = {source for source, _ in fault.cuts}
        assert {host for pair in fault.cuts for host in pair} == set(range(5))
        if kind == "one way":
            assert there.isdisjoint(target for _, target in fault.cuts)
        else:
            assert set(fault.cuts) == {(target, source) for source, target in fault.cuts}
        if kind == "halves":
            assert len(fault.cuts) == 2 * 2 * 3
        if kind == "isolate":
            assert len(fault.cuts) == 2 * 1 * 4


def test_without_kinds_nothing_happens() -> None:
    assert plan(kinds=()) == []


def test_what_was_done_is_counted_in_each_second() -> None:
    times = np.array([10.0, 10.5, 12.9, 13.1, 20.0])
    assert per_second(times, 10.0, 13.5) == [2, 0, 1]
    assert per_second(times, 10.0, 10.0) == []
    assert rate_between(times, 10.0, 12.0) == 1.0


def test_a_rate_is_reached_again_at_the_end_of_the_first_second_that_has_it() -> None:
    slow, fast = np.arange(0.0, 5.0, 0.1), np.arange(5.0, 10.0, 0.01)
    times = np.concatenate([fast, slow])
    assert recovery_s(times, 2.0, 10.0, 90) == pytest.approx(3.9, abs=0.11)
    assert recovery_s(times, 5.0, 10.0, 90) == pytest.approx(1.0)
    assert recovery_s(times, 2.0, 10.0, 200) is None
    assert recovery_s(times, 9.5, 10.0, 1) is None


def test_a_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0, 5), (10, 25), (20, 45)]) == pytest.approx(2)
    assert slope([(0, 7), (1, 7), (2, 7)]) == 0
    assert slope([(1, 7)]) == 0
