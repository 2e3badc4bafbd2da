"""Limits, unique calls, turns and priorities on a real mesh."""

from __future__ import annotations

import itertools
import time

import pytest

from actorq import ActorQ
from actorq.errors import AlreadyQueued, ImproperlyConfigured
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers
from tests.support import eventually


def test_more_calls_than_the_rate_allows_do_not_start_within_a_second(shared_app: ActorQ) -> None:
    starts = shared_app.gather(*[tasks.started_at.delay() for _ in range(21)], timeout=30)
    assert max(starts) - min(starts) >= 1.0


def test_no_second_has_more_starts_than_the_rate_allows_on_four_workers_and_no_slot_is_held(mesh: Mesh) -> None:
    mesh.start_coordinator()
    for number in range(4):
        mesh.start_worker("-c", "2", name=f"worker-{number}")
    with mesh.client() as app:
        wait_for_workers(app, 4)
        limited = [tasks.hundred_a_second.delay() for _ in range(350)]
        others = [tasks.add.delay(number, 1) for number in range(1000)]
        assert app.gather(*others, timeout=30) == list(range(1, 1001))
        assert not limited[-1].ready(), "it waits, and others have run meanwhile in all slots"
        starts = sorted(app.gather(*limited, timeout=30))
        # All processes of one host have the same monotonic clock
        assert all(later - start >= 1.0 for start, later in zip(starts, starts[100:], strict=False))


def test_each_of_ten_thousand_keys_has_a_rate_of_its_own(shared_app: ActorQ) -> None:
    keys = range(10_000)
    rounds = [[tasks.once_a_second_for.delay(key) for key in keys] for _ in range(2)]
    first, second = (shared_app.gather(*each, timeout=60) for each in rounds)
    assert min(abs(one - other) for one, other in zip(first, second, strict=True)) >= 1.0


def test_throttled_calls_keep_nobody_waiting(shared_app: ActorQ) -> None:
    throttled = [tasks.once_an_hour.delay() for _ in range(100)]
    assert shared_app.gather(*[tasks.add.delay(each, 1) for each in range(50)], timeout=30) == list(range(1, 51))
    shared_app.control.revoke([each.id for each in throttled], timeout=10)


def test_with_one_at_a_time_for_each_key_none_runs_beside_another_of_its_key(shared_app: ActorQ) -> None:
    results = {key: [tasks.alone_with.delay(key) for _ in range(5)] for key in "abc"}
    for each in results.values():
        runs = sorted(shared_app.gather(*each, timeout=30))
        assert all(run[1] <= later[0] for run, later in itertools.pairwise(runs))


def test_a_rate_can_be_changed_while_calls_wait(shared_app: ActorQ) -> None:
    waiting = [tasks.once_an_hour.delay() for _ in range(20)]
    replies = shared_app.control.rate_limit(tasks.once_an_hour.name, None, timeout=10)
    assert list(replies.values()) == [{"ok": "rate limit disabled successfully"}]
    assert shared_app.gather(*waiting, timeout=30) == [None] * 20


def test_a_second_call_of_a_unique_task_is_the_first_one(shared_app: ActorQ) -> None:
    first, second, other = (tasks.once_for.delay(each, 0.5) for each in (1, 1, 2))
    assert second.id == first.id and second is first
    assert other.id != first.id
    with pytest.raises(AlreadyQueued, match=first.id):
        tasks.once_for.apply_async((1, 0.5), unique_conflict="raise")
    assert shared_app.gather(first, second, other, timeout=30) == [1, 1, 2]
    eventually(lambda: tasks.once_for.delay(1, 0.0).id != first.id, 10, "a free key")


def test_a_tenant_does_not_wait_for_all_calls_of_another_one(shared_app: ActorQ) -> None:
    many = [tasks.for_tenant.delay("a") for _ in range(1000)]
    assert tasks.for_tenant.delay("b").get(timeout=30) == "b"
    assert not many[-1].ready()
    shared_app.gather(*many, timeout=60)


def test_an_urgent_call_does_not_wait_for_those_that_came_before(shared_app: ActorQ) -> None:
    many = [tasks.pid_after.delay(0.01) for _ in range(1000)]
    tasks.add.apply_async((1, 2), priority=9).get(timeout=30)
    assert not many[-1].ready()
    shared_app.gather(*many, timeout=60)


@pytest.mark.slow
def test_an_urgent_call_is_the_next_to_start_behind_a_hundred_thousand(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "2")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        many = [tasks.start_of.delay(0.05) for _ in range(100_000)]
        eventually(many[20].ready, 30, "a worker that is busy with them")
        submitted_s = time.monotonic()
        start_s = tasks.start_of.apply_async((0.0,), priority=9).get(timeout=30)
        starts = [result.get(timeout=30) for result in many if result.ready()]
        assert sum(submitted_s < other < start_s for other in starts) <= 2, "at most one in each slot was on its way"
        app.ResultSet(many).revoke()


def test_a_map_keeps_to_a_limit_and_says_that_it_has_no_keys(shared_app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="keys"):
        shared_app.map(tasks.alone_with, ["a"])
