"""A node has two connections and a name: what the loss of one means, and what it means that two have one name."""

from __future__ import annotations

from actorq.config import LivenessSettings
from actorq.wire import messages as m
from tests.unit.coordinator.support import Bench, WorkerParty

LIVENESS = LivenessSettings()


def beat(worker: WorkerParty, seconds: float) -> None:
    """Time passes, in which the node sends heartbeats on its second connection."""
    while seconds > 0:
        seconds -= LIVENESS.heartbeat_s
        worker.bench.wait(LIVENESS.heartbeat_s)
        worker.control.say(m.Heartbeat(worker.bench.now_s, 1.0, []))


def test_a_node_that_lost_only_its_work_connection_keeps_its_calls_as_long_as_it_lives(bench: Bench) -> None:
    # Given a node that runs a call, and one that has nothing to do
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("a")
    assert worker.delivered() == ["a"]
    # When its work connection is lost and its hub is too busy for a new one, for longer than all limits
    bench.lose(worker)
    beat(worker, LIVENESS.lease_s * 2)
    # Then its call is given to nobody else, and nothing new to it
    client.submit("b")
    other = bench.worker("other", slots=9)
    assert other.delivered() == ["b"]
    # And its leases hold
    assert worker.control.take(m.Renewed)
    # And its outcome is taken when it comes back
    again = worker.return_anew([("a", 1)], slots=2)
    again.calls.update(worker.calls)
    again.report("a")
    assert bench.state_of("a") == "SUCCESS"
    assert bench.core.state.late_reports == bench.twice


def test_it_gets_new_calls_once_it_is_back(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    bench.lose(worker)
    beat(worker, LIVENESS.grace_s * 2)
    client.submit("a")
    assert worker.return_anew().delivered() == ["a"]


def test_when_it_falls_silent_it_loses_its_calls_after_the_time_of_a_lease(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    bench.lose(worker)
    bench.wait(LIVENESS.lease_s - 1)
    other = bench.worker("other")
    assert other.delivered() == []
    bench.wait(1.5)
    assert other.delivered() == ["a"]


def test_the_grace_begins_when_the_last_connection_is_lost(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    bench.lose(worker)
    beat(worker, LIVENESS.grace_s * 2)
    bench.lose(worker.control)
    bench.wait(LIVENESS.grace_s - 0.5)
    other = bench.worker("other")
    assert other.delivered() == []
    bench.wait(1)
    assert other.delivered() == ["a"]


# -- names ---------------------------------------------------------------------------------------------------------


def test_a_node_that_starts_again_takes_the_place_of_the_one_that_is_out_of_touch(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    bench.lose(worker)
    bench.lose(worker.control)
    assert bench.worker(epoch="worker-2").delivered() == ["a"]


def test_a_node_with_the_name_of_one_that_lives_does_not_end_it(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    bench.lose(worker)
    assert bench.worker(epoch="worker-2").delivered() == []


def test_where_several_have_one_name_a_new_one_ends_none_of_them(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    bench.worker(epoch="worker-2", offers=["other"])
    bench.lose(worker)
    bench.lose(worker.control)
    assert bench.worker(epoch="worker-3").delivered() == []


def test_of_two_nodes_with_one_name_both_replies_come() -> None:
    bench = Bench()
    client, one, two = bench.client(), bench.worker(), bench.worker(epoch="worker-2")
    client.order("ping")
    for number, worker in enumerate([one, two]):
        [command] = worker.control.take(m.Command)
        worker.control.say(m.Reply(command.token, number))
    [replies] = client.take(m.Replies)
    assert replies.replies == {"worker": 0, "worker#2": 1}
    assert replies.missing == []


def test_of_two_nodes_with_one_name_the_one_that_is_silent_is_missing() -> None:
    bench = Bench()
    client, one, _ = bench.client(), bench.worker(), bench.worker(epoch="worker-2")
    client.order("ping", destination=["worker"])
    [command] = one.control.take(m.Command)
    one.control.say(m.Reply(command.token, "here"))
    bench.wait(1)
    [replies] = client.take(m.Replies)
    assert (replies.replies, replies.missing) == ({"worker": "here"}, ["worker#2"])


def test_a_node_that_is_out_of_touch_is_not_asked_beside_its_heir() -> None:
    bench = Bench()
    client, old = bench.client(), bench.worker()
    bench.lose(old)
    new = bench.worker(epoch="worker-2")
    bench.lose(old.control)
    client.order("ping")
    [command] = new.control.take(m.Command)
    new.control.say(m.Reply(command.token, "here"))
    [replies] = client.take(m.Replies)
    assert (replies.replies, replies.missing) == ({"worker": "here"}, [])
