"""Queues at run time: pause and resume, purge, who consumes what, and the queues that are one worker's own."""

from __future__ import annotations

import itertools
from typing import Any

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import CallSpec
from tests.unit.coordinator.support import Bench, ClientParty


def set_paused(client: ClientParty, queue: str, is_paused: bool) -> None:
    client.order("declare", items=[["pause", [queue], {"paused": is_paused}]])


def details(client: ClientParty, queue: str) -> dict[str, Any]:
    found: dict[str, Any] = client.order("queue_details")[queue]
    return found


def test_a_paused_queue_accepts_and_does_not_dispatch(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=10)
    set_paused(client, "default", True)
    client.submit("a", "b")
    assert client.accepted() == 1 and not worker.delivered()
    assert details(client, "default")["paused"] and details(client, "default")["size"] == 2
    set_paused(client, "default", False)
    assert worker.delivered() == ["a", "b"]
    assert not details(client, "default")["paused"]


def test_other_queues_go_on_beside_a_paused_one(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=10, queues=["default", "fast"])
    client.order("declare", items=[["pause", ["default"], {"paused": True}]])
    client.submit("a")
    client.submit("b", spec=CallSpec("add", queue="fast"))
    assert worker.delivered() == ["b"]


def test_a_queue_may_be_paused_before_there_is_one_and_workers_may_come_meanwhile(bench: Bench) -> None:
    client = bench.client()
    set_paused(client, "default", True)
    client.submit("a")
    worker = bench.worker()
    assert not worker.delivered()
    set_paused(client, "default", False)
    assert worker.delivered() == ["a"]


def test_what_comes_back_from_a_lost_worker_waits_in_a_paused_queue(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    worker.delivered()
    set_paused(client, "default", True)
    worker.die()
    second = bench.worker("second")
    assert not second.delivered() and details(client, "default")["size"] == 1
    set_paused(client, "default", False)
    assert second.delivered() == ["a"]


def test_a_queue_is_still_paused_when_the_coordinator_has_started_again() -> None:
    bench = Bench(shelf=Shelf())
    client = bench.client()
    set_paused(client, "default", True)
    client.submit("a")
    bench.start()
    worker = bench.worker()
    bench.wait(3.0)
    assert not worker.delivered()
    set_paused(bench.client(), "default", False)
    assert worker.delivered() == ["a"]


def test_the_list_of_queues_says_what_waits_how_long_and_who_takes_it(bench: Bench) -> None:
    client = bench.client()
    bench.worker("x", queues=["default"], slots=1)
    bench.worker("y", queues=["default", "idle"], slots=1)
    client.submit("a", "b")
    client.submit("c")
    bench.wait(3.0)
    client.submit("d")
    shown = details(client, "default")
    assert (shown["size"], shown["consumers"], shown["paused"]) == (2, 2, False)
    assert 2.5 < shown["oldest_wait_s"] < 3.5
    idle = details(client, "idle")
    assert (idle["size"], idle["consumers"], idle["oldest_wait_s"]) == (0, 1, 0.0)


def test_calls_of_a_task_that_nobody_offers_are_listed_as_waiting_for_an_offer(bench: Bench) -> None:
    client, _ = bench.client(), bench.worker()
    client.submit("a", "b", spec=CallSpec("not deployed yet"))
    assert details(client, "default")["without_offer"] == {"not deployed yet": 2}
    late = bench.worker("late", offers=["not deployed yet"], slots=2)
    assert late.delivered() == ["a", "b"]
    assert details(client, "default")["without_offer"] == {}


# -- purge -----------------------------------------------------------------------------------------------------------


def test_a_purge_ends_what_waits_and_what_is_scheduled_and_leaves_what_runs() -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker(slots=1)
    client.submit("runs", "ready", "ready too")
    client.submit("later", not_before=bench.wall_s + 100.0, expires=bench.wall_s + 200.0)
    client.submit("elsewhere", spec=CallSpec("add", queue="other"))
    assert client.order("purge_queues", queues=["default"]) == {"default": 3}
    assert client.outcomes() == dict.fromkeys(["ready", "ready too", "later"], "REVOKED")
    assert bench.state_of("elsewhere") == "open"
    worker.report("runs")
    assert bench.state_of("runs") == "SUCCESS"


def test_a_purge_without_names_ends_what_waits_in_all_queues() -> None:
    bench = Bench(shelf=Shelf())
    client = bench.client()
    client.submit("a")
    client.submit("b", spec=CallSpec("add", queue="other", priority=9))
    assert client.order("purge_queues") == {"default": 1, "other": 1}
    assert client.order("purge_queues") == {}
    bench.start()
    assert bench.client().order("coordinator")["calls"] == 0


def test_a_purge_leaves_out_what_was_revoked_in_the_middle_of_a_lane() -> None:
    bench = Bench()
    client = bench.client()
    client.submit("a", "b", "c", "d")
    client.order("revoke", ids=["b"])
    assert client.order("purge_queues", queues=["default"]) == {"default": 3}


# -- consumers -------------------------------------------------------------------------------------------------------


def test_a_worker_takes_another_queue_at_run_time_and_leaves_one(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=10)
    client.submit("a", spec=CallSpec("add", queue="more"))
    assert not worker.delivered()
    worker.say(m.Consume(["default", "more"]))
    assert worker.delivered() == ["a"]
    worker.say(m.Consume(["more"]))
    client.submit("b")
    assert not worker.delivered() and client.order("consumers", queue="more") == ["worker"]
    assert client.order("consumers", queue="default") == []


def test_a_worker_that_has_changed_its_queues_while_it_was_out_of_touch_says_so_in_its_hello(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(queues=["default"])
    bench.lose(worker)
    worker = worker.return_anew(queues=["more"])
    client.submit("a")
    client.submit("b", spec=CallSpec("add", queue="more"))
    assert worker.delivered() == ["b"]


def test_a_worker_with_too_many_names_loses_its_connection() -> None:
    bench = Bench(worker_name_chars=100)
    worker = bench.worker()
    worker.say(m.Consume(["x" * 101]))
    assert bench.hung_up == [worker.peer]


# -- a worker's own queue ----------------------------------------------------------------------------------------------


def own(name: str) -> CallSpec:
    return CallSpec("add", queue=f"{name}.dq")


def test_each_worker_has_a_queue_of_its_own(bench: Bench) -> None:
    client = bench.client()
    x, y = bench.worker("x", slots=2), bench.worker("y", slots=2)
    client.submit("a", "b", spec=own("y"))
    assert y.delivered() == ["a", "b"] and not x.delivered()
    assert details(client, "y.dq")["consumers"] == 1


def test_what_is_for_one_worker_waits_until_it_is_there_and_has_room(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", "b", spec=own("x"))
    x = bench.worker("x", slots=1)
    assert x.delivered() == ["a"]
    x.report("a")
    assert x.delivered() == ["b"]


def test_what_is_for_one_worker_goes_before_what_is_for_all_and_by_priority(bench: Bench) -> None:
    client, x = bench.client(), bench.worker("x", slots=1)
    client.submit("runs")
    assert x.delivered() == ["runs"]
    client.submit("for all")
    client.submit("late", spec=own("x"))
    client.submit("urgent", spec=CallSpec("add", queue="x.dq", priority=9))
    order = ["runs", "urgent", "late", "for all"]
    for ended, expected in itertools.pairwise(order):
        x.report(ended)
        assert x.delivered() == [expected]


def test_a_worker_is_not_given_what_it_does_not_offer_though_it_is_for_it(bench: Bench) -> None:
    client, x = bench.client(), bench.worker("x")
    client.submit("a", spec=CallSpec("unknown", queue="x.dq"))
    assert not x.delivered() and details(client, "x.dq")["without_offer"] == {"unknown": 1}


def test_the_next_incarnation_of_a_worker_takes_what_was_left_for_it(bench: Bench) -> None:
    client, x = bench.client(), bench.worker("x")
    client.submit("a", "b", spec=own("x"))
    assert x.delivered() == ["a"]
    x.say(m.Bye("told to end"))
    again = bench.worker("x", epoch="x-2", slots=2)
    assert again.delivered() == ["a", "b"]


def test_the_own_queue_of_a_worker_can_be_paused(bench: Bench) -> None:
    client, x = bench.client(), bench.worker("x")
    set_paused(client, "x.dq", True)
    client.submit("a", spec=own("x"))
    assert not x.delivered()
    set_paused(client, "x.dq", False)
    assert x.delivered() == ["a"]


def test_workers_that_are_alike_are_one_group_though_each_has_its_own_queue() -> None:
    bench = Bench()
    for number in range(50):
        bench.worker(f"worker-{number}")
    assert len(bench.core.state.lanes.groups) == 1


def test_calls_for_a_full_worker_are_not_looked_at_until_it_has_room(bench: Bench) -> None:
    client, x = bench.client(), bench.worker("x", slots=1)
    client.submit("a", "b", "c", spec=own("x"))
    assert x.delivered() == ["a"] and not bench.core.state.lanes.direct.active
    # Also if it is out of touch meanwhile, and when what waits is purged.
    bench.lose(x)
    x = x.return_anew(held=[("a", 1)])
    client.order("revoke", ids=["b"])
    x.report("a", attempt=1)
    assert x.delivered() == ["c"]
    client.submit("d", spec=own("x"))
    client.order("purge_queues", queues=["x.dq"])
    x.report("c")
    assert not x.delivered() and not bench.core.state.lanes.direct.active


def test_of_two_workers_with_one_name_either_takes_what_is_for_it(bench: Bench) -> None:
    client = bench.client()
    first = bench.worker("x", slots=1)
    client.submit("a", "b", spec=own("x"))
    assert first.delivered() == ["a"]
    second = bench.worker("x", epoch="x-2", slots=1)
    assert second.delivered() == ["b"]
    client.submit("c", "d", spec=own("x"))
    second.say(m.Bye("told to end"))
    first.report("a")
    assert first.delivered() == ["b"]
