"""Workflows that run here: `apply`."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from actorq import ActorQ, AsyncResult, GroupResult, chain, chord, group
from actorq.errors import ChordError, EncodeError, IncompleteStream, NotRegistered, TaskRevokedError
from tests.unit.tasks.canvas.support import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_connected(bench: Bench) -> None:
    assert bench.add.apply((1, 2)).get() == 3
    assert bench.app._session is None


def test_the_result_is_ready_and_like_any_other(bench: Bench) -> None:
    result = bench.add.apply((1, 2))
    assert isinstance(result, AsyncResult) and result.ready() and result.successful() and result.state == "SUCCESS"
    assert result.result == 3 and asyncio.run(_awaited(result)) == 3
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get()
    assert result.state == "REVOKED"


async def _awaited(result: Any) -> Any:
    return await result


def test_a_failure_is_the_result_unless_it_is_to_be_thrown(bench: Bench) -> None:
    result = bench.step.apply((), {"tag": "no", "fails": True})
    assert result.failed() and "raise ValueError(tag)" in (result.traceback or "")
    with pytest.raises(ValueError, match="no"):
        bench.step.apply((), {"tag": "no", "fails": True}, throw=True)


def test_arguments_and_values_go_through_the_serializer(bench: Bench) -> None:
    """Running here is no different from running there: what cannot travel is refused."""
    with pytest.raises(EncodeError, match=r"tag"):
        bench.step.apply((), {"tag": object()})

    @bench.app.task(name="odd", serializer="json")
    def odd(value: Any) -> Any:
        return value, {1: 2}

    assert odd.apply(((1, 2),)).get() == [[1, 2], {"1": 2}]
    unencodable = bench.app.task(name="unencodable")(lambda: object())
    with pytest.raises(EncodeError):
        unencodable.apply().get()


def test_a_coroutine_function_runs_here_too_also_inside_of_a_loop(bench: Bench) -> None:
    @bench.app.task(name="later")
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    async def inside() -> int:
        return (later.s(1) | later.s()).apply().get()  # type: ignore[no-any-return]

    assert later.s(1).apply().get() == 2
    assert asyncio.run(inside()) == 3


def test_a_task_sees_its_request(bench: Bench) -> None:
    @bench.app.task(name="who", bind=True)
    def who(self: Any) -> list[Any]:
        return [self.request.id, self.request.called_directly, self.request.hostname]

    result = who.apply(task_id="mine")
    assert result.get() == ["mine", False, "eager"]


def test_chains_groups_and_chords_give_what_they_give_on_a_mesh(bench: Bench) -> None:
    add, total = bench.add, bench.total
    assert chain(add.s(1, 1), add.s(2), add.si(5, 5)).apply().get() == 10
    assert group(add.s(1, 1), group(add.s(2, 2), add.s(3, 3))).apply().get() == [2, 4, 6]
    assert (group(add.s(1), add.s(2)) | total.s() | add.s(1)).apply((10,)).get() == 24
    assert chord([], total.s()).apply().get() == 0
    assert (group(add.s(1, 1), add.s(2, 2)) | group(total.s(), total.s())).apply().get() == [6, 6]
    assert chain().apply() is None
    empty = group([], app=bench.app).apply()
    assert isinstance(empty, GroupResult) and empty.get() == []


def test_a_chain_of_one_is_the_task(bench: Bench) -> None:
    assert chain(bench.add.s(1, 1)).apply().get() == 2
    assert chain(bench.add.s(1)).apply((1,), task_id="mine").id == "mine"


def test_what_is_linked_runs_and_is_a_child(bench: Bench) -> None:
    result = bench.add.apply((1, 1), link=bench.add.s(10), link_error=bench.errback.s())
    assert bench.ran == [("add", 1, 1), ("add", 2, 10)]
    assert len(result.children) == 1


def test_errbacks_of_both_forms_run_when_it_has_failed(bench: Bench) -> None:
    result = bench.step.apply((), {"tag": "x", "fails": True}, link_error=[bench.errback.s("e"), bench.old_errback.s()])
    assert bench.ran == ["x", ("errback", "e", result.id), ("old errback", result.id)]


def test_an_immutable_errback_takes_nothing(bench: Bench) -> None:
    bench.step.apply((), {"tag": "x", "fails": True}, link_error=bench.add.si(1, 1))
    assert bench.ran == ["x", ("add", 1, 1)]


def test_an_errback_runs_once_for_the_call_that_failed_itself(bench: Bench) -> None:
    fails, step = bench.step.s(tag="no", fails=True), bench.step.s(tag="yes")
    chain(step, fails, step, step).on_error(bench.errback.s("of chain")).apply()
    assert bench.errbacks() == ["of chain"]
    bench.ran.clear()
    chain(fails.clone().on_error(bench.errback.s("first")), step.clone().on_error(bench.errback.s("second"))).apply()
    assert bench.errbacks() == ["first"]


def test_a_chord_may_be_sent_with_other_links_each_time(bench: Bench) -> None:
    body = bench.total.s() | bench.add.s(0)
    body.link(bench.add.s(1))
    errbacks: list[Any] = []
    flow = chord([bench.add.s(1, 1)], body).set(link_error=errbacks)
    before = copy.deepcopy(dict(flow))
    for number in (10, 20):
        bench.ran.clear()
        flow.apply(link=bench.add.s(number))
        assert bench.ran[-2:] == [("add", 2, 1), ("add", 2, number)]
        assert len(bench.ran) == 5
    assert dict(flow) == before and errbacks == []


def test_what_is_linked_to_a_chord_of_groups_gets_all_values_of_the_last(bench: Bench) -> None:
    flow = group(bench.add.s(1, 1), bench.add.s(2, 2)) | group(bench.total.s(), bench.total.s())
    flow.apply(link=bench.total.s())
    assert bench.ran[-1] == ("total", [6, 6])
    bench.ran.clear()
    fails = group(bench.step.s(1, tag="x"), bench.step.s(1, tag="no", fails=True))
    (fails | group(bench.total.s(), bench.total.s())).apply(link_error=bench.errback.s("once"))
    assert bench.errbacks() == ["once"]


def test_the_errback_of_a_chord_of_chords_runs_once_when_the_first_header_fails(bench: Bench) -> None:
    first = group(bench.step.s(1, tag="x"), bench.step.s(1, tag="no", fails=True))
    second = group(bench.step.s(tag="i"), bench.step.s(tag="j"))
    (first | second | bench.step.s(tag="last")).apply(link_error=bench.errback.s("once"))
    assert bench.errbacks() == ["once"]


@pytest.mark.parametrize("immutable", [False, True])
@pytest.mark.parametrize("body_is_chain", [False, True])
def test_the_errback_of_a_chord_runs_once_when_a_member_fails(
    bench: Bench, immutable: bool, body_is_chain: bool
) -> None:
    fails, step = bench.step.s(tag="no", fails=True), bench.step.s(tag="yes")
    body = bench.step.s(tag="body").set(immutable=immutable)
    body = chain(body, step) if body_is_chain else body
    flow = chord([step, fails, chain(fails, step), step], body)
    flow.link_error(bench.errback.s("of body"))
    result = flow.apply()
    assert result.failed() and bench.errbacks() == ["of body"]
    assert isinstance(result.result, ValueError if immutable else ChordError)
    assert "body" not in bench.ran


def test_the_body_of_a_chord_fails_and_its_errback_runs_once(bench: Bench) -> None:
    body = bench.step.s(tag="body", fails=True).on_error(bench.errback.s("of body"))
    chord([bench.step.s(tag=1)], body).apply()
    assert bench.errbacks() == ["of body"]


def test_the_errback_of_a_chord_does_not_run_for_what_fails_before_its_header(bench: Bench) -> None:
    before, body = bench.step.s(tag="no", fails=True), bench.step.s(tag="body").on_error(bench.errback.s("of body"))
    result = chain(before, chord([bench.step.s(tag=1), bench.step.s(tag=2)], body)).apply()
    assert result.failed() and bench.ran == ["no"]


def test_the_errback_of_a_chord_also_runs_for_each_member_if_the_settings_say_so(bench: Bench) -> None:
    bench.app.conf.task_allow_error_cb_on_chord_header = True
    fails = bench.step.s(tag="no", fails=True)
    flow = chord([fails, bench.step.s(tag="yes")], bench.step.s(tag="body"))
    flow.link_error(bench.errback.s("of chord"))
    flow.apply()
    assert bench.errbacks() == ["of chord", "of chord"]


def test_a_task_that_is_not_registered_cannot_run_here(bench: Bench) -> None:
    with pytest.raises(NotRegistered):
        bench.app.signature("far.away").apply()


def test_results_know_their_parents(bench: Bench) -> None:
    result = (bench.add.s(1, 1) | group(bench.add.s(1), bench.add.s(2)) | bench.total.s()).apply()
    assert result.get() == 7
    assert result.parent.get() == [3, 4]
    assert result.parent.parent.get() == 2 and result.parent.parent.parent is None
    assert result.as_list() == [result.id, *[each.id for each in result.parent], result.parent.parent.id]
    again = bench.app.result_from_tuple(result.as_tuple())
    assert again.as_tuple() == result.as_tuple() and again == result


def test_what_follows_can_be_collected_only_if_it_is_ready() -> None:
    app = ActorQ("tasks", "tcp://127.0.0.1:1")

    class Unready(type(app.AsyncResult("x"))):  # type: ignore[misc]
        def ready(self) -> bool:
            return False

    result = Unready("id", None, mesh=app)
    with pytest.raises(IncompleteStream):
        list(result.iterdeps())
    assert list(result.iterdeps(intermediate=True)) == [(None, result)]


def test_a_task_is_retried_and_replaced_at_once_as_it_would_be_by_a_worker(bench: Bench) -> None:
    attempts: list[int] = []

    @bench.app.task(name="flaky", bind=True, autoretry_for=(ValueError,), max_retries=2, default_retry_delay=600)
    def flaky(self: Any, failures: int) -> int:
        attempts.append(self.request.retries)
        assert self.request.is_eager
        if self.request.retries < failures:
            raise ValueError("not yet")
        return int(self.request.retries)

    assert (flaky.s(2) | bench.add.s(10)).apply().get() == 12
    assert attempts == [0, 1, 2]
    with pytest.raises(ValueError, match="not yet"):
        flaky.apply((3,)).get()

    @bench.app.task(name="become", bind=True)
    def become(self: Any) -> None:
        self.replace(group(bench.add.s(1, 1), bench.add.s(2, 2)) | bench.total.s())

    assert (become.s() | bench.add.s(1)).apply().get() == 7


def test_hooks_run_here_as_on_a_worker(bench: Bench) -> None:
    ran = bench.ran

    class Hooked(bench.app.Task):  # type: ignore[name-defined,misc]
        def on_success(self, retval: Any, *_: Any) -> None:
            ran.append(("on_success", retval))

    bench.app.task(name="hooked", base=Hooked)(lambda: 5).apply()
    assert ran == [("on_success", 5)]
