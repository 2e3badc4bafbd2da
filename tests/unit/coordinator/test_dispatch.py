"""Which worker gets which call, and in which order."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from actorq.wire import messages as m
from actorq.wire.records import CallSpec
from tests.unit.coordinator.support import Bench


def test_calls_wait_for_a_worker_in_the_order_in_which_they_came(bench: Bench) -> None:
    client = bench.client()
    for number in range(5):
        client.submit(f"{number}")
    assert bench.worker(slots=5).delivered() == ["0", "1", "2", "3", "4"]


def test_higher_priorities_go_first(bench: Bench) -> None:
    client = bench.client()
    for priority in (0, 9, 4, 9):
        client.submit(f"{priority}-{bench.core.state.seq}", spec=CallSpec("add", priority=priority))
    priorities = [task_id[0] for task_id in bench.worker(slots=4).delivered()]
    assert priorities == ["9", "9", "4", "0"]


def test_a_worker_gets_only_what_it_offers_from_queues_that_it_consumes(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=9, queues=["fast"], offers=["add"])
    client.submit("another-queue", spec=CallSpec("add", queue="slow"))
    client.submit("another-task", spec=CallSpec("divide", queue="fast"))
    client.submit("mine", spec=CallSpec("add", queue="fast"))
    assert worker.delivered() == ["mine"]


def test_a_task_that_nobody_offers_waits_until_somebody_does(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=CallSpec("later"))
    assert worker.delivered() == []
    assert bench.worker("newer", offers=["later"]).delivered() == ["a"]


def test_a_worker_is_never_sent_more_than_it_asked_for(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2, capacity=3)
    client.submit(*"abcdefgh")
    assert worker.delivered() == ["a", "b", "c"]
    worker.report("a")
    assert worker.delivered() == ["d"]


def test_a_worker_that_wants_more_gets_more(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=1)
    client.submit(*"abcd")
    assert worker.delivered() == ["a"]
    worker.say(m.Capacity(3, 1))
    assert worker.delivered() == ["b", "c"]


def test_a_worker_that_drains_gets_nothing_more(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    worker.say(m.Capacity(0, 2))
    client.submit("a")
    assert worker.delivered() == []


def test_calls_are_spread_over_workers_with_free_slots(bench: Bench) -> None:
    client = bench.client()
    workers = [bench.worker(f"worker-{number}", slots=4) for number in range(3)]
    client.submit(*"abcdef")
    shares = [len(worker.delivered()) for worker in workers]
    assert sum(shares) == 6 and min(shares) >= 1 and max(shares) <= 3


def test_nobody_gets_a_call_at_hand_while_another_could_start_it(bench: Bench) -> None:
    client = bench.client()
    # Given a worker that is busy and wants a call at hand, and one that is free
    busy = bench.worker("busy", slots=1, capacity=2)
    client.submit("a")
    assert busy.delivered() == ["a"]
    free = bench.worker("free", slots=1, capacity=2)
    # When a call comes, then the free one gets it
    client.submit("b")
    assert free.delivered() == ["b"]
    # And it is again the free one when it has got free before the next call comes
    free.report("b")
    client.submit("c")
    assert free.delivered() == ["c"]
    assert busy.delivered() == []


def test_a_worker_of_another_kind_that_is_free_goes_before_one_that_looks_ahead(bench: Bench) -> None:
    client = bench.client()
    bench.worker("busy", slots=1, capacity=5, offers=["add"])
    client.submit("a")
    other = bench.worker("other", slots=1, offers=["add", "more"])
    client.submit("b")
    assert other.delivered() == ["b"]


def test_large_deliveries_are_cut(bench: Bench) -> None:
    bench.core.state.settings = type(bench.settings)(deliver_batch=2)
    client, worker = bench.client(), bench.worker(slots=5)
    client.submit(*"abcde")
    messages = worker.take(m.Deliver)
    assert [len(message.calls) for message in messages] == [2, 2, 1]
    assert [message.seq for message in messages] == [1, 2, 3]


def test_what_comes_back_goes_where_it_belongs_by_its_age(bench: Bench) -> None:
    client = bench.client()
    workers = [bench.worker(f"worker-{number}", slots=2) for number in range(2)]
    client.submit(*"abcdef")
    taken = [worker.delivered() for worker in workers]
    # When both give back what they have, one after the other
    for worker, ids in zip(workers, taken, strict=True):
        worker.say(m.Capacity(0, 0))
        worker.give_back(*ids)
    # Then all stand in the order in which they came
    assert bench.worker("third", slots=9).delivered() == list("abcdef")


def test_who_gives_calls_back_gets_none_until_it_says_how_many_it_wants(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=1, capacity=3)
    client.submit(*"abc")
    assert worker.delivered() == ["a", "b", "c"]
    worker.give_back("b", "c")
    assert worker.delivered() == [], "else they would go to and fro"
    worker.say(m.Capacity(2, 1))
    assert worker.delivered() == ["b"]


Submission = tuple[str, str, int]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xy"), st.integers(0, 9)), max_size=40),
    st.lists(
        st.tuples(st.sets(st.sampled_from("ABC"), min_size=1), st.sets(st.sampled_from("xy"), min_size=1)),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 7),
)
def test_each_worker_takes_the_first_by_priority_and_age_of_all_that_it_may_have(
    submissions: list[Submission], kinds: list[tuple[set[str], set[str]]], slots: int
) -> None:
    # Given calls in some queues, with some names and priorities
    bench = Bench()
    client = bench.client()
    for number, (queue, task, priority) in enumerate(submissions):
        client.submit(f"{number}", spec=CallSpec(task, queue=queue, priority=priority))
    waiting = list(enumerate(submissions))
    # When workers come, one after the other, with queues and offers of their own
    for number, (queues, offers) in enumerate(kinds):
        worker = bench.worker(f"worker-{number}", slots=slots, queues=sorted(queues), offers=sorted(offers))
        # Then each gets what a sorted list would give it
        mine = [each for each in waiting if each[1][0] in queues and each[1][1] in offers]
        mine.sort(key=lambda each: (-each[1][2], each[0]))
        assert worker.delivered() == [f"{number}" for number, _ in mine[:slots]]
        waiting = [each for each in waiting if each not in mine[:slots]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["submit", "take", "return", "revoke"]), st.integers(0, 9)), max_size=60))
def test_lanes_behave_as_a_sorted_list_whatever_comes_and_goes(steps: list[tuple[str, int]]) -> None:
    bench = Bench()
    client, worker = bench.client(), bench.worker(slots=0)
    new_id = map(str, itertools.count()).__next__
    model: list[tuple[int, int, str]] = []
    held: list[tuple[int, int, str]] = []
    for step, number in steps:
        if step == "submit":
            task_id = new_id()
            client.submit(task_id, spec=CallSpec("add", priority=number))
            model.append((-number, int(task_id), task_id))
        elif step == "take":
            worker.say(m.Capacity(len(held) + number, 1))
            taken = sorted(model)[:number]
            assert worker.delivered() == [task_id for *_, task_id in taken]
            held += taken
            model = sorted(model)[number:]
            worker.say(m.Capacity(0, 1))
        elif step == "return":
            worker.give_back(*[task_id for *_, task_id in held[:number]])
            model += held[:number]
            held = held[number:]
        elif model:
            chosen = sorted(model)[number % len(model)]
            client.order("revoke", ids=[chosen[2]])
            model.remove(chosen)
    worker.say(m.Capacity(len(held) + len(model), 1))
    assert worker.delivered() == [task_id for *_, task_id in sorted(model)]
