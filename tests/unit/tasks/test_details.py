"""What results know of their calls: where they are, what they were made of, and what they have submitted. On the mesh for
tests, whose clock stands still until it is moved."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from actorq import ActorQ, group
from actorq.errors import IncompleteStream
from actorq.result import GroupResult
from actorq.testing import Mesh, mesh
from actorq.wire.records import CallSpec


def make_app(**changes: Any) -> ActorQ:
    app = ActorQ("tasks", url="tcp://127.0.0.1:1", changes=changes)

    @app.task(name="add", compression="gzip")
    def add(x: int, y: int = 0) -> int:
        return x + y

    @app.task(name="stubborn", bind=True)
    def stubborn(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    @app.task(name="pay", sensitive=True)
    def pay(card: str) -> str:
        return "paid"

    @app.task(name="tree")
    def tree(depth: int) -> int:
        if depth:
            tree.delay(depth - 1)
            group(add.s(depth, 1), add.s(depth, 2))()
        return depth

    return app


@pytest.fixture
def plain() -> Iterator[Mesh]:
    with mesh(make_app()) as running:
        yield running


@pytest.fixture
def extended() -> Iterator[Mesh]:
    with mesh(make_app(result_extended=True)) as running:
        yield running


def call(running: Mesh, name: str, *args: Any, **options: Any) -> Any:
    return running.app.tasks[name].apply_async(args, **options)


def now(running: Mesh) -> datetime:
    return datetime.fromtimestamp(running.app.wall_s(), timezone.utc)


# -- when, where and what ----------------------------------------------------------------------------------------------


def test_it_is_known_when_and_where_a_call_has_ended_and_of_a_plain_one_nothing_else(plain: Mesh) -> None:
    result = call(plain, "add", 1)
    assert result.get() == 1
    ended = now(plain)
    plain.clock.advance(3600)
    assert abs(result.date_done - ended) < timedelta(seconds=1) and result.date_done.tzinfo is timezone.utc
    assert result.worker == plain.app.AsyncResult(result.id).worker == "worker-1"
    assert (result.name, result.queue, result.args, result.kwargs, result.retries) == (None,) * 5


def test_of_a_call_that_waits_all_is_known_in_each_program(plain: Mesh) -> None:
    result = plain.app.tasks["add"].apply_async((1,), {"y": 2}, countdown=60, queue="later")
    plain.app.session.flush(10)
    other = type(result)(result.id, None, mesh=plain.app)
    for each in (result, other):
        assert (each.name, each.queue, each.args, each.kwargs, each.retries) == ("add", "later", [1], {"y": 2}, 0)
        assert each.date_done is None and each.worker is None
    details = other.details()
    assert details is not None and details.eta is not None
    assert details.eta - now(plain) == pytest.approx(timedelta(seconds=60), abs=timedelta(seconds=1))


def test_with_result_extended_it_stays_known_when_the_call_has_ended(extended: Mesh) -> None:
    result = extended.app.tasks["add"].delay(1, y=2)
    assert result.get() == 3
    assert (result.name, result.queue, result.args, result.kwargs, result.retries) == (
        "add",
        "default",
        [1],
        {"y": 2},
        0,
    )
    stubborn = call(extended, "stubborn")
    assert stubborn.get() == stubborn.retries == 2


def test_arguments_of_a_sensitive_task_are_not_shown(extended: Mesh) -> None:
    result = call(extended, "pay", "4711")
    assert result.get() == "paid" and result.name == "pay" and result.args is None


def test_a_single_task_or_call_may_be_extended() -> None:
    app = make_app()
    assert app.tasks["add"].spec == CallSpec("add", compression="gzip")
    assert app.task(name="own", result_extended=True)(lambda: None).spec.extended
    with mesh(app) as running:
        result = call(running, "add", 1, result_extended=True)
        assert result.get() == 1 and result.name == "add"


def test_a_result_that_came_before_the_coordinator_heard_of_it_waits_for_that(
    plain: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes straight from the worker, and the date is the coordinator's."""
    result = call(plain, "add", 1)
    assert result.get() == 1
    answers = [{"c": {result.id: {"state": "STARTED", "worker": "w"}}}]
    ask = plain.app._ask
    monkeypatch.setattr(plain.app, "_ask", lambda *asked: answers.pop() if answers else ask(*asked))
    assert result.history() == [("SUCCESS", result.date_done)] and result.date_done is not None


def test_of_an_id_that_is_not_known_nothing_is(plain: Mesh) -> None:
    result = plain.app.AsyncResult("no such call")
    assert result.details() is None and result.history() == []
    assert result.date_done is None and result.name is None


def test_a_call_that_has_run_here_asks_no_mesh() -> None:
    app = make_app(task_always_eager=True, task_store_eager_result=True, result_extended=True)
    result = app.tasks["add"].delay(1)
    for each in (result, app.AsyncResult(result.id)):
        assert each.date_done is None and each.name is None and each.children == []
        assert each.history() == [("SUCCESS", None)]


# -- states ------------------------------------------------------------------------------------------------------------


def test_the_state_stays_celerys_and_the_details_say_for_what_a_call_waits(plain: Mesh) -> None:
    waiting = call(plain, "add", 1, countdown=60)
    plain.app.session.flush(10)
    submitted = now(plain)
    plain.clock.advance(10)
    assert waiting.state == "PENDING" and waiting.details().state == "SCHEDULED"
    ((state, since),) = waiting.history()
    assert state == "SCHEDULED" and abs(since - submitted) < timedelta(seconds=1)


def test_the_history_of_an_extended_call_begins_with_its_wait(extended: Mesh) -> None:
    result = call(extended, "add", 1, countdown=60)
    submitted = now(extended)
    assert result.get() == 1
    (first, queued_at), (last, ended_at) = result.history()
    assert (first, last) == ("QUEUED", "SUCCESS") and ended_at == result.date_done
    assert timedelta(seconds=59) < queued_at - submitted <= ended_at - submitted + timedelta(seconds=1)


# -- what they have submitted --------------------------------------------------------------------------------------------


def test_children_are_what_the_task_has_submitted_groups_as_one(extended: Mesh) -> None:
    result = call(extended, "tree", 1)
    result.get()
    child, members = result.children
    assert child.get() == 0 and child.name == "tree" and child.details().parent_id == result.id
    assert isinstance(members, GroupResult) and members.get() == [2, 3]


def test_all_that_comes_of_a_call_is_collected_and_drawn(extended: Mesh) -> None:
    result = call(extended, "tree", 2)
    result.get()
    values = [value for node, value in result.collect(intermediate=True) if not isinstance(node, GroupResult)]
    assert sorted(values) == [0, 1, 2, 2, 3, 3, 4]
    graph = result.build_graph(formatter=lambda node: getattr(node, "name", None) or "group")
    assert len(graph) == 9 and graph.valency_of(result) == 8
    file = io.StringIO()
    graph.to_dot(file)
    assert '"tree" -> "group";' in file.getvalue() and file.getvalue().startswith("digraph")
    assert {node.id for node in result.graph} == {node.id for node in graph}


def test_a_graph_of_what_is_not_ready_is_drawn_only_if_asked_for(extended: Mesh) -> None:
    result = call(extended, "add", 1, countdown=60)
    extended.app.session.flush(10)
    with pytest.raises(IncompleteStream):
        result.build_graph()
    assert list(result.build_graph(intermediate=True)) == [result]


def test_without_the_setting_children_are_those_of_the_plan_only(plain: Mesh) -> None:
    result = call(plain, "tree", 1)
    result.get()
    assert result.children == []
    last = (plain.app.tasks["add"].s(1) | plain.app.tasks["add"].s(2)).delay()
    assert last.get() == 3 and last.parent.children == [last] and list(last.parent.graph.edges()) == [last.parent]
