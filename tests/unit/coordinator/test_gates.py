"""Limits: how many calls of a task, or of a key, start within a time, or run at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import Call, CallSpec, Extra
from tests.unit.coordinator.support import Bench, WorkerParty

PER_SECOND = 10


def limited(**spec: Any) -> CallSpec:
    return CallSpec("add", **spec)


def of(key: str, **extra: Any) -> Extra:
    """What a call has that is limited by key."""
    return Extra(limit_key=key, **extra)


class Starts:
    """Ends what the workers get at once, and notes when each came."""

    def __init__(self, bench: Bench, *workers: WorkerParty) -> None:
        self.bench, self.workers = bench, workers
        self.times: dict[str, float] = {}

    def run(self, seconds: float, step_s: float = 0.01) -> None:
        end_s = self.bench.now_s + seconds
        while self.bench.now_s < end_s:
            for worker in self.workers:
                ids = worker.delivered()
                self.times.update(dict.fromkeys(ids, self.bench.now_s))
                if ids:
                    worker.report(*ids)
            self.bench.wait(step_s)

    def most_within(self, seconds: float) -> int:
        times = self.times.values()
        return max(sum(start <= other < start + seconds for other in times) for start in times)


def test_no_second_has_more_starts_than_the_rate_on_all_workers_together(bench: Bench) -> None:
    client = bench.client()
    starts = Starts(bench, *[bench.worker(f"worker-{number}", slots=50, capacity=100) for number in range(4)])
    client.submit(*map(str, range(100)), spec=limited(rate=PER_SECOND))
    starts.run(3.0)
    assert starts.most_within(1.0) <= PER_SECOND
    assert len(starts.times) >= 3 * PER_SECOND * 0.8


def test_a_throttled_call_holds_no_slot_and_no_other_call_waits_behind_it(bench: Bench) -> None:
    """Pain 9: with Celery, limited calls fill the memory of workers, and others wait behind them."""
    client = bench.client()
    worker = bench.worker(slots=2, capacity=9, offers=["add", "free"])
    client.submit(*map(str, range(100)), spec=limited(rate=1))
    assert worker.delivered() == ["0"]
    client.submit("free", spec=CallSpec("free"))
    assert worker.delivered() == ["free"]


def test_a_limited_call_goes_to_a_free_slot_and_never_waits_at_a_worker(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=1, capacity=9)
    client.submit("plain", "ahead")
    client.submit("limited", spec=limited(rate=PER_SECOND))
    assert worker.delivered() == ["plain", "ahead"]
    worker.report("plain")
    assert worker.delivered() == []
    worker.report("ahead")
    assert worker.delivered() == ["limited"]


def test_a_worker_has_limited_calls_at_hand_where_all_it_has_is_next_to_nothing_of_the_rate(bench: Bench) -> None:
    """As nobody exceeds such a rate by what starts late, it costs no throughput."""
    client, worker = bench.client(), bench.worker(slots=2, capacity=5)
    client.submit("1", "2", "3", "4", spec=limited(rate=1_000.0))
    bench.wait(0.1)
    assert worker.delivered() == ["1", "2", "3", "4"]
    client.submit("5", "6", spec=limited(rate=100.0))
    assert worker.delivered() == [], "three calls at hand are too much of that rate"
    client.submit("7", spec=limited(rate=1_000.0, max_concurrency=50))
    assert worker.delivered() == [], "a call that waits would count as one that runs"
    worker.report("1", "2", "3", "4")
    assert worker.delivered() == ["5", "6"]


def test_calls_wait_for_free_slots_again_when_workers_have_more_at_hand(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=1, capacity=3)
    client.submit("1", "2", spec=limited(rate=1_000.0))
    bench.wait(0.1)
    assert worker.delivered() == ["1", "2"]
    worker.say(m.Capacity(101, 1))
    client.submit("3", spec=limited(rate=1_000.0))
    assert worker.delivered() == []
    worker.say(m.Capacity(3, 1))
    client.submit("4", spec=limited(rate=1_000.0))
    assert worker.delivered() == ["3"]


def test_the_next_one_starts_in_time_without_any_message(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    client.submit("a", "b", spec=limited(rate=1))
    assert worker.delivered() == ["a"]
    assert bench.deadline_s is not None and bench.deadline_s <= bench.now_s + 0.5
    bench.wait(1.0)
    assert worker.delivered() == []
    bench.wait(0.2)
    assert worker.delivered() == ["b"]


def test_keys_do_not_wait_for_each_other(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    for number, key in enumerate("aabba"):
        client.submit(f"{key}{number}", spec=limited(max_concurrency=1), extra=of(key))
    assert worker.delivered() == ["a0", "b2"]
    worker.report("a0")
    assert worker.delivered() == ["a1"]
    worker.report("b2")
    assert worker.delivered() == ["b3"]


@pytest.mark.parametrize("end", ["done", "given back", "died", "given up", "forgotten"])
def test_however_a_lease_ends_the_next_one_may_run(bench: Bench, end: str) -> None:
    client, worker = bench.client(), bench.worker(slots=9, capacity=9)
    deliveries = 1 if end == "given up" else 3
    client.submit("a", "b", spec=limited(max_concurrency=1, max_deliveries=deliveries))
    assert worker.delivered() == ["a"]
    if end == "given up":
        worker.announce("a")
        bench.wait(3.0)
    if end == "done":
        worker.report("a")
        assert worker.delivered() == ["b"]
        return
    if end == "given back":
        worker.give_back("a")
        worker.say(m.Capacity(9, 9))
    elif end == "forgotten":
        bench.lose(worker)
        worker = worker.return_anew(slots=9, capacity=9)
    else:
        worker.die()
        worker = bench.worker("second", slots=9)
    assert worker.delivered() == ["b" if end == "given up" else "a"]


def test_the_urgent_one_of_those_that_are_throttled_is_next(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    client.submit("a", "b", spec=limited(max_concurrency=1))
    client.submit("urgent", spec=limited(max_concurrency=1, priority=9))
    worker.report("a")
    assert worker.delivered() == ["urgent"]


def test_queues_share_the_limit_of_a_task_and_no_queue_blocks_another(bench: Bench) -> None:
    client = bench.client()
    client.submit("nobody-consumes-it", spec=limited(max_concurrency=1, queue="slow"))
    client.submit("a", "b", spec=limited(max_concurrency=1))
    fast = bench.worker("fast", slots=9)
    assert fast.delivered() == ["a"]
    slow = bench.worker("slow", slots=9, queues=["slow"])
    assert slow.delivered() == []
    fast.report("a")
    assert sorted(slow.delivered() + fast.delivered()) in (["b"], ["nobody-consumes-it"])


def test_a_throttled_call_can_be_revoked_and_expires(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    client.submit("runs", "revoked", spec=limited(max_concurrency=1))
    client.submit("expires", spec=limited(max_concurrency=1), expires=bench.wall_s + 1)
    client.submit("last", spec=limited(max_concurrency=1))
    client.order("revoke", ids=["revoked"])
    bench.wait(1.5)
    assert client.outcomes() == {"revoked": "REVOKED", "expires": "REVOKED"}
    worker.delivered()
    worker.report("runs")
    assert worker.delivered() == ["last"]


def test_ten_thousand_keys_are_forgotten_when_they_are_idle(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=20_000, capacity=20_000)
    spec = limited(rate=1, max_concurrency=1)
    submission = client.submission("x", spec=spec)
    submission.calls = [Call(f"{number}", 1, b"", extra=of(f"key-{number % 1000}")) for number in range(2000)]
    client.say(submission)
    assert len(worker.delivered()) == 1000
    worker.report(*worker.calls)
    bench.wait(1.2)
    worker.report(*worker.delivered())
    assert len(bench.core.state.gates) == 1000
    bench.wait(1.5)
    assert len(bench.core.state.gates) == 0


def test_what_runs_when_a_coordinator_begins_anew_counts() -> None:
    bench = Bench(shelf=Shelf())
    client, worker = bench.client(), bench.worker(slots=9)
    client.submit("a", "b", spec=limited(max_concurrency=1))
    assert worker.delivered() == ["a"]
    first = bench.epoch
    bench.start()
    worker = worker.return_anew([("a", 1)], coordinator=first, slots=9)
    bench.wait(3.0)
    assert worker.delivered() == []
    worker.calls["a"] = Call("a", 1, b"", attempt=1)
    worker.report("a")
    assert worker.delivered() == ["b"]


def test_coordinators_share_a_rate(bench: Bench) -> None:
    bench.coordinator("zoe")
    client = bench.client()
    starts = Starts(bench, bench.worker(slots=50))
    client.submit(*map(str, range(100)), spec=limited(rate=PER_SECOND))
    starts.run(3.0)
    assert starts.most_within(1.0) <= PER_SECOND / 2
    assert len(starts.times) >= PER_SECOND


def test_coordinators_share_a_limit_also_of_calls_that_others_are_asked_about_first(bench: Bench) -> None:
    other, client, worker = bench.coordinator("zoe"), bench.client(), bench.worker(slots=9)
    client.submit("a", "b", spec=limited(max_concurrency=2), fresh=False)
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("a", ""), ("b", "")]))
    assert worker.delivered() == ["a"]


def test_a_limit_for_each_worker_grows_with_the_workers(bench: Bench) -> None:
    client = bench.client()
    spec = limited(max_concurrency=2, limits_worker=True)
    workers = [bench.worker(f"worker-{number}", slots=9) for number in range(2)]
    client.submit(*map(str, range(9)), spec=spec)
    assert sum(len(worker.delivered()) for worker in workers) == 4


def test_of_two_limited_tasks_the_older_call_goes_first_whatever_its_key(bench: Bench) -> None:
    client = bench.client()
    add, sub = limited(max_concurrency=50), CallSpec("sub", max_concurrency=50)
    for task_id, spec, key in [
        ("1", add, "a"),
        ("2", sub, "a"),
        ("3", add, "b"),
        *[(f"4.{n}", add, "a") for n in "abcd"],
    ]:
        client.submit(task_id, spec=spec, extra=of(key))
    assert bench.worker(slots=9, offers=["add", "sub"]).delivered()[:3] == ["1", "2", "3"]


def test_of_calls_that_come_together_the_limits_of_the_last_one_count(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9)
    submission = client.submission("a", "b", spec=limited(max_concurrency=1))
    other = client.submission("c", "d", spec=limited(max_concurrency=3))
    submission.specs += other.specs
    submission.calls += other.calls
    client.say(submission)
    assert worker.delivered() == ["a", "b", "c"]


# -- at run time -------------------------------------------------------------------------------------------------


def test_a_limit_can_be_changed_while_calls_wait(bench: Bench) -> None:
    client = bench.client()
    starts = Starts(bench, bench.worker(slots=50))
    client.submit(*map(str, range(200)), spec=limited(rate=1))
    starts.run(2.0)
    assert len(starts.times) == 2
    assert client.order("rate_limit", task_name="add", rate_limit="50/s") == {"ok": "new rate limit set successfully"}
    starts.run(2.0)
    assert 70 <= len(starts.times) <= 102
    assert client.order("rate_limit", task_name="add", rate_limit=0) == {"ok": "rate limit disabled successfully"}
    starts.run(0.1)
    assert len(starts.times) >= 150


def test_a_task_that_had_no_limit_gets_one_and_its_calls_that_wait_keep_to_it(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", "b", "c")
    client.submit("urgent", spec=CallSpec("add", priority=9))
    client.order("rate_limit", task_name="add", rate_limit="1/s")
    worker = bench.worker(slots=9)
    assert worker.delivered() == ["urgent"]
    bench.wait(1.2)
    assert worker.delivered() == ["a"]
    client.submit("d")
    worker.say(m.Heartbeat(bench.now_s, 0.0, []))
    bench.wait(3.0)
    assert worker.delivered() == ["b", "c"]


def test_what_is_wrong_with_a_limit_is_answered(bench: Bench) -> None:
    client = bench.client()
    bench.worker(offers=["add"])
    client.submit("a")
    assert client.order("rate_limit", task_name="sub", rate_limit="1/s") == {"error": "unknown task"}
    assert client.order("rate_limit", task_name="ad", rate_limit="1/s") == {
        "error": "unknown task: did you mean 'add'?"
    }
    assert "Invalid rate limit string" in client.order("rate_limit", task_name="add", rate_limit="fast")["error"]
    assert "error" in client.order("rate_limit", rate_limit="fast")


def test_a_limit_that_was_set_outlives_the_coordinator_and_can_be_taken_back() -> None:
    bench = Bench(shelf=Shelf())
    client = bench.client()
    client.submit("a", "b", "c", "d")
    client.order("rate_limit", task_name="add", rate_limit="1/s")
    bench.start()
    client = bench.client()
    worker = bench.worker(slots=9)
    bench.wait(3.0)  # Calls from the journal wait for what workers may still run.
    first = worker.delivered()
    assert len(first) == 1
    client.order("declare", items=[["rate", ["add"], None]])
    assert len(first + worker.delivered()) == 4


def test_a_limit_that_was_set_is_told_to_coordinators_that_come_later(bench: Bench) -> None:
    client = bench.client()
    client.submit("a")
    client.order("rate_limit", task_name="add", rate_limit="1/s")
    [told] = bench.coordinator("yan").link.take(m.Control)
    assert told.command == "declare" and told.arguments["items"][0][:3] == ["rate", ["add"], {"rate_limit": "1/s"}]
    # And of two that were set the one that was set last counts.
    other = bench.coordinator("zoe")
    other.say(m.Control(1, "declare", {"items": [["rate", ["add"], {"rate_limit": "9/s"}, 1.0]]}, [], 1.0))
    client.submit("b", "c")
    assert bench.worker(slots=9).delivered() == ["a"]


# -- whatever happens --------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_limits_hold_whatever_happens(data: st.DataObject) -> None:
    """At most two of a key run at once; after each step all indexes agree, and at the end all has run."""
    bench = Bench()
    client = bench.client()
    workers = [bench.worker(f"worker-{number}", slots=4, capacity=6) for number in range(2)]
    specs = [limited(max_concurrency=2, rate=rate, priority=priority) for rate in (0, 50) for priority in (4, 9)]
    running: dict[str, dict[str, WorkerParty]] = {"a": {}, "b": {}}
    submitted = 0

    def hear(worker: WorkerParty) -> None:
        for task_id in worker.delivered():
            running[task_id[0]][task_id] = worker
            assert len(running[task_id[0]]) <= 2

    def held_by(worker: WorkerParty) -> list[str]:
        return [task_id for each in running.values() for task_id, holder in each.items() if holder is worker]

    for _ in range(data.draw(st.integers(5, 40))):
        worker = data.draw(st.sampled_from(workers))
        action = data.draw(st.sampled_from(["submit", "submit", "end", "give back", "revoke", "wait"]))
        held = held_by(worker)
        if action == "submit":
            key = data.draw(st.sampled_from("ab"))
            ids = [f"{key}{submitted + number}" for number in range(data.draw(st.integers(1, 5)))]
            submitted += len(ids)
            fair = data.draw(st.sampled_from(["", "x", "y"]))
            client.submit(*ids, spec=data.draw(st.sampled_from(specs)), extra=of(key, fair_key=fair))
        elif action == "wait":
            bench.wait(data.draw(st.floats(0, 0.1)))
        elif action == "revoke" and submitted:
            client.order("revoke", ids=[f"a{data.draw(st.integers(0, submitted))}"])
        elif held:
            task_id = data.draw(st.sampled_from(held))
            del running[task_id[0]][task_id]
            if action == "end":
                worker.report(task_id)
            elif action == "give back":
                worker.give_back(task_id)
                worker.say(m.Capacity(6, 4))
        for each in workers:
            hear(each)
    for _ in range(100):
        for worker in workers:
            hear(worker)
            for task_id in held_by(worker):
                del running[task_id[0]][task_id]
                worker.report(task_id)
                hear(worker)
        bench.wait(0.1)
        if not bench.core.state.calls:
            break
    assert not list(bench.core.state.calls)
    bench.wait(3.0)
    assert not bench.core.state.gates
