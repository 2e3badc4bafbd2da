"""Time limits, terminate, and a node that answers while its tasks are busy."""

from __future__ import annotations

import time

import pytest

from actorq import Task
from actorq.errors import TaskRevokedError, Terminated, TimeLimitExceeded
from tests.integration import tasks
from tests.integration.mesh import Mesh, wait_for_workers, worker_stats
from tests.support import eventually


def test_a_node_whose_task_never_yields_answers_and_the_task_can_be_ended(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "4")
    with mesh.client() as app:
        (worker,) = wait_for_workers(app, 1)
        spinning = tasks.spin_for_ever.delay()
        eventually(lambda: worker_stats(app)[0]["running"] == 1, what="the running task")
        assert app.control.ping(timeout=10) == [{worker["name"]: {"ok": "pong"}}]
        assert spinning.state == "STARTED"
        spinning.revoke(terminate=True)
        with pytest.raises((Terminated, TaskRevokedError)):
            spinning.get(timeout=20)
        assert spinning.state == "REVOKED"
        assert tasks.add.delay(1, 2).get(timeout=20) == 3


def test_a_busy_task_ends_at_its_soft_limit(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "4")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        assert tasks.spin_until_the_soft_limit.delay().get(timeout=20) == "stopped at the soft limit"


def test_a_busy_task_that_catches_everything_ends_at_its_hard_limit(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "4")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        with pytest.raises(TimeLimitExceeded):
            tasks.spin_until_the_hard_limit.delay().get(timeout=20)


STUCK = [tasks.stuck_in_an_unpatched_sleep, tasks.stuck_in_a_regular_expression, tasks.stuck_in_c_for_good]


@pytest.mark.parametrize("stuck", STUCK, ids=lambda task: task.__name__)
def test_a_task_stuck_in_c_ends_at_its_hard_limit_and_the_others_of_its_node_finish(
    mesh: Mesh, stuck: Task[[], None]
) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "4")
    with mesh.client() as app:
        (before,) = wait_for_workers(app, 1)
        others = [tasks.pid_after.delay(0.5) for _ in range(3)]
        with pytest.raises(TimeLimitExceeded):
            stuck.delay().get(timeout=30)
        assert len(app.gather(*others, timeout=30)) == 3
        # And where nothing could bring it back, its process was replaced
        (after,) = wait_for_workers(app, 1)
        assert (after["pid"] != before["pid"]) == (stuck is tasks.stuck_in_c_for_good)


def test_one_long_and_many_short_tasks_do_not_wait_for_one_another(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("--processes", "2", "-c", "1", "-Q", "slow")
    with mesh.client() as app:
        wait_for_workers(app, 2)
        started_s = time.monotonic()
        results = [tasks.nap.delay(2.0)] + [tasks.nap.delay(0.02) for _ in range(99)]
        app.gather(*results, timeout=60)
        took_s = time.monotonic() - started_s
        # No bound in seconds: only that nothing short stood behind the long one.
        assert took_s < 2.0 + 99 * 0.02


def test_tasks_that_wait_for_tasks_may_nest_deeper_than_the_slots(mesh: Mesh) -> None:
    mesh.start_coordinator()
    mesh.start_worker("-c", "4")
    with mesh.client() as app:
        wait_for_workers(app, 1)
        assert tasks.descend.delay(200).get(timeout=60) == 200
