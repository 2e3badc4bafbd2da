"""Who may speak, and what a new connection, or a new coordinator, makes of what was there before."""

from __future__ import annotations

from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.records import SUCCESS, Call, CallSpec, Outcome
from tests.unit.coordinator.support import VERSIONS, Bench

ONCE = CallSpec("add", acks_late=False)


def test_a_welcome_comes_first_and_says_what_the_other_side_must_know(bench: Bench) -> None:
    bench.worker("other", slots=3)
    client = bench.client()
    assert isinstance(client.inbox[0], m.Welcome)
    welcome = client.inbox[0]
    assert (welcome.nonce, welcome.epoch, welcome.slots) == ("nonce", bench.epoch, 3)
    assert welcome.window == bench.settings.client_window
    assert welcome.max_body_bytes == bench.settings.max_body_bytes


def test_whoever_speaks_before_hello_is_told_to_begin_again_and_changes_nothing(bench: Bench) -> None:
    stranger = bench.stranger()
    stranger.say(m.Submit(1, [(1, CallSpec("add"))], [Call("a", 1, b"")]))
    stranger.say(m.Finished(1, []))
    stranger.say(m.Ping())
    assert stranger.take(m.Reset)
    assert bench.state_of("a") == "unknown"


def test_each_party_may_send_what_is_its_own() -> None:
    bench = Bench()
    allowed = bench.core.allowed
    client, worker, stranger = bench.client(), bench.worker(), bench.stranger()
    assert allowed(client.peer) == frames.FROM_CLIENT
    assert allowed(worker.peer) == frames.FROM_WORKER
    assert allowed(worker.control.peer) == frames.FROM_CONTROL
    assert allowed(stranger.peer) == frames.HELLO


def test_a_peer_of_another_release_is_rejected_with_what_to_do(bench: Bench) -> None:
    stranger = bench.stranger()
    newer = m.PROTOCOL_VERSION + 1
    stranger.say(m.ClientHello((newer, newer + 1), "nonce", "client", "session", "tcp://client:1"))
    [rejected] = stranger.take(m.Rejected)
    assert "same release" in rejected.reason
    assert stranger.peer in bench.hung_up
    assert bench.core.state.clients == {}


def test_the_newest_version_that_both_speak_is_taken(bench: Bench) -> None:
    stranger = bench.stranger()
    hello = m.ClientHello((m.OLDEST_VERSION, m.PROTOCOL_VERSION + 5), "nonce", "client", "session", "tcp://client:1")
    stranger.say(hello)
    assert stranger.take(m.Welcome)[0].version == m.PROTOCOL_VERSION


def test_a_clients_new_connection_takes_the_place_of_its_old_one(bench: Bench) -> None:
    old = bench.client("session")
    new = bench.client("session")
    assert old.peer in bench.hung_up and old.take(m.Reset)
    # What still comes on the old one changes nothing
    old.submit("late")
    assert bench.state_of("late") == "unknown"
    # And its end does not touch the new one
    bench.lose(old)
    new.submit("a")
    assert new.accepted() == 1


def test_submissions_of_a_new_connection_are_numbered_from_one_again(bench: Bench) -> None:
    old = bench.client("session")
    old.submit("a")
    old.submit("b")
    new = bench.client("session")
    new.submit("c")
    assert new.accepted() == 1
    assert bench.state_of("c") == "open"


def test_a_submission_that_comes_twice_counts_once(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=5)
    submission = client.submission("a")
    client.say(submission)
    worker.report("a")
    client.say(submission)
    assert worker.delivered() == []


def test_an_outcome_goes_to_the_clients_present_connection(bench: Bench) -> None:
    old, worker = bench.client("session"), bench.worker()
    old.submit("a")
    worker.delivered()
    bench.lose(old)
    new = bench.client("session")
    worker.report("a", relay=True)
    assert new.outcomes() == {"a": "SUCCESS"}


def test_a_worker_hears_when_a_client_listens_elsewhere(bench: Bench) -> None:
    client, worker = bench.client("session"), bench.worker(slots=2)
    client.submit("a")
    worker.take(m.Define)
    stranger = bench.stranger()
    stranger.say(m.ClientHello(VERSIONS, "nonce", "session", "session", "tcp://elsewhere:2"))
    stranger.say(m.Submit(1, [(1, CallSpec("add"))], [Call("b", 1, b"")]))
    clients = [each for define in worker.take(m.Define) for each in define.clients]
    assert [address for _, _, address in clients] == ["tcp://elsewhere:2"]


def test_a_workers_new_connection_takes_the_place_of_its_old_one(bench: Bench) -> None:
    client, old = bench.client(), bench.worker()
    new = old.return_anew()
    assert old.peer in bench.hung_up and old.take(m.Reset)
    client.submit("a")
    assert new.delivered() == ["a"]
    old.say(m.Finished(1, [Outcome("a", 1, SUCCESS, b"")]))
    assert bench.state_of("a") == "open"


def test_a_hello_that_was_overtaken_by_a_later_one_of_the_same_node_is_void(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    late = bench.stranger()
    new = worker.return_anew()
    client.submit("a")
    assert new.delivered() == ["a"]
    # When the Hello of a connection that was tried before comes, which does not list the call
    late.say(m.WorkerHello(VERSIONS, "00000000", "worker", "worker-1", ["default"], ["add"], 1, 1, bench.epoch))
    assert late.take(m.Reset)
    new.report("a")
    assert bench.state_of("a") == "SUCCESS"


def test_a_second_connection_is_only_for_a_node_that_is_known(bench: Bench) -> None:
    stranger = bench.stranger()
    stranger.say(m.ControlHello(VERSIONS, "nonce", "nobody", "nobody-1"))
    assert stranger.take(m.Reset) and not stranger.take(m.Welcome)


def test_heartbeats_renew_leases_as_of_when_they_were_sent(bench: Bench) -> None:
    worker = bench.worker()
    worker.control.say(m.Heartbeat(12.5, 0.0, []))
    assert worker.control.take(m.Renewed) == [m.Renewed(12.5)]


def test_a_node_whose_hub_is_stuck_gets_nothing_new_until_it_takes_a_turn(bench: Bench) -> None:
    client, stuck = bench.client(), bench.worker("stuck", slots=10)
    client.submit("long")
    assert stuck.delivered() == ["long"]
    # Given a node whose watchdog says that a task keeps the hub from running
    stuck.control.say(m.Heartbeat(bench.now_s, 3.0, [("long", 1)]))
    client.submit("a")
    assert stuck.delivered() == []
    # Then another one gets what comes
    free = bench.worker("free", slots=1)
    assert free.delivered() == ["a"]
    client.submit("b", "c")
    assert stuck.delivered() == free.delivered() == []
    # And it gets its share again when the hub has said something, or the watchdog that it runs
    stuck.report("long")
    assert stuck.delivered() == ["b", "c"]
    stuck.control.say(m.Heartbeat(bench.now_s, 3.0, []))
    client.submit("d")
    assert stuck.delivered() == []
    stuck.control.say(m.Heartbeat(bench.now_s, 0.0, []))
    assert stuck.delivered() == ["d"]


# -- a new coordinator --------------------------------------------------------------------------------------------


def test_a_young_coordinator_waits_whether_a_worker_lists_what_a_client_sends_again(bench: Bench) -> None:
    client = bench.client()
    client.submit("runs", "lost", fresh=False, resent=True)
    free = bench.worker("free", slots=5)
    assert free.delivered() == []
    # Given a worker that runs one of them
    busy = bench.worker("busy", coordinator="the one before", held=[("runs", 7)])
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    # Then that one is left to it, and the other is delivered
    assert free.delivered() == ["lost"]
    busy.report("runs", attempt=7, relay=True)
    assert client.outcomes() == {"runs": "SUCCESS"}


def test_what_a_worker_lists_before_the_client_sends_it_again_is_left_to_it(bench: Bench) -> None:
    bench.worker("busy", coordinator="the one before", held=[("a", 3)])
    client = bench.client()
    client.submit("a", fresh=False, resent=True)
    bench.wait(5.0)
    assert bench.worker("free", slots=5).delivered() == []


def test_an_outcome_that_a_worker_brings_is_there_for_the_client_that_asks(bench: Bench) -> None:
    busy = bench.worker("busy", coordinator="the one before", held=[("a", 3)])
    busy.report("a", attempt=3)
    client = bench.client()
    client.submit("a", fresh=False, resent=True)
    assert client.outcomes() == {"a": "SUCCESS"}


def test_what_still_comes_of_a_lease_that_was_forgotten_is_not_taken_for_the_next_one(bench: Bench) -> None:
    # Given a call that its client has brought as a new one, and a worker with an outcome of it
    bench.client().submit("a")
    worker = bench.worker(coordinator="the one before", held=[("a", 1)])
    # When it is leased to that worker
    assert worker.delivered() == ["a"] and worker.attempt("a") == 2
    worker.report("a", attempt=1)
    # Then the outcome of the first attempt ends nothing
    assert bench.state_of("a") == "open"
    worker.report("a", attempt=2)
    assert bench.state_of("a") == "SUCCESS"


def test_a_call_that_only_its_worker_knew_is_forgotten_with_the_worker(bench: Bench) -> None:
    busy = bench.worker("busy", coordinator="the one before", held=[("a", 3)])
    busy.die()
    assert bench.state_of("a") == "unknown"
    # And runs again when its client sends it again
    client = bench.client()
    client.submit("a", fresh=False, resent=True)
    assert bench.worker("free").delivered() == ["a"]


def test_a_call_that_may_run_once_is_given_up_if_no_worker_lists_it(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", spec=ONCE, fresh=False, resent=True)
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    assert client.outcomes() == {"a": "FAILURE"}
    assert bench.worker().delivered() == []


def test_nor_does_it_start_at_a_coordinator_that_is_not_young(bench: Bench) -> None:
    bench.worker("other", offers=[])
    bench.wait(5.0)
    client = bench.client()
    client.submit("a", spec=ONCE, fresh=False, resent=True)
    assert client.outcomes() == {"a": "FAILURE"}


def test_a_call_that_may_run_once_and_is_left_to_its_worker_ends_with_it(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", spec=ONCE, fresh=False, resent=True)
    busy = bench.worker("busy", coordinator="the one before", held=[("a", 1)])
    busy.die()
    assert client.outcomes() == {"a": "FAILURE"}


def test_what_waits_for_workers_to_list_it_does_not_expire_meanwhile(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", "b", fresh=False, resent=True, expires=bench.wall_s + 1)
    bench.wait(1.5)
    busy = bench.worker("busy", coordinator="the one before", held=[("a", 1)])
    bench.wait(2.0)
    assert client.outcomes() == {"b": "REVOKED"}
    busy.report("a", attempt=1, relay=True)
    assert client.outcomes() == {"a": "SUCCESS"}


def test_expiry_and_time_of_a_call_that_was_left_to_its_worker_count_when_it_comes_back(bench: Bench) -> None:
    busy = bench.worker("busy", coordinator="the one before", held=[("a", 1), ("b", 1)])
    client = bench.client()
    client.submit("a", fresh=False, resent=True, expires=bench.wall_s + 5)
    client.submit("b", fresh=False, resent=True, not_before=bench.wall_s + 50)
    bench.wait(2.5)
    busy.calls = {task_id: Call(task_id, 0, b"", attempt=1) for task_id in "ab"}
    busy.give_back("a", "b")
    bench.wait(3.0)
    assert client.outcomes() == {"a": "REVOKED"}
    # Its time had come, or the worker would not have had it
    assert bench.worker("free").delivered() == ["b"]


def test_a_pause_of_a_young_coordinator_does_not_cost_workers_their_time_to_return() -> None:
    bench = Bench()
    client = bench.client()
    client.submit("a", fresh=False, resent=True)
    free = bench.worker("free")
    bench.now_s += 30.0
    bench.step()
    assert free.delivered() == []
    busy = bench.worker("busy", coordinator="the one before", held=[("a", 1)])
    busy.report("a", attempt=1)
    assert bench.state_of("a") == "SUCCESS"


def test_it_is_said_when_several_workers_have_one_name(bench: Bench) -> None:
    bench.worker("same", epoch="one")
    assert bench.news == []
    bench.worker("same", epoch="two")
    assert [news for news in bench.news if "several workers are named 'same'" in news]


def test_who_takes_the_place_of_one_that_ends_may_have_its_name(bench: Bench) -> None:
    first = bench.worker("same", epoch="one")
    first.say(m.Capacity(0, 1))
    bench.worker("same", epoch="two")
    assert bench.news == []
