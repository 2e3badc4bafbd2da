"""Routing on a real mesh: routes, addresses, broadcasts, single workers; queues and dead letters at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from actorq import ActorQ, worker_direct
from actorq.cli.main import cli
from actorq.errors import CallRefused, QueueNotFound, Reject, TaskRevokedError
from tests.integration import routed_tasks as tasks
from tests.integration.mesh import wait_for_workers
from tests.support import Nodes, eventually, free_address

APP = "tests.integration.routed_tasks"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorQ]:
    """A coordinator with a journal, a worker with all queues but two, and one for these two."""
    directory = tmp_path_factory.mktemp("mesh")
    with Nodes(directory) as nodes:
        address = free_address()
        nodes.start("coordinator", "--listen", address, "--data", str(directory / "data"))
        nodes.start("worker", "-A", APP, "-u", address, "-n", "most", "-c", "4", "-X", "errors,all")
        nodes.start("worker", "-A", APP, "-u", address, "-n", "logs", "-c", "4", "-Q", "errors,all,everybody")
        tasks.app.url = address
        with tasks.app as app:
            wait_for_workers(app, 2)
            yield app


def queue_of(result: Any) -> Any:
    return result.get(timeout=10)[0]


def test_a_route_leads_by_name_and_a_function_by_what_the_call_is(app: ActorQ) -> None:
    assert [queue_of(tasks.where.delay()), queue_of(tasks.feed_where.delay())] == ["default", "feeds"]
    sizes = [1, 100, 2]
    assert [tasks.sized.delay(size).get(timeout=10) for size in sizes] == [["small", 1], ["large", 100], ["small", 2]]
    assert tasks.feed_where.route is not None, "what is the same for all calls is looked up once"
    assert tasks.sized.route is None
    assert queue_of(tasks.feed_where.apply_async(queue="small")) == "small"
    assert queue_of(app.send_task(tasks.feed_where.name)) == "feeds"


def test_a_queue_that_is_not_known_is_refused_at_the_call(app: ActorQ) -> None:
    with pytest.raises(QueueNotFound, match="did you mean 'feeds'"):
        tasks.where.apply_async(queue="feds")


def test_a_call_with_a_topic_goes_to_each_queue_that_is_bound(app: ActorQ) -> None:
    result = tasks.where.apply_async(exchange="logs", routing_key="web.error")
    assert result.get(timeout=10) == ["errors", "logs"]
    assert tasks.where.apply_async(exchange="logs", routing_key="web.info").get(timeout=10) == ["all", "logs"]


def test_a_call_that_leads_nowhere_is_refused_with_the_reason(app: ActorQ) -> None:
    app.control.bind("errors", "audit", "user.*", type="topic")
    assert queue_of(tasks.where.apply_async(exchange="audit", routing_key="user.login")) == "errors"
    app.control.unbind("errors", "audit", "user.*")
    with pytest.raises(CallRefused, match=r"leads to no queue by the routing key 'user\.login'"):
        tasks.where.apply_async(exchange="audit", routing_key="user.login").get(timeout=10)


def test_a_worker_is_addressed_by_its_name(app: ActorQ) -> None:
    for name in ("most", "logs"):
        assert tasks.where.apply_async(queue=worker_direct(name)).get(timeout=10) == [f"{name}.dq", name]


def test_a_broadcast_runs_once_on_every_worker_with_a_result_for_each(app: ActorQ) -> None:
    results = tasks.where.broadcast()
    assert results.get(timeout=10) == {"most": ["most.dq", "most"], "logs": ["logs.dq", "logs"]}
    assert results.successful()
    # By a queue the caller has the result of one of them.
    assert tasks.where.apply_async(queue="everybody").get(timeout=10)[1] in ("most", "logs")


def test_a_paused_queue_accepts_and_does_not_dispatch(app: ActorQ) -> None:
    app.control.pause_queue("feeds")
    result = tasks.feed_where.delay()
    eventually(lambda: app.control.queues()["feeds"]["size"] == 1)
    assert app.control.queues()["feeds"]["paused"] and result.state == "PENDING"
    app.control.resume_queue("feeds")
    assert queue_of(result) == "feeds"


def test_a_purge_ends_what_waits(app: ActorQ) -> None:
    app.control.pause_queue("small")
    results = [tasks.sized.delay(1) for _ in range(10)]
    eventually(lambda: app.control.queues()["small"]["size"] == 10)
    assert app.control.purge("small") == 10
    for result in results:
        with pytest.raises(TaskRevokedError, match="purged"):
            result.get(timeout=10)
    app.control.resume_queue("small")


def test_workers_take_queues_on_and_leave_them_while_they_run(app: ActorQ) -> None:
    [reply] = app.control.add_consumer("extra", ["logs"]).values()
    assert reply == {"ok": "add consumer extra"}
    eventually(lambda: app.control.consumers("extra") == ["logs"])
    names = [each["name"] for each in app.control.broadcast("active_queues", destination=["logs"])["logs"]]
    assert names == ["errors", "all", "everybody", "extra"]
    app.control.cancel_consumer("extra")
    eventually(lambda: not app.control.consumers("extra"))


def test_a_rejected_call_is_a_dead_letter_and_is_run_again_on_order(app: ActorQ) -> None:
    result = tasks.rejecting.delay()
    with pytest.raises(Reject):
        result.get(timeout=10)
    # The result came straight from the worker, and may be here before the coordinator knows it.
    [letter] = eventually(lambda: app.control.dead_letters(result.id))
    assert letter["task"] == tasks.rejecting.name and "no good" in letter["reason"] and letter["replayable"]
    again = app.control.replay_dead_letters(result.id)[result.id]
    with pytest.raises(Reject):
        app.AsyncResult(again).get(timeout=10)
    eventually(lambda: [each["id"] for each in app.control.dead_letters()] == [again])
    assert app.control.purge_dead_letters() == 1


def test_the_commands_list_pause_and_purge_queues(app: ActorQ) -> None:
    def actorq(*arguments: str) -> str:
        done = CliRunner().invoke(cli, list(arguments), prog_name="actorq", env={"ACTORQ_URL": app.url})
        assert done.exit_code == 0, done.output
        return done.stdout

    assert actorq("queues", "pause", "large") == "large is paused\n"
    tasks.sized.delay(50)
    eventually(lambda: "large: 1 wait" in actorq("queues", "list"))
    assert actorq("queues", "purge", "large", "--force") == "Purged 1 call.\n"
    assert actorq("queues", "resume", "large") == "large is not paused\n"
    assert actorq("dead-letters", "list") == "no dead letters\n"


def test_an_unknown_task_name_is_parked_until_a_worker_offers_it(app: ActorQ) -> None:
    result = app.send_task("not.deployed.yet")
    eventually(lambda: app.control.queues()["default"]["without_offer"] == {"not.deployed.yet": 1})
    assert app.control.purge("default") == 1
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)


def test_the_command_call_takes_an_address(app: ActorQ) -> None:
    arguments = ["call", tasks.where.name, "--exchange", "logs", "--routing-key", "db.info", "--wait", "--json"]
    done = CliRunner().invoke(cli, arguments, prog_name="actorq", env={"ACTORQ_URL": app.url})
    assert done.exit_code == 0 and '["all", "logs"]' in done.stdout, done.output
