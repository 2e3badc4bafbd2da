"""Signatures: calls as data."""

from __future__ import annotations

import copy
from contextvars import copy_context
from typing import Any

import pytest

from actorq import ActorQ, Signature, chain, chord, group, maybe_signature, signature, subtask
from actorq.errors import ImproperlyConfigured
from tests.unit.tasks.canvas.support import Bench, as_json


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_signature_is_a_dict(bench: Bench) -> None:
    sig = bench.add.s(2, y=2)
    assert dict(sig) == {
        "task": "add",
        "args": (2,),
        "kwargs": {"y": 2},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    assert repr(sig) == "add(2, y=2)" and sig.name == "add" and sig.type is bench.add


def test_later_arguments_come_first_and_later_keywords_and_options_win(bench: Bench) -> None:
    sig = bench.add.signature((2,), {"y": 3}, queue="a", priority=1)
    copy = sig.clone((1,), {"y": 4}, priority=2)
    assert copy.args == (1, 2) and copy.kwargs == {"y": 4} and copy.options == {"queue": "a", "priority": 2}
    assert sig.args == (2,) and sig.options == {"queue": "a", "priority": 1}


def test_an_immutable_signature_takes_options_only(bench: Bench) -> None:
    sig = bench.add.si(2, 2)
    copy = sig.clone((1,), {"y": 4}, queue="a")
    assert copy.args == (2, 2) and copy.kwargs == {} and copy.options == {"queue": "a"}
    assert bench.add.s(1).set(immutable=True).immutable


def test_set_changes_options_in_place(bench: Bench) -> None:
    sig = bench.add.s(1, 1)
    assert sig.set(countdown=10) is sig and sig.options == {"countdown": 10}


def test_replace_puts_others_in_the_place_of_what_is_given(bench: Bench) -> None:
    sig = bench.add.s(1, 2).set(queue="a")
    assert sig.replace(args=(3,)).args == (3,) and sig.replace(args=(3,)).options == {"queue": "a"}
    assert sig.replace(options={}).options == {} and sig.args == (1, 2)


def test_links_count_once_and_belong_to_the_signature_only(bench: Bench) -> None:
    sig, callback, errback = bench.add.s(1, 1), bench.add.s(2), bench.errback.s()
    assert sig.link(callback) is callback and sig.link(callback) is callback
    assert sig.link_error(errback) is errback
    assert sig.on_error(errback) is sig
    assert sig.options == {"link": [callback], "link_error": [errback]}
    copy = sig.clone()
    copy.link(bench.add.s(3))
    assert sig.options["link"] == [callback]
    callback.link(bench.total.s())
    assert [each.task for each in sig.flatten_links()] == ["add", "add", "total"]


def test_calling_a_signature_runs_its_task_here(bench: Bench) -> None:
    assert bench.add.s(1)(2) == 3
    assert bench.ran == [("add", 2, 1)]


def test_freezing_chooses_the_id(bench: Bench) -> None:
    sig = bench.add.s(1, 1)
    result = sig.freeze()
    assert sig.id == sig.options["task_id"] == result.id
    assert sig.freeze() == result
    assert bench.add.s(1, 1).freeze("mine").id == "mine"


def test_what_comes_as_a_dict_is_the_same_signature_again(bench: Bench) -> None:
    flows: list[Signature[Any]] = [
        bench.add.s(1, 2).set(countdown=3),
        chain(bench.add.s(1, 1), bench.add.s(2)),
        group(bench.add.s(1, 1), chain(bench.add.s(1, 1), bench.add.s(2))),
        chord([bench.add.s(1, 1)], bench.total.s() | bench.add.s(1)),
        bench.add.starmap([[1, 2]]),
        bench.add.chunks([[1, 2], [3, 4]], 1),
        bench.add.s(1, 1).on_error(bench.errback.s()),
    ]
    for flow in flows:
        again = Signature.from_dict(as_json(flow), bench.app)
        assert type(again) is type(flow)
        assert as_json(again) == as_json(flow)
        assert again.apply().get() == flow.apply().get()
        copied = copy.deepcopy(flow)
        assert type(copied) is type(flow) and copied == flow


def test_maybe_signature_leaves_alone_what_is_none(bench: Bench) -> None:
    sig = bench.add.s(1)
    assert maybe_signature(sig) is sig and maybe_signature(sig, clone=True) is not sig
    assert maybe_signature(None) is None and maybe_signature({"no": "task"}) == {"no": "task"}
    assert signature(sig) == sig and subtask is signature


def test_an_unknown_kind_of_signature_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'chain'"):
        Signature.from_dict({"task": "x", "subtask_type": "chian"})


def test_a_signature_without_an_application_is_one_of_the_current_one(bench: Bench) -> None:
    assert signature("add", args=(1, 1)).app is bench.app
    assert signature("add", args=(1, 1)).apply().get() == 2


def test_an_application_makes_signatures_of_names_it_does_not_know() -> None:
    app = ActorQ("tasks", "tcp://127.0.0.1:1")
    assert app.signature("far.away", args=(1,), kwargs={"x": 2}, queue="q").options == {"queue": "q"}


@pytest.mark.parametrize("part", [5, None, "add"])
def test_a_workflow_of_something_else_is_refused(bench: Bench, part: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="made of signatures"):
        chain(bench.add.s(1, 1), part)


@pytest.mark.parametrize("body", [5, "add"])
def test_a_chord_with_another_body_than_a_signature_is_refused(bench: Bench, body: object) -> None:
    for make in (lambda: chord([bench.add.s(1, 1)], body), lambda: chord([bench.add.s(1, 1)])(body)):
        with pytest.raises(ImproperlyConfigured, match="made of signatures"):
            make()


def test_a_group_takes_no_links_when_it_is_called(bench: Bench) -> None:
    flow = group(bench.add.s(1, 1), bench.add.s(2, 2))
    with pytest.raises(TypeError, match="use a chord"):
        flow.apply_async(link=bench.add.s(1))
    with pytest.raises(TypeError, match="individual tasks"):
        flow.apply_async(link_error=bench.add.s(1))
    flow.link(bench.add.s(1))
    assert flow.tasks[0].options["link"][0].immutable and not flow.tasks[1].options


def test_skew_staggers_the_starts(bench: Bench) -> None:
    flow = group(bench.add.s(i, i) for i in range(5)).skew(start=1, stop=3)
    assert [each.options["countdown"] for each in flow.tasks] == [1, 2, 3, 3, 3]


def test_a_chord_needs_a_body(bench: Bench) -> None:
    with pytest.raises(ImproperlyConfigured, match="has no body"):
        chord([bench.add.s(1, 1)]).delay()


def test_a_chord_without_a_header_is_sent_by_the_application_of_its_body(bench: Bench) -> None:
    def chords() -> None:
        other = ActorQ("other")
        assert group([]).app is other  # Which has nothing else to go by.
        for each in (chord([], bench.total.s()), chord([]).with_body(bench.total.s()), chord([])):
            made: Any = each.bound((), {"body": bench.total.s()}, {})
            assert made.app is bench.app and made.header.app is bench.app
        bench.app.conf.task_always_eager = True
        assert chord([])(bench.total.s()).get() == 0
        assert other.conf.task_always_eager is False

    copy_context().run(chords)
