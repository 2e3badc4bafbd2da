"""Workflows of any form give what their parts say, and run nothing twice and nothing that they should not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actorq import chain, chord, group
from tests.unit.tasks.canvas.support import Bench


@dataclass
class Task:
    tag: int
    fails: bool
    immutable: bool


@dataclass
class Chain:
    parts: list[Any]


@dataclass
class Group:
    parts: list[Any]


@dataclass
class Chord:
    header: list[Any]
    body: Any


class Failed(Exception):
    """A part of the model has failed."""


def forms(may_fail: bool) -> st.SearchStrategy[Any]:
    tags = st.integers(0, 10**9)
    tasks = st.builds(Task, tags, st.sampled_from([False, False, False, may_fail]), st.booleans())
    return st.recursive(
        tasks,
        lambda parts: st.one_of(
            st.builds(Chain, st.lists(parts, min_size=1, max_size=4)),
            st.builds(Group, st.lists(parts, min_size=2, max_size=3)),
            st.builds(Chord, st.lists(parts, min_size=0, max_size=3), parts),
        ),
        max_leaves=12,
    )


def canvas_of(form: Any, bench: Bench) -> Any:
    if isinstance(form, Task):
        return bench.step.s(tag=form.tag, fails=form.fails).set(immutable=form.immutable)
    if isinstance(form, Chain):
        return chain(*[canvas_of(each, bench) for each in form.parts])
    if isinstance(form, Group):
        return group(*[canvas_of(each, bench) for each in form.parts])
    return chord([canvas_of(each, bench) for each in form.header], canvas_of(form.body, bench))


def value_of(form: Any, ran: list[int], *before: Any) -> Any:
    """What the form gives, and in `ran` the tags of what runs. Raises Failed."""
    if isinstance(form, Task):
        ran.append(form.tag)
        if form.fails:
            raise Failed
        return [form.tag] if form.immutable else [form.tag, *before]
    if isinstance(form, Chain):
        for each in form.parts:
            before = (value_of(each, ran, *before),)
        return before[0]
    if isinstance(form, Group):
        return values_of(form.parts, ran, *before)
    return value_of(form.body, ran, values_of(form.header, ran, *before))


def values_of(parts: list[Any], ran: list[int], *before: Any) -> list[Any]:
    """All run, also if one fails."""
    values: list[Any] = []
    failed = False
    for each in parts:
        try:
            value = value_of(each, ran, *before)
            values.extend(value) if isinstance(each, Group) else values.append(value)
        except Failed:
            failed = True
    if failed:
        raise Failed
    return values


@settings(max_examples=200, deadline=None)
@given(form=forms(may_fail=False))
def test_a_workflow_gives_what_its_parts_say(form: Any) -> None:
    bench = Bench()
    ran: list[int] = []
    expected = value_of(form, ran)
    flow = canvas_of(form, bench)
    bench.compiled(flow)
    assert flow.apply().get() == expected
    assert sorted(bench.ran) == sorted(ran)


@settings(max_examples=200, deadline=None)
@given(form=forms(may_fail=True))
def test_what_follows_a_failure_does_not_run_and_the_rest_runs_once(form: Any) -> None:
    bench = Bench()
    ran: list[int] = []
    try:
        value_of(form, ran)
        fails = False
    except Failed:
        fails = True
    result = canvas_of(form, bench).apply()
    assert all(leaf.ready() for leaf in result.leaves())
    assert result.failed() is fails
    assert sorted(bench.ran) == sorted(ran)


@settings(max_examples=200, deadline=None)
@given(first=forms(may_fail=True), second=forms(may_fail=True))
def test_the_errback_of_a_workflow_runs_once_if_it_fails(first: Any, second: Any) -> None:
    bench = Bench()
    form = Chain([first, second])
    try:
        value_of(form, [])
        fails = False
    except Failed:
        fails = True
    canvas_of(form, bench).on_error(bench.errback.s("it")).apply()
    assert bench.errbacks() == (["it"] if fails else [])
