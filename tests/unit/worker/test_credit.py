"""How a node's slots are shared between coordinators."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorq.worker.core.credit import share

COUNTS = st.integers(0, 200)


def test_all_goes_to_the_one_that_has_something() -> None:
    assert share(100, [0, 0, 0], [5000, 0, 0]) == [98, 1, 1]


def test_where_all_have_as_much_all_get_as_much() -> None:
    assert share(90, [0, 0, 0], [500, 500, 500]) == [30, 30, 30]


def test_nothing_is_granted_beyond_what_is_held_when_all_is_held() -> None:
    assert share(100, [99, 1], [5000, 5000]) == [99, 1]
    assert share(100, [99, 1, 0], [5000, 0, 5000]) == [99, 1, 0]


def test_what_becomes_free_goes_to_those_that_have_less_than_their_share() -> None:
    assert share(100, [60, 10], [5000, 5000]) == [60, 40]


def test_each_may_say_that_it_has_something_also_where_there_is_one_slot() -> None:
    assert share(1, [0, 0, 0], [0, 700, 0]) == [1, 1, 1]
    assert share(1, [1, 0, 0], [0, 700, 0]) == [1, 0, 0]


@given(st.integers(0, 300), st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_never_more_than_there_is_never_less_than_is_held_and_all_of_it(
    total: int, coordinators: list[tuple[int, int]]
) -> None:
    held = [each for each, _ in coordinators]
    grants = share(total, held, [each for _, each in coordinators])
    assert all(grant >= each for grant, each in zip(grants, held, strict=True))
    first_words = sum(1 for grant, each in zip(grants, held, strict=True) if grant == 1 and not each)
    assert sum(grants) <= max(total, sum(held)) + max(first_words - 1, 0)
    assert sum(grants) >= min(total, sum(grants)) and sum(grants) >= total
