"""Chains, groups and chords on a real mesh, and the results of all kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorq import (
    ActorQ,
    AsyncResult,
    GroupResult,
    ResultSet,
    Signature,
    chain,
    chord,
    chunks,
    group,
    maybe_signature,
    signature,
    xmap,
)
from actorq.errors import ChordError, TaskRevokedError
from actorq.result import result_from_tuple
from tests.integration import tasks
from tests.support import eventually

add, total, fail = tasks.add, tasks.total, tasks.fail


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# -- chains ---------------------------------------------------------------------------------------------------------


def test_each_of_a_chain_gets_the_value_of_the_one_before_it(shared_app: ActorQ) -> None:
    result = (add.s(2, 2) | add.s(4) | add.s(8)).delay()
    assert result.get(timeout=20) == 16
    assert result.parent.get(timeout=20) == 8
    assert result.parent.parent.get(timeout=20) == 4
    assert result.parent.parent.parent is None


def test_an_immutable_signature_takes_no_value(shared_app: ActorQ) -> None:
    assert chain(add.s(2, 2), add.si(1, 1)).apply_async().get(timeout=20) == 2


def test_a_chain_takes_arguments_for_its_first_task(shared_app: ActorQ) -> None:
    assert (add.s(1) | add.s(10)).delay(5).get(timeout=20) == 16
    assert ~chain(add.s(1, 1), add.s(1)) == 3


def test_a_failure_ends_the_chain_and_is_raised_by_its_last_result(shared_app: ActorQ, tmp_path: Path) -> None:
    result = chain(add.s(1, 1), fail.si("halfway"), tasks.write.si(str(tmp_path / "ran"))).delay()
    with pytest.raises(ValueError, match="halfway"):
        result.get(timeout=20)
    assert result.parent.parent.get(timeout=20) == 2
    assert not (tmp_path / "ran").exists()


def test_a_chain_of_a_thousand_runs_to_its_end(shared_app: ActorQ) -> None:
    result = chain(add.s(0, 1), *[add.s(1) for _ in range(999)]).delay()
    assert result.get(timeout=60) == 1000


# -- groups and chords ------------------------------------------------------------------------------------------------


def test_a_group_gives_a_list_of_values_in_order(shared_app: ActorQ) -> None:
    result = group(add.s(i, i) for i in range(10))()
    assert isinstance(result, GroupResult)
    assert result.get(timeout=20) == [2 * i for i in range(10)]
    assert result.completed_count() == len(result) == 10 and result.successful() and not result.failed()


def get_at_once(result: GroupResult) -> None:
    result.get()


def get_with_messages(result: GroupResult) -> None:
    result.get(on_message=lambda message: None)


def gather_it(result: GroupResult) -> None:
    tasks.app.gather(*result)


def await_it(result: GroupResult) -> None:
    async def wait() -> list[Any]:
        return await result

    asyncio.run(wait())


@pytest.mark.parametrize("wait", [get_at_once, get_with_messages, gather_it, await_it])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_whoever_waits_for_a_group_hears_of_a_failure_when_it_comes(
    shared_app: ActorQ, wait: Callable[[GroupResult], None], place: int
) -> None:
    members = [add.s(1, 1), add.s(2, 2).set(countdown=60)]
    result = group(*members[:place], fail.s("no"), *members[place:])()
    with pytest.raises(ValueError, match="no"):
        wait(result)
    assert result.waiting()
    result.cancel(wait=True, timeout=20)


def test_a_failure_of_another_call_ends_no_wait(shared_app: ActorQ) -> None:
    result = group(add.s(1, 1), add.s(2, 2).set(countdown=1))()
    other = fail.delay("no")
    assert result.get(timeout=20) == [2, 4]
    assert other.failed()


def test_a_group_gives_its_arguments_to_each(shared_app: ActorQ) -> None:
    assert group(add.s(1), add.s(2))(10).get(timeout=20) == [11, 12]


def test_the_body_of_a_chord_gets_all_values_in_the_order_of_the_header(shared_app: ActorQ) -> None:
    result = chord([add.s(i, 0) for i in range(100)])(tasks.echo.s())
    assert result.get(timeout=20) == list(range(100))
    assert result.parent.get(timeout=20) == list(range(100))


def test_a_chord_without_a_header_runs_its_body_at_once(shared_app: ActorQ) -> None:
    assert chord([])(tasks.echo.s()).get(timeout=20) == []


def test_a_group_in_the_middle_of_a_chain_is_a_chord(shared_app: ActorQ) -> None:
    flow = add.s(1, 1) | group(add.s(10), add.s(20)) | total.s() | add.s(1)
    assert flow.delay().get(timeout=20) == 35


def test_a_chain_that_ends_with_a_group_gives_its_list(shared_app: ActorQ) -> None:
    result = (add.s(1, 1) | group(add.s(10), add.s(20))).delay()
    assert result.get(timeout=20) == [12, 22]


def test_groups_may_be_nested_and_follow_each_other(shared_app: ActorQ) -> None:
    inner = chain(add.s(1, 1), group(add.s(1), add.s(2)))
    assert group(add.s(0, 0), group(add.s(1, 0), add.s(2, 0)), inner)().get(timeout=20) == [0, 1, 2, [3, 4]]
    assert chord([add.s(0, 0), inner], tasks.echo.s())().get(timeout=20) == [0, [3, 4]]
    assert (group(add.s(1, 1), add.s(2, 2)) | group(total.s(), tasks.echo.s())).delay().get(timeout=20) == [6, [2, 4]]
    nested = chord([chord([add.s(i, j) for j in range(5)], total.s()) for i in range(5)], total.s())
    assert nested.delay().get(timeout=20) == sum(i + j for i in range(5) for j in range(5))


def test_a_member_that_fails_fails_the_chord_and_its_errback_runs_once(shared_app: ActorQ, tmp_path: Path) -> None:
    path = tmp_path / "errors"
    body = total.s().on_error(tasks.write_cause.s(str(path)))
    result = chord([add.s(1, 1), fail.s("one"), fail.s("two")], body).delay()
    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError\('one'\)|raised ValueError\('two'\)"):
        result.get(timeout=20)
    assert eventually(lambda: lines(path))[0].startswith(result.id)
    assert chain(add.s(1, 1), add.s(1)).delay().get(timeout=20) == 3  # Long enough for a second errback.
    assert len(lines(path)) == 1


@pytest.mark.parametrize(
    "send",
    [
        lambda header, errback: chord(header, total.s()).on_error(errback).delay(),
        lambda header, errback: chord(header, total.s().on_error(errback)).delay(),
        lambda header, errback: chord(header, total.s()).apply_async(link_error=errback),
        lambda header, errback: chord(header)(total.s(), link_error=[errback]),
        lambda header, errback: chord(header, total.s()).set(link_error=[errback]).delay(),
        lambda header, errback: chord(header, total.s(), link_error=errback).delay(),
    ],
    ids=["on_error", "on_error of the body", "apply_async", "call", "set", "option"],
)
def test_however_an_errback_is_linked_to_a_chord_it_is_the_bodys(
    shared_app: ActorQ, tmp_path: Path, send: Callable[..., Any]
) -> None:
    path = tmp_path / "errors"
    result = send([add.s(1, 1), fail.s("no")], tasks.write_cause.s(str(path)))
    with pytest.raises(ChordError):
        result.get(timeout=20)
    assert eventually(lambda: lines(path))[0].startswith(f"{result.id} Dependency ")


def test_a_member_that_is_revoked_does_not_leave_the_chord_waiting(shared_app: ActorQ) -> None:
    header = group(add.s(1, 1), add.s(2, 2).set(countdown=60))
    result = (header | total.s()).delay()
    assert result.parent[1].revoke(wait=True, timeout=5) == "removed"
    with pytest.raises((ChordError, TaskRevokedError)):
        result.get(timeout=20)


# -- links ------------------------------------------------------------------------------------------------------------


def test_what_is_linked_runs_with_the_value(shared_app: ActorQ, tmp_path: Path) -> None:
    path = tmp_path / "values"
    result = add.apply_async((2, 3), link=[tasks.write_after.s(str(path)), add.s(1)])
    assert result.get(timeout=20) == 5
    assert eventually(lambda: lines(path)) == ["5"]
    assert len(result.children) == 2
    assert result.children[1].get(timeout=20) == 6
    assert [value for _, value in result.collect(timeout=20)] == [5, None, 6]


def test_an_errback_of_either_form_runs_when_the_task_has_failed(shared_app: ActorQ, tmp_path: Path) -> None:
    path = tmp_path / "errors"
    old = tasks.write_failed_id.s()
    old_result = old.freeze()
    result = fail.apply_async(("no",), link_error=[tasks.write_cause.s(str(path)), old])
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=20)
    assert eventually(lambda: lines(path)) == [f"{result.id} no"]
    assert old_result.get(timeout=20) == f"{result.id} has failed"


def test_the_errback_of_a_chain_runs_once_whichever_of_its_tasks_has_failed(shared_app: ActorQ, tmp_path: Path) -> None:
    path = tmp_path / "errors"
    flow = chain(add.s(1, 1), fail.si("in the middle"), add.s(1), add.s(2)).on_error(tasks.write_cause.s(str(path)))
    result = flow.delay()
    with pytest.raises(ValueError, match="in the middle"):
        result.get(timeout=20)
    assert eventually(lambda: lines(path)) == [f"{result.parent.parent.id} in the middle"]


def test_the_errback_of_one_task_does_not_run_when_an_earlier_one_has_failed(
    shared_app: ActorQ, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    result = chain(
        fail.si("at once").on_error(tasks.write_cause.s(str(first))),
        add.si(1, 1).on_error(tasks.write_cause.s(str(second))),
    ).delay()
    with pytest.raises(ValueError, match="at once"):
        result.get(timeout=20)
    assert eventually(lambda: lines(first))
    assert not lines(second)


# -- other signatures -------------------------------------------------------------------------------------------------


def test_map_starmap_and_chunks_run_many_items_in_one_call(shared_app: ActorQ) -> None:
    assert total.map([[1, 2], [3]]).delay().get(timeout=20) == [3, 3]
    assert add.starmap([(1, 2), (3, 4)]).delay().get(timeout=20) == [3, 7]
    assert add.chunks(zip(range(5), range(5), strict=True), 2)().get(timeout=20) == [[0, 2], [4, 6], [8]]
    assert xmap(total.s(), [[1]]).delay().get(timeout=20) == [1]
    assert (chunks(add.s(), [(1, 1), (2, 2), (3, 3)], 1).group() | tasks.echo.s()).delay().get(timeout=20) == [
        [2],
        [4],
        [6],
    ]


def test_a_signature_travels_as_an_argument_and_is_one_again(shared_app: ActorQ) -> None:
    flow = add.s(2, 2) | group(add.s(1), add.s(2)) | total.s()
    arrived = tasks.echo.delay(flow).get(timeout=20)
    assert type(arrived) is dict
    again = maybe_signature(arrived, shared_app)
    assert isinstance(again, Signature) and again == flow
    assert again.delay().get(timeout=20) == 11
    assert signature(add.name, args=(1, 2), app=shared_app).delay().get(timeout=20) == 3


# -- results ----------------------------------------------------------------------------------------------------------


def test_a_group_is_found_again_by_its_id(shared_app: ActorQ) -> None:
    result = group(add.s(i, 1) for i in range(3))()
    result.save()
    with ActorQ("stranger", shared_app.url) as stranger:
        restored = stranger.GroupResult.restore(result.id)
        assert restored is not None and restored == result
        assert restored.get(timeout=20) == [1, 2, 3]
        assert stranger.GroupResult.restore("never saved") is None


def test_a_result_is_made_of_its_tuple(shared_app: ActorQ) -> None:
    result = (group(add.s(1, 1), add.s(2, 2)) | total.s()).delay()
    assert result.get(timeout=20) == 6
    again = result_from_tuple(result.as_tuple(), shared_app)
    assert again == result and again.parent == result.parent
    assert again.get(timeout=20) == 6 and again.parent.get(timeout=20) == [2, 4]


def test_workflows_are_awaited_in_coroutines(shared_app: ActorQ) -> None:
    async def wait() -> tuple[Any, list[Any], set[Any]]:
        last = await (add.s(1, 1) | add.s(1)).delay()
        values = await group(add.s(i, i) for i in range(3))()
        return last, values, {result.get() async for result in group(add.s(i, 0) for i in range(5))()}

    assert asyncio.run(wait()) == (3, [0, 2, 4], {0, 1, 2, 3, 4})


def test_callbacks_of_get_are_told_of_each_value(shared_app: ActorQ) -> None:
    told: list[tuple[str, int]] = []
    result = group(add.s(i, 0) for i in range(3))()
    assert result.get(timeout=20, callback=lambda task_id, value: told.append((task_id, value))) == []
    assert told == [(each.id, i) for i, each in enumerate(result)]
    assert dict(result.iter_native(timeout=20)).keys() == {each.id for each in result}


def test_the_last_message_of_get_says_how_the_call_has_ended(shared_app: ActorQ) -> None:
    heard: list[dict[str, Any]] = []
    result = add.delay(1, 2)
    assert result.get(timeout=20, on_message=heard.append) == 3
    assert heard[-1] == {"task_id": result.id, "status": "SUCCESS", "result": 3, "traceback": None, "children": []}
    failed = fail.delay("no")
    failed.get(timeout=20, propagate=False, on_message=heard.append)
    assert heard[-1]["status"] == "FAILURE" and "raise ValueError" in heard[-1]["traceback"]


def test_a_whole_workflow_is_cancelled_by_its_result(shared_app: ActorQ) -> None:
    result = (group(tasks.pid_after.s(30), add.s(1, 1).set(countdown=60)) | total.s() | add.s(1)).delay()
    what = result.cancel(wait=True, timeout=5)
    assert len(what) == 5  # Of four calls, and of all that goes back to the first.
    with pytest.raises((TaskRevokedError, ChordError)):
        result.get(timeout=20)
    assert eventually(lambda: all(each.ready() for each in result.parent.parent))


@pytest.mark.parametrize("some", ["last", "body", "member"])
def test_a_whole_workflow_is_cancelled_by_the_id_of_any_of_its_calls(shared_app: ActorQ, some: str) -> None:
    # As from another program, which knows nothing but the id.
    result = (group(tasks.pid_after.s(30), add.s(1, 1).set(countdown=60)) | total.s() | add.s(1)).delay()
    body = result.parent
    eventually(lambda: body.parent[0].state == "STARTED")
    chosen = {"last": result, "body": body, "member": body.parent[1]}[some]
    AsyncResult(chosen.id, None, mesh=shared_app, is_bare=True).cancel(wait=True, timeout=5)
    calls = [result, body, *body.parent]
    for each in calls:
        each.get(timeout=20, propagate=False)
    assert [each.state for each in calls] == ["REVOKED"] * 4


def test_a_group_that_another_program_has_saved_is_cancelled(shared_app: ActorQ) -> None:
    result = (group(tasks.pid_after.s(30), add.s(1, 1).set(countdown=60)) | total.s()).delay()
    handles: list[AsyncResult[Any]] = [
        AsyncResult(each.id, None, mesh=shared_app, is_bare=True) for each in result.parent
    ]
    ResultSet(handles, shared_app).cancel(wait=True, timeout=5)
    assert isinstance(result.get(timeout=20, propagate=False), TaskRevokedError)


def test_a_call_whose_result_is_ignored_has_none_at_once(shared_app: ActorQ) -> None:
    result = add.apply_async((1, 1), ignore_result=True, countdown=60)
    assert result.ignored and result.get(timeout=20) is None
    result.revoke()


def test_exists_tells_a_waiting_call_from_an_unknown_one(shared_app: ActorQ) -> None:
    waiting = add.apply_async((1, 1), countdown=60)
    assert eventually(waiting.exists)
    assert not shared_app.AsyncResult("never heard of").exists()
    waiting.revoke()


# -- from inside of tasks ---------------------------------------------------------------------------------------------


def test_a_task_is_replaced_by_a_workflow_and_what_followed_it_follows_that(shared_app: ActorQ) -> None:
    result = (tasks.become_total.s([1, 2, 3]) | add.s(10)).delay()
    assert result.get(timeout=20) == 16
    assert result.parent.get(timeout=20) == 6
    assert (group(tasks.become_total.s([1, 2]), add.s(0, 4)) | total.s()).delay().get(timeout=20) == 7


def test_calls_know_their_place_in_the_workflow(shared_app: ActorQ) -> None:
    result = chain(tasks.tell_places.s(), group(tasks.tell_places.s(), tasks.tell_places.s())).delay()
    first, members = result.parent.get(timeout=20), result.get(timeout=20)
    assert first == [first[0], first[0], None, None]
    assert [each[1:] for each in members] == [[first[0], first[0], result.id]] * 2


def test_get_streams_the_progress_of_a_task(shared_app: ActorQ, tmp_path: Path) -> None:
    path, heard = tmp_path / "go on", []
    result = tasks.report_and_wait.delay(str(path))

    def on_message(message: dict[str, Any]) -> None:
        heard.append((message["status"], message["result"]))
        if message["status"] == "PROGRESS":
            # The coordinator hears of it on a way of its own, which may take longer.
            eventually(lambda: result.state == "PROGRESS", 20, "the coordinator to hear of it")
            assert result.info == {"done": 1}
            path.touch()

    assert result.get(timeout=20, on_message=on_message, propagate=False) == "done"
    assert [each for each in heard if each[0] != "STARTED"] == [("PROGRESS", {"done": 1}), ("SUCCESS", "done")]
