"""Calls whose worker dies: at most once, one chance left, given up. And who else was there."""

from __future__ import annotations

from actorq.wire import messages as m
from actorq.wire.records import FAILURE, CallSpec
from tests.unit.coordinator.support import Bench, WorkerParty, reason_of

ONCE = CallSpec("add", acks_late=False)


def settled_worker(bench: Bench, name: str, **options: object) -> WorkerParty:
    """A worker that has lasted a while."""
    worker = bench.worker(name, **options)  # type: ignore[arg-type]
    bench.wait(bench.settings.liveness.grace_s + 0.5)
    return worker


def test_the_death_of_the_worker_counts_and_the_next_start_is_noted_before(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a")
    first.delivered()
    first.die()
    second = bench.worker("second")
    assert second.attempt("a") == 2 and second.calls["a"].lost == 1
    assert second.announce("a") == ["a"]


def test_a_call_that_had_not_begun_is_not_counted_a_second_time(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a")
    first.delivered()
    first.die()
    # Given a call that has lost a worker, when the next dies before its start was noted
    second = bench.worker("second")
    second.delivered()
    second.die()
    third = bench.worker("third")
    assert third.attempt("a") == 3 and third.calls["a"].lost == 1


def test_a_call_that_kills_its_workers_is_given_up(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", spec=CallSpec("add", max_deliveries=3))
    for number in range(3):
        worker = settled_worker(bench, f"worker-{number}")
        worker.delivered()
        if number:
            worker.announce("a")
        worker.die()
    [settled] = client.take(m.Settled)
    [outcome] = settled.outcomes
    assert outcome.state == FAILURE
    assert "lost 3 times" in reason_of(outcome)
    # And it stands in the list of dead letters, with the reason
    [letter] = client.order("dead_letters")
    assert (letter["id"], letter["task"], letter["worker"]) == ("a", "add", "worker-2")
    assert letter["reason"] in reason_of(outcome)


def test_the_list_of_dead_letters_is_bounded() -> None:
    bench = Bench(dead_letter_count=2)
    client = bench.client()
    for task_id in "abc":
        client.submit(task_id, spec=ONCE)
        worker = bench.worker(f"for-{task_id}")
        worker.announce(task_id)
        worker.die()
    assert [letter["id"] for letter in client.order("dead_letters")] == ["b", "c"]


def test_calls_with_one_chance_left_have_it_one_at_a_time(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first", slots=3)
    client.submit(*"abc", spec=CallSpec("add", max_deliveries=2))
    first.delivered()
    first.die()
    second = settled_worker(bench, "second", slots=3)
    assert second.announce(*"abc") == ["a"]
    second.report("a")
    assert second.begun() == ["b"]
    # When the worker dies, then only the one that ran is given up
    second.die()
    assert bench.state_of("b") == "FAILURE"
    assert bench.state_of("c") == "open"


def test_a_last_chance_is_given_only_on_a_worker_that_has_lasted_a_while(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a", spec=CallSpec("add", max_deliveries=2))
    first.delivered()
    first.die()
    second = bench.worker("second")
    assert second.announce("a") == []
    for _ in range(5):
        bench.wait(0.5)
        second.control.say(m.Heartbeat(bench.now_s, 0.0, []))
    assert second.begun() == ["a"]


def test_a_call_that_waits_for_its_last_chance_can_be_given_back(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first", slots=2)
    client.submit("a", "b", spec=CallSpec("add", max_deliveries=2))
    first.delivered()
    first.die()
    second = settled_worker(bench, "second", slots=2)
    assert second.announce("a", "b") == ["a"]
    second.give_back("b")
    third = settled_worker(bench, "third", slots=2)
    assert third.announce("b") == ["b"]


def test_a_call_that_may_run_once_waits_until_its_start_is_noted(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=ONCE)
    worker.delivered()
    assert worker.begun() == []
    assert worker.announce("a") == ["a"]
    worker.report("a")
    assert bench.state_of("a") == "SUCCESS"


def test_a_call_that_may_run_once_is_given_up_when_its_worker_dies_after_the_start(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a", spec=ONCE)
    first.announce("a")
    first.die()
    assert bench.state_of("a") == "FAILURE"
    assert bench.worker("second").delivered() == []


def test_it_is_delivered_again_when_its_worker_dies_before_the_start(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a", spec=ONCE)
    first.delivered()
    first.die()
    assert bench.worker("second").delivered() == ["a"]


def test_it_is_given_up_also_when_its_worker_leaves_on_purpose_after_the_start(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a", spec=ONCE)
    first.announce("a")
    first.say(m.Bye("stopped"))
    assert bench.state_of("a") == "FAILURE"


def test_it_may_come_back_after_its_start_was_noted_if_it_did_not_start(bench: Bench) -> None:
    client, first = bench.client(), bench.worker("first")
    client.submit("a", spec=ONCE)
    assert first.announce("a") == ["a"]
    # When the worker drains: it gives back what it has not started
    first.give_back("a")
    second = bench.worker("second")
    assert second.announce("a") == ["a"]


def test_a_worker_that_comes_back_hears_again_what_may_start(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=ONCE)
    assert worker.announce("a") == ["a"]
    bench.lose(worker)
    again = worker.return_anew(held=[("a", 1)])
    assert again.begun() == ["a"]


def test_an_announcement_of_another_attempt_changes_nothing(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=ONCE)
    worker.delivered()
    worker.say(m.Starting([("a", 7), ("stranger", 1)]))
    assert worker.begun() == []
