"""The checker finds in a history what should not be there, and accepts what may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.cluster.checker import History, Verdict, judge
from tests.cluster.history import Numbers


def numbers(calls: Sequence[int]) -> Numbers:
    return np.array(calls, np.uint64)


def verdict(
    attempted: Sequence[int] = (1, 2, 3),
    accepted: Sequence[int] = (1, 2, 3),
    settled: Sequence[int] = (1, 2, 3),
    executed: Sequence[int] = (1, 2, 3),
    unknown: Sequence[int] = (),
    wrong: Sequence[int] = (),
) -> Verdict:
    """Of a good history of three calls, but for what is given."""
    return judge(History(*map(numbers, (attempted, accepted, settled, executed, unknown, wrong))))


def test_a_history_in_which_each_accepted_call_settles_is_good() -> None:
    found = verdict(settled=(3, 1, 2), executed=(2, 3, 1))
    assert found.violations(may_run_twice=False) == []
    assert (found.attempted, found.accepted, found.settled, found.executed) == (3, 3, 3, 3)


def test_an_empty_history_is_good() -> None:
    assert verdict((), (), (), ()).violations() == []


def test_a_call_that_was_accepted_and_never_settled_is_lost() -> None:
    found = verdict(settled=(1, 3))
    assert found.lost.tolist() == [2]
    assert found.violations() == ["1 calls lost: accepted and never settled: 2"]


def test_a_call_that_was_never_accepted_is_not_lost() -> None:
    found = verdict(accepted=(1, 3), settled=(1, 3), executed=(1, 3), unknown=(2,))
    assert found.violations() == []
    assert found.recovered == 0


def test_a_call_that_ran_and_that_nobody_has_attempted_is_unexpected() -> None:
    found = verdict(executed=(1, 2, 3, 9))
    assert found.unexpected.tolist() == [9]
    assert found.violations() == ["1 calls unexpected: never attempted: 9"]


def test_a_call_that_settled_and_that_nobody_has_attempted_is_unexpected() -> None:
    assert verdict(settled=(1, 2, 3, 9), executed=(1, 2, 3, 9)).unexpected.tolist() == [9]
    assert verdict(wrong=(9,)).unexpected.tolist() == [9]
    assert verdict(attempted=(1, 3), accepted=(1, 3)).unexpected.tolist() == [2]


def test_a_call_that_settled_and_never_ran_is_unfounded() -> None:
    found = verdict(executed=(1, 3))
    assert found.unfounded.tolist() == [2]
    assert found.violations() == ["1 calls settled without having run: 2"]


def test_calls_that_ran_more_than_once_are_counted_by_how_often() -> None:
    found = verdict(executed=(1, 2, 2, 3, 3, 3))
    assert found.duplicated == {2: 1, 3: 1}
    assert found.executed == 3


def test_to_run_twice_is_a_violation_only_where_that_was_excluded() -> None:
    found = verdict(executed=(1, 2, 2, 3))
    assert found.violations() == []
    assert found.violations(may_run_twice=False) == ["1 calls ran more than once: 1 calls 2 times"]


def test_a_call_that_settled_with_another_value_is_wrong_and_not_lost() -> None:
    found = verdict(settled=(1, 3), wrong=(2,))
    assert found.lost.tolist() == []
    assert found.violations() == ["1 calls settled with something else than their value: 2"]


def test_a_call_of_unknown_fate_that_ran_is_recovered() -> None:
    found = verdict(accepted=(1, 2), unknown=(2, 3))
    assert found.recovered == 1
    assert found.violations() == []


def test_of_many_violations_some_are_named() -> None:
    (text,) = verdict(attempted=range(30), accepted=range(30), settled=(), executed=()).violations()
    assert text == "30 calls lost: accepted and never settled: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"
