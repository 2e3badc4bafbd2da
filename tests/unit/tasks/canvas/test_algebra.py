"""What ``a | b`` is."""

from __future__ import annotations

import pytest

from actorq import chain, chord, group
from tests.unit.tasks.canvas.support import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_tasks_make_a_chain_and_chains_one_chain(bench: Bench) -> None:
    a, b, c = bench.add.s(1, 1), bench.add.s(2), bench.add.s(3)
    assert type(a | b) is chain and (a | b).tasks == [a, b]  # type: ignore[attr-defined]
    assert (a | b | c) == (a | (b | c)) == chain(a, b, c) == chain(a, chain(b, c)) == chain([a, b, c])


def test_a_task_and_a_group_make_a_chain(bench: Bench) -> None:
    flow = bench.add.s(1, 1) | group(bench.add.s(1), bench.add.s(2))
    assert type(flow) is chain and type(flow.tasks[1]) is group


def test_a_group_and_what_follows_make_a_chord(bench: Bench) -> None:
    header, body = group(bench.add.s(1, 1), bench.add.s(2, 2)), bench.total.s()
    assert (header | body) == chord(header, body)
    assert type(header | header) is chord and type((header | header).body) is group  # type: ignore[attr-defined]


def test_what_follows_a_chord_follows_its_body(bench: Bench) -> None:
    header, body, after = group(bench.add.s(1, 1), bench.add.s(2, 2)), bench.total.s(), bench.add.s(1)
    assert (header | body | after) == chord(header, chain(body, after))
    assert (chord(header, body) | (after | after)) == chord(header, chain(body, after, after))


def test_a_chain_that_ends_with_a_group_is_upgraded_to_a_chord(bench: Bench) -> None:
    first, header, body = bench.add.s(1, 1), group(bench.add.s(1), bench.add.s(2)), bench.total.s()
    assert (first | header | body) == chain(first, chord(header, body))
    assert chain(first, header, body, first) == chain(first, chord(header, chain(body, first)))


def test_a_group_of_one_is_the_one_in_a_chain(bench: Bench) -> None:
    a, b = bench.add.s(1, 1), bench.add.s(2)
    assert (a | group(b)) == chain(a, b) == chain(a, group(b)) == chain(group(a), b)


def test_what_is_made_does_not_change_what_it_is_made_of(bench: Bench) -> None:
    flow = chord([bench.add.s(1, 1)], bench.total.s())
    before = repr(flow)
    assert flow | bench.add.s(1) != flow
    assert repr(flow) == before


def test_the_links_of_a_chain_go_with_its_tasks_into_another_one(bench: Bench) -> None:
    flow = chain(bench.add.s(1, 1), bench.add.s(2))
    flow.link(bench.total.s())
    flow.link_error(bench.errback.s())
    first, second, third = (flow | bench.add.s(3)).tasks  # type: ignore[attr-defined]
    assert first.options == {"link_error": [bench.errback.s()]}
    assert second.options == {"link": [bench.total.s()], "link_error": [bench.errback.s()]}
    assert third.options == {}
