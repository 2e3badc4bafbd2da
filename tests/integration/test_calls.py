"""The task API on a real mesh: calls, results, options, maps."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from actorq import ActorQ
from actorq.client.core import LookUp
from actorq.errors import CallRefused, EncodeError, MessageTooLarge, RemoteError, TaskRevokedError, TimeoutError
from actorq.wire.payload import remote_traceback
from tests.integration import tasks
from tests.support import eventually


class LocalError(Exception):
    """Defined by the caller."""


def test_a_call_runs_here_and_delay_runs_there(shared_app: ActorQ) -> None:
    assert tasks.add(2, 3) == 5
    result = tasks.add.delay(2, 3)
    assert result.get(timeout=10) == 5
    assert result.state == "SUCCESS"
    assert result.ready() and result.successful() and not result.failed()
    assert result.result == 5 and result.traceback is None


def test_nobody_is_asked_whether_calls_of_this_program_have_settled(
    shared_app: ActorQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    look_up = shared_app.session.look_up

    def count(task_ids: Sequence[str], timeout_s: float | None) -> LookUp:
        asked.extend(task_ids)
        return look_up(task_ids, timeout_s)

    monkeypatch.setattr(shared_app.session, "look_up", count)
    results = [tasks.pid_after.delay(0.2) for _ in range(1000)]
    assert sum(result.ready() for result in results) < 1000
    assert eventually(lambda: sum(result.ready() for result in results) == 1000, 60)
    assert results[0].successful()
    assert len(asked) < 100, "those at most whose outcomes came at the same moment"


def test_arguments_may_come_from_an_iterator(shared_app: ActorQ) -> None:
    assert tasks.add.apply_async(iter([2, 3])).get(timeout=10) == 5
    assert shared_app.send_task(tasks.add.name, iter([2, 3])).get(timeout=10) == 5


def test_a_coroutine_function_is_a_task(shared_app: ActorQ) -> None:
    results = [tasks.add_async.delay(i, 1) for i in range(50)]
    assert shared_app.gather(*results, timeout=10) == list(range(1, 51))


def test_values_come_back_as_what_they_were(shared_app: ActorQ) -> None:
    value = {"when": datetime.date(2024, 2, 29), "tuple": (1, [2]), "set": {1}, "price": Decimal("1.10"), "bytes": b"x"}
    assert tasks.echo.delay(value).get(timeout=10) == value


def test_a_large_argument_comes_back_unharmed(shared_app: ActorQ) -> None:
    body = bytes(range(256)) * 8192
    assert tasks.echo.delay(body).get(timeout=20) == body


def test_wrong_arguments_fail_at_the_call(shared_app: ActorQ) -> None:
    with pytest.raises(TypeError, match="add"):
        tasks.add.delay(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="add"):
        tasks.add.apply_async((1, 2, 3))


def test_an_exception_arrives_as_itself_with_the_remote_traceback(shared_app: ActorQ) -> None:
    result = tasks.fail.delay("no such luck")
    with pytest.raises(ValueError, match="no such luck") as raised:
        result.get(timeout=10)
    text = remote_traceback(raised.value)
    assert text is not None and "tasks.py" in text and "raise ValueError(message)" in text
    assert result.failed() and result.traceback == text
    returned: object = result.get(propagate=False)
    assert isinstance(returned, ValueError)


def test_an_exception_of_an_unknown_class_arrives_under_its_name(shared_app: ActorQ) -> None:
    def fail() -> None:
        module: dict[str, object] = {"__name__": "far_away"}
        exec("class Odd(Exception): pass", module)
        raise module["Odd"]("strange")  # type: ignore[operator]

    with pytest.raises(RemoteError, match=r"far_away\.Odd: strange"):
        shared_app.submit(fail).get(timeout=10)


def test_any_function_can_be_submitted_by_value(shared_app: ActorQ) -> None:
    factor = 3
    assert shared_app.submit(lambda x: x * factor, 14).get(timeout=10) == 42


def test_arguments_that_msgpack_cannot_carry_travel_with_a_function_by_value(shared_app: ActorQ) -> None:
    assert shared_app.submit(lambda pattern: pattern.pattern, __import__("re").compile("a+")).get(timeout=10) == "a+"


def test_an_argument_that_cannot_be_serialized_is_named(shared_app: ActorQ) -> None:
    with pytest.raises(EncodeError, match=r"args\[0\]"):
        tasks.echo.delay(object())


def test_a_result_that_cannot_be_serialized_fails_the_call_with_a_reason(shared_app: ActorQ) -> None:
    @shared_app.task(name="tests.integration.tasks.echo_unencodable")
    def unencodable() -> object:
        return object()

    with pytest.raises(EncodeError):
        shared_app.submit(lambda: (x for x in [1])).get(timeout=10)
    del shared_app.tasks[unencodable.name]


def test_a_body_over_the_limit_is_refused_in_the_caller(shared_app: ActorQ) -> None:
    with pytest.raises(MessageTooLarge, match="limit"):
        tasks.echo.delay(bytes(70 * 1024 * 1024))


def test_a_countdown_delays_the_start(shared_app: ActorQ) -> None:
    started_s = time.time()
    result = shared_app.submit(time.time)
    late = tasks.add.apply_async((1, 1), countdown=0.5)
    assert result.get(timeout=10) - started_s < 0.5
    assert late.state == "PENDING"
    assert late.get(timeout=10) == 2
    assert time.time() >= started_s + 0.5


def test_an_eta_in_the_past_starts_at_once(shared_app: ActorQ) -> None:
    eta = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    assert tasks.add.apply_async((1, 1), eta=eta).get(timeout=10) == 2


def test_a_call_that_expires_before_it_starts_is_revoked(shared_app: ActorQ) -> None:
    result = tasks.add.apply_async((1, 1), countdown=60, expires=0.2)
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=10)
    assert result.state == "REVOKED"


def test_a_revoked_call_never_starts(shared_app: ActorQ) -> None:
    result = tasks.add.apply_async((1, 1), countdown=60)
    assert result.revoke(wait=True) == "removed"
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)


def test_a_call_submitted_twice_under_one_id_is_one_call(shared_app: ActorQ) -> None:
    task_id = f"chosen-{time.time_ns()}"
    first = tasks.add.apply_async((1, 1), task_id=task_id)
    assert first.get(timeout=10) == 2
    again = tasks.add.apply_async((5, 5), task_id=task_id)
    assert again.get(timeout=10) == 2


def test_a_task_is_called_by_name_without_its_code(shared_app: ActorQ) -> None:
    assert shared_app.send_task("tests.integration.tasks.add", (2, 2)).get(timeout=10) == 4


def test_an_unknown_name_waits_for_a_worker_that_offers_it(shared_app: ActorQ) -> None:
    result = shared_app.send_task("nobody.knows.this")
    with pytest.raises(TimeoutError):
        result.get(timeout=0.3)
    assert result.state == "PENDING"
    assert result.revoke(wait=True) == "removed"


def test_a_result_is_found_by_id_by_somebody_else(shared_app: ActorQ) -> None:
    result = tasks.add.delay(20, 22)
    result.get(timeout=10)
    with ActorQ("stranger", shared_app.url) as stranger:
        assert eventually(lambda: stranger.AsyncResult(result.id).ready())
        assert stranger.AsyncResult(result.id).get(timeout=10) == 42
        assert stranger.AsyncResult("never-heard-of").state == "PENDING"
        late = tasks.add.apply_async((1, 1), countdown=0.3)
        assert stranger.AsyncResult(late.id).get(timeout=10) == 2


def test_results_are_taken_as_they_complete(shared_app: ActorQ) -> None:
    slow, fast = tasks.pid_after.delay(0.4), tasks.add.delay(1, 1)
    assert [each.id for each in shared_app.as_completed([slow, fast], timeout=10)] == [fast.id, slow.id]


def test_a_callback_hears_of_the_result(shared_app: ActorQ) -> None:
    heard: list[int] = []
    tasks.add.delay(1, 2).then(lambda result: heard.append(result.get()))
    eventually(lambda: heard == [3])


def test_map_streams_results_in_order(shared_app: ActorQ) -> None:
    assert list(shared_app.map(lambda x: x * x, range(1000))) == [x * x for x in range(1000)]


def test_map_takes_registered_tasks_and_fixed_chunks(shared_app: ActorQ) -> None:
    assert list(shared_app.map(tasks.echo, range(100), chunksize=7)) == list(range(100))


def test_map_without_order_gives_everything_once(shared_app: ActorQ) -> None:
    assert sorted(shared_app.map(lambda x: x, range(500), ordered=False)) == list(range(500))


def test_map_over_an_endless_input_takes_no_more_than_it_needs(shared_app: ActorQ) -> None:
    taken = itertools.count()
    with shared_app.map(lambda x: x, taken) as results:
        assert list(itertools.islice(results, 200)) == list(range(200))
    assert next(taken) < 200_000


def test_map_raises_an_items_exception_in_its_place_and_goes_on(shared_app: ActorQ) -> None:
    results = shared_app.map(lambda x: 10 // x, [1, 0, 5])
    assert next(results) == 10
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert next(results) == 2
    with pytest.raises(StopIteration):
        next(results)


def test_every_node_answers_a_broadcast_and_missing_ones_are_named(shared_app: ActorQ) -> None:
    pongs = shared_app.control.ping(timeout=10)
    assert len(pongs) == 2 and all(reply == {"ok": "pong"} for pong in pongs for reply in pong.values())
    (name, *_) = [node for pong in pongs for node in pong]
    replies = shared_app.control.broadcast("ping", destination=[name, "nobody@nowhere"], timeout=0.5)
    assert list(replies) == [name] and replies.missing == ["nobody@nowhere"]
    assert "tests.integration.tasks.add" in shared_app.control.inspect([name]).registered()[name]
    assert shared_app.control.inspect([name]).active_queues()[name] == [{"name": "default", "routing_key": "default"}]
    assert shared_app.control.inspect([name]).stats()[name]["pid"] > 0


def test_a_refusal_names_the_call() -> None:
    assert "call 1 was refused: because" in str(CallRefused("1", "because"))


def test_calls_that_a_task_makes_know_where_they_come_from(shared_app: ActorQ) -> None:
    result = tasks.family.apply_async((2,), headers={"trace": "t"}, shadow="family tree", priority=7)
    first, second, third = result.get(timeout=30)
    assert first == [result.id, None, result.id, 7, {"trace": "t"}]
    assert second[1:] == [result.id, result.id, 4, None]
    assert third[1:] == [second[0], result.id, 4, None]


def test_a_call_by_name_has_the_options_of_any_call(shared_app: ActorQ) -> None:
    result = shared_app.send_task(tasks.family.name, (0,), headers={"a": 1}, root_id="root", priority=2)
    assert result.get(timeout=10) == [[result.id, None, "root", 2, {"a": 1}]]


def test_a_call_that_is_retried_has_one_result(shared_app: ActorQ) -> None:
    result = tasks.fail_twice.delay()
    assert result.get(timeout=30) == [result.id, 2]


def test_a_task_that_is_retried_by_itself_fails_in_the_end_with_its_own_error(
    shared_app: ActorQ, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionError, match="never"):
        tasks.fail_always.delay(str(tmp_path / "runs")).get(timeout=30)
    assert (tmp_path / "runs").read_text() == "ran\n" * 3


def test_a_task_can_go_on_as_others_under_its_own_id(shared_app: ActorQ) -> None:
    assert tasks.replaced.delay(1, 2, 3).get(timeout=30) == 6
