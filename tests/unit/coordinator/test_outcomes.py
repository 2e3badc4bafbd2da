"""Outcomes that are kept for a while, and those who ask for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorq import states
from actorq.coordinator.core.outcomes import OutcomeCache
from actorq.wire import messages as m
from actorq.wire.records import SUCCESS, CallSpec, Outcome
from tests.unit.coordinator.support import Bench


def outcome(number: int, size_bytes: int = 1) -> Outcome:
    return Outcome(f"{number}", 1, SUCCESS, b"x" * size_bytes)


def test_an_outcome_is_found_by_the_id_of_its_call() -> None:
    cache = OutcomeCache(100, 1000, 60.0)
    cache.add([outcome(1), outcome(2)], now_s=0.0)
    assert cache.get("1") == outcome(1)
    assert cache.get("3") is None


@given(st.lists(st.integers(1, 20), max_size=200), st.integers(8, 100), st.integers(8, 1000))
def test_there_are_never_more_than_the_bounds_allow_and_the_newest_stay(
    sizes: list[int], count: int, size_bytes: int
) -> None:
    cache = OutcomeCache(count, size_bytes, 60.0)
    for number, size in enumerate(sizes):
        cache.add([outcome(number, size)], now_s=0.0)
        assert cache.get(f"{number}") is not None
    kept = [number for number in range(len(sizes)) if cache.get(f"{number}") is not None]
    assert len(cache) == len(kept) <= count
    assert sum(sizes[number] for number in kept) <= size_bytes + 8 * 20, "the last of each generation may be over"
    assert kept == list(range(len(sizes)))[len(sizes) - len(kept) :], "the oldest go first"


def test_what_is_over_age_is_dropped() -> None:
    cache = OutcomeCache(100, 1000, 60.0)
    cache.add([outcome(1)], now_s=0.0)
    cache.add([outcome(2)], now_s=50.0)
    cache.expire(now_s=61.0)
    assert cache.get("1") is None
    assert cache.get("2") == outcome(2)


@given(st.lists(st.tuples(st.sampled_from("af"), st.integers(0, 12), st.sampled_from(["hare", "snail"])), max_size=60))
def test_each_outcome_keeps_its_origin_whatever_is_forgotten_or_comes_again(
    steps: list[tuple[str, int, str]],
) -> None:
    cache, known = OutcomeCache(400, 10_000, 1000.0), {}
    for came_s, (what, number, worker) in enumerate(steps):
        ids = [f"{number}", f"{number + 1}"]
        if what == "a":
            cache.add([outcome(number), outcome(number + 1)], 0.0, float(came_s), worker)
            known.update(dict.fromkeys(ids, (float(came_s), worker)))
        else:
            assert cache.forget(ids[0]) == (known.pop(ids[0], None) is not None)
    assert {each.id: cache.origin(each.id) for each in cache.all()} == known
    assert len(cache) == len(known)


def test_what_was_forgotten_takes_no_room_when_nothing_else_is_there() -> None:
    cache = OutcomeCache(100, 1000, 60.0)
    cache.add([outcome(1), outcome(2)], now_s=0.0)
    cache.forget("1")
    cache.expire(now_s=1.0)
    assert cache.get("2") == outcome(2)
    cache.forget("2")
    cache.expire(now_s=1.0)
    assert len(cache) == 0 and not cache._generations


def test_a_question_is_answered_with_outcomes_and_states(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=3)
    client.submit("ended", "running", "received")
    client.submit("waiting", spec=CallSpec("add", queue="other"))
    worker.report("ended")
    worker.control.say(m.Heartbeat(1.0, 0.0, [("running", 1)]))
    client.inbox.clear()
    client.say(m.Query(7, ["ended", "running", "received", "waiting", "stranger"]))
    assert client.outcomes() == {"ended": "SUCCESS"}
    [report] = client.take(m.Report)
    assert report.token == 7
    assert dict(report.states) == {
        "running": states.STARTED,
        "received": states.RECEIVED,
        "waiting": states.PENDING,
        "stranger": "",
    }


def test_who_waits_for_another_clients_call_is_told_when_it_ends(bench: Bench) -> None:
    client, other, worker = bench.client("first"), bench.client("second"), bench.worker()
    client.submit("a")
    other.say(m.Query(0, ["a"], wait=True))
    worker.report("a")
    assert other.outcomes() == {"a": "SUCCESS"}


def test_who_waits_for_a_call_that_has_not_come_yet_is_told_too(bench: Bench) -> None:
    client, other, worker = bench.client("first"), bench.client("second"), bench.worker()
    other.say(m.Query(0, ["a"], wait=True))
    client.submit("a")
    worker.report("a")
    assert other.outcomes() == {"a": "SUCCESS"}


def test_who_only_asks_is_not_told_later(bench: Bench) -> None:
    client, other, worker = bench.client("first"), bench.client("second"), bench.worker()
    client.submit("a")
    other.say(m.Query(0, ["a"]))
    worker.report("a")
    assert other.outcomes() == {}


def test_who_waits_is_forgotten_with_its_connection(bench: Bench) -> None:
    other = bench.client("second")
    other.say(m.Query(0, [f"{number}" for number in range(100)], wait=True))
    assert len(bench.core.state.watchers) == 100
    bench.lose(other)
    assert bench.core.state.watchers == {}


def test_nobody_is_remembered_as_waiting_for_what_has_ended(bench: Bench) -> None:
    client, other, worker = bench.client("first"), bench.client("second"), bench.worker()
    client.submit("a")
    other.say(m.Query(0, ["a"], wait=True))
    worker.report("a")
    assert bench.core.state.watchers == {}
    assert bench.core.state.clients["second"].watched == set()
