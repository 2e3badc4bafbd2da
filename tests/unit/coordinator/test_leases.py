"""How leases end: with an outcome, by giving back, by the loss of the worker. And what fences late reports."""

from __future__ import annotations

from actorq.wire import messages as m
from actorq.wire.records import BY_VALUE, FAILURE, REVOKED, CallSpec
from tests.unit.coordinator.support import Bench


def test_an_outcome_ends_the_lease_and_settles_the_call(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a", body=b"5")
    assert bench.state_of("a") == "SUCCESS"
    assert bench.core.state.workers["worker-1"].leases == {}


def test_a_report_is_acknowledged_so_that_the_worker_can_forget_it(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a")
    bench.wait(0.01)
    assert [acked.seq for acked in worker.take(m.Acked)] == [1]


def test_what_a_worker_could_not_tell_the_client_is_passed_on(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", "b")
    worker.report("a", relay=False)
    assert client.outcomes() == {}
    worker.report("b", relay=True)
    assert client.outcomes() == {"b": "SUCCESS"}


def test_a_call_that_is_given_back_goes_to_another_worker_as_a_new_attempt(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a")
    assert first.attempt("a") == 1
    second = bench.worker("second")
    first.give_back("a")
    assert second.attempt("a") == 2


def test_giving_back_is_not_counted_against_a_call(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    for _ in range(5):
        worker.give_back("a")
        worker.say(m.Capacity(1, 1))
    worker.delivered()
    assert worker.calls["a"].attempt == 6 and worker.calls["a"].lost == 0


def test_a_worker_that_comes_back_within_its_grace_keeps_what_it_runs(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    attempt = worker.attempt("a")
    bench.lose(worker)
    bench.lose(worker.control)
    bench.wait(1.0)
    again = worker.return_anew(held=[("a", attempt)])
    bench.wait(5.0)
    assert again.delivered() == []
    again.calls = worker.calls
    again.report("a")
    assert bench.state_of("a") == "SUCCESS"


def test_after_its_grace_its_calls_go_to_another_worker(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    other = bench.worker("second")
    bench.lose(worker)
    bench.lose(worker.control)
    bench.wait(bench.settings.liveness.grace_s - 0.5)
    assert other.delivered() == []
    bench.wait(1.0)
    assert other.attempt("a") == 2


def test_what_was_lost_on_the_way_to_a_worker_is_delivered_again(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    # Given a delivery that was lost with its connection, when the worker comes back and does not list the call
    bench.lose(worker)
    again = worker.return_anew(held=[])
    # Then it gets it again, and that is no death that counts
    assert again.attempt("a") == 2
    assert again.calls["a"].lost == 0


def test_a_worker_that_holds_an_attempt_and_the_outcome_of_an_earlier_one_keeps_the_attempt(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.give_back("a")
    worker.say(m.Capacity(1, 1))
    assert worker.attempt("a") == 2
    bench.lose(worker)
    again = worker.return_anew(held=[("a", 2), ("a", 1)])
    assert again.delivered() == []


def test_a_worker_is_told_to_forget_what_somebody_else_has(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    attempt = worker.attempt("a")
    worker.die()
    other = bench.worker("second")
    assert other.delivered() == ["a"]
    # When the worker that was given up comes back with the call
    again = worker.return_anew(held=[("a", attempt)])
    assert again.take(m.Revoke) == [m.Revoke(["a"], forget=True)]


def test_a_late_report_of_an_attempt_changes_nothing(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    worker.attempt("a")
    worker.die()
    again = worker.return_anew(held=[("a", 1)])
    # Given the same call leased to the same worker once more
    assert again.attempt("a") == 2
    # When it reports the first attempt, then the call goes on
    again.report("a", attempt=1, body=b"old")
    assert bench.state_of("a") == "open"
    # And the report is acknowledged all the same: nobody needs it any more
    bench.wait(0.01)
    assert [acked.seq for acked in again.take(m.Acked)] == [1]
    again.report("a", body=b"new")
    outcome = bench.core.state.outcomes.get("a")
    assert outcome is not None and (outcome.attempt, outcome.body) == (2, b"new")


def test_a_late_return_of_an_attempt_changes_nothing(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.give_back("a")
    worker.say(m.Capacity(1, 1))
    assert worker.attempt("a") == 2
    worker.say(m.Returned([("a", 1)]))
    assert bench.state_of("a") == "open"
    worker.say(m.Capacity(5, 5))
    assert worker.delivered() == []


def test_the_first_outcome_stays(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a", body=b"first")
    worker.report("a", state=FAILURE, body=b"second")
    outcome = bench.core.state.outcomes.get("a")
    assert outcome is not None and outcome.body == b"first"


def test_a_report_of_a_call_that_nobody_knows_changes_nothing(bench: Bench) -> None:
    worker = bench.worker()
    worker.report("stranger", attempt=1)
    assert bench.state_of("stranger") == "unknown"


def test_a_worker_that_says_bye_gives_all_back_without_a_mark(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    worker.delivered()
    worker.say(m.Bye("stopped"))
    other = bench.worker("second")
    assert other.attempt("a") == 2 and other.calls["a"].lost == 0
    assert "first-1" not in bench.core.state.workers


def test_a_worker_that_starts_again_does_not_have_to_wait_for_the_grace_of_the_one_before(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("node", epoch="before")
    client.submit("a")
    worker.delivered()
    bench.lose(worker)
    bench.lose(worker.control)
    assert bench.worker("node", epoch="after").attempt("a") == 2


def test_a_silent_worker_gets_nothing_new_and_in_the_end_loses_what_it_has(bench: Bench) -> None:
    liveness = bench.settings.liveness
    client, worker = bench.client(), bench.worker("first", slots=2)
    client.submit("a")
    assert worker.delivered() == ["a"]
    bench.wait(liveness.suspect_s + 0.5)
    client.submit("b")
    assert worker.delivered() == [], "it is suspect"
    bench.wait(liveness.lease_s - liveness.suspect_s)
    other = bench.worker("second", slots=2)
    assert sorted(other.delivered()) == ["a", "b"]


def test_a_heartbeat_keeps_a_worker_alive_for_as_long_as_a_task_may_take(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    worker.delivered()
    other = bench.worker("second")
    for _ in range(60):
        bench.wait(1.0)
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, [("a", 1)]))
        other.control.say(m.Heartbeat(bench.now_s, 0.0, []))
    assert other.delivered() == []


def test_a_worker_that_was_released_is_told_so_and_may_come_back(bench: Bench) -> None:
    worker = bench.worker()
    bench.wait(bench.settings.liveness.lease_s + 1.0)
    # Its connection may be alive: a listener cannot close it
    assert worker.take(m.Reset) and worker.peer in bench.hung_up
    again = worker.return_anew()
    client = bench.client()
    client.submit("a")
    assert again.delivered() == ["a"]


def test_the_silence_is_not_the_workers_when_the_coordinator_stood_still(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker("first")
    client.submit("a")
    worker.delivered()
    other = bench.worker("second")
    bench.now_s += 60.0
    bench.step()
    other.control.say(m.Heartbeat(bench.now_s, 0.0, []))
    assert other.delivered() == []


def test_calls_for_nobody_any_more_do_not_stay_in_lines(bench: Bench) -> None:
    for number in range(20):
        worker = bench.worker("node", epoch=f"incarnation-{number}")
        bench.lose(worker)
        bench.lose(worker.control)
    bench.worker("node", epoch="last", offers=["add", BY_VALUE])
    [group] = bench.core.state.lanes.groups.values()
    assert len(group.free) + len(group.ahead) == 1


def test_credit_is_what_was_asked_for_less_what_is_held(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=3)
    client.submit("a", "b")
    known = bench.core.state.workers["worker-1"]
    assert known.credit == 1
    worker.report("a")
    assert known.credit == 2
    worker.give_back("b")
    worker.say(m.Capacity(3, 3))
    worker.delivered()
    assert known.credit == 2, "it has the call again"
    worker.report("b")
    assert known.credit == 3


def test_an_end_with_another_state_is_kept_as_it_is(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("a", "b", spec=CallSpec("add"))
    worker.report("a", state=FAILURE)
    worker.report("b", state=REVOKED)
    assert (bench.state_of("a"), bench.state_of("b")) == ("FAILURE", "REVOKED")


def test_what_a_worker_gives_back_twice_on_its_two_connections_does_not_keep_it_idle(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(capacity=2)
    client.submit("a", "b")
    worker.report("a")
    # Given calls that were given back on one connection, and then on the other one, which is slow
    worker.say(m.Returned([("b", 1)]), m.Capacity(1, 1))
    worker.report("b", attempt=2)
    worker.control.say(m.Returned([("b", 1)]))
    # Then the worker gets what comes next
    client.submit("c")
    assert "c" in worker.delivered()


def test_a_call_that_is_given_back_twice_in_one_message_goes_back_once(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.say(m.Returned([("a", 1), ("a", 1)]))
    assert bench.state_of("a") == "open"
