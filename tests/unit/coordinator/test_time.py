"""Calls that wait for a time, and calls whose time is over."""

from __future__ import annotations

from actorq.wire import messages as m
from tests.unit.coordinator.support import Bench


def test_a_call_is_not_delivered_before_its_time(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", not_before=bench.wall_s + 10)
    bench.wait(9.5)
    assert worker.delivered() == []
    worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
    bench.wait(1.0)
    assert worker.delivered() == ["a"]


def test_the_core_wants_to_be_called_when_the_time_comes() -> None:
    bench = Bench()
    client = bench.client()
    client.submit("a", not_before=bench.wall_s + 10)
    bench.wait(0.01)
    assert bench.deadline_s is not None
    assert abs(bench.deadline_s - bench.now_s - 9.99) < 0.001


def test_without_anything_to_do_it_does_not_want_to_be_called() -> None:
    assert Bench().deadline_s is None


def test_calls_stand_in_line_from_when_their_time_comes(bench: Bench) -> None:
    client = bench.client()
    client.submit("later", not_before=bench.wall_s + 2)
    client.submit("sooner", not_before=bench.wall_s + 1)
    bench.wait(1.5)
    client.submit("now")
    bench.wait(1.0)
    assert bench.worker(slots=3).delivered() == ["sooner", "now", "later"]


def test_a_call_that_waits_for_its_time_takes_no_slot(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=1)
    client.submit("later", not_before=bench.wall_s + 100)
    client.submit("now")
    assert worker.delivered() == ["now"]


def test_a_call_that_waited_for_too_long_is_revoked(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", expires=bench.wall_s + 5)
    bench.wait(4.5)
    assert client.outcomes() == {}
    bench.wait(1.0)
    assert client.outcomes() == {"a": "REVOKED"}
    assert bench.worker().delivered() == []


def test_a_call_may_expire_while_it_waits_for_its_time(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", not_before=bench.wall_s + 10, expires=bench.wall_s + 5)
    bench.wait(5.5)
    assert client.outcomes() == {"a": "REVOKED"}


def test_a_call_that_runs_does_not_expire(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", expires=bench.wall_s + 1)
    worker.delivered()
    bench.wait(3.0)
    worker.report("a")
    assert bench.state_of("a") == "SUCCESS"


def test_a_call_that_comes_back_too_late_is_revoked(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", expires=bench.wall_s + 1)
    worker.delivered()
    bench.wait(2.0)
    worker.give_back("a")
    assert client.outcomes() == {"a": "REVOKED"}


def test_a_submission_that_waited_for_room_for_too_long_is_revoked() -> None:
    bench = Bench(queue_limit=1)
    client = bench.client()
    client.submit("a")
    client.submit("b", expires=bench.wall_s + 1)
    bench.wait(2.0)
    worker = bench.worker(slots=2)
    bench.wait(0.1)
    assert worker.delivered() == ["a"]
    assert client.outcomes() == {"b": "REVOKED"}


def test_what_has_ended_does_not_stay_in_the_schedule_for_long(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=10)
    for number in range(100):
        ids = [f"{number}-{index}" for index in range(10)]
        client.submit(*ids, expires=bench.wall_s + 86_400)
        worker.report(*ids)
    bench.wait(1.0)
    assert len(bench.core.state.schedule) < 200


def test_a_clock_that_is_set_back_delays_what_is_scheduled_and_harms_nothing(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", not_before=bench.wall_s + 2)
    bench.wall_s -= 10
    bench.wait(3.0)
    assert worker.delivered() == []
    for _ in range(10):
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
        bench.wait(1.0)
    assert worker.delivered() == ["a"]


def test_a_call_that_was_leased_when_its_time_was_over_expires_also_after_the_clock_was_set_back(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", expires=bench.wall_s + 1)
    assert worker.delivered() == ["a"]
    worker.control.say(m.Heartbeat(bench.now_s, 0.0, [("a", 1)]))
    bench.wait(2.0)
    bench.wall_s -= 5
    worker.say(m.Capacity(0, 1))
    worker.give_back("a")
    assert client.outcomes() == {}
    bench.wait(5.0)
    assert client.outcomes() == {"a": "REVOKED"}
