"""What a client asks: for outcomes that have not come, for other sessions' calls, and for the replies to commands."""

from __future__ import annotations

import pytest

from actorq.client.core import Order, Watch
from actorq.client.pending import Pending
from actorq.wire import messages as m
from tests.unit.client.core_support import Bench


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A client that is welcomed; it hears each message once, or twice."""
    return Bench(twice=request.param)


def asked(bench: Bench) -> list[m.Query]:
    return [query for query in bench.take(m.Query) if query.token < 0]


def accept(bench: Bench, *ids: str) -> None:
    bench.submit(*ids)
    bench.hear(m.Accepted(bench.take(m.Submit)[-1].seq))


def test_an_accepted_call_that_has_been_out_for_long_is_asked_for(bench: Bench) -> None:
    accept(bench, "a", "b")
    bench.hear(bench.settle("b"))
    bench.wait(bench.settings.ask_after_s - 0.5)
    assert asked(bench) == []
    bench.wait(2.0)
    [query] = asked(bench)
    assert query.ids == ["a"]


def test_so_a_lost_result_heals_itself(bench: Bench) -> None:
    accept(bench, "a")
    bench.wait(7.0)
    [query] = asked(bench)
    bench.hear(bench.settle("a"), m.Report(query.token, []))
    assert bench.core.pending == {}
    bench.wait(20.0)
    assert asked(bench) == []


def test_a_call_that_is_under_way_is_asked_for_again_later(bench: Bench) -> None:
    accept(bench, "a")
    bench.wait(7.0)
    [query] = asked(bench)
    bench.hear(m.Report(query.token, [("a", "STARTED")]))
    bench.wait(3.0)
    assert asked(bench) == []
    bench.wait(4.0)
    assert [query.ids for query in asked(bench)] == [["a"]]


def test_nothing_is_asked_for_twice_while_the_answer_is_out(bench: Bench) -> None:
    accept(bench, "a")
    bench.wait(30.0)
    assert len(asked(bench)) == 1


def test_a_call_that_the_coordinator_does_not_know_is_sent_again_and_may_have_run(bench: Bench) -> None:
    accept(bench, "a")
    bench.wait(7.0)
    [query] = asked(bench)
    bench.hear(m.Report(query.token, [("a", "")]))
    assert bench.submitted() == [(["a"], True)]
    # And is not asked for before it is accepted
    bench.wait(20.0)
    assert asked(bench) == []


def test_not_too_many_are_asked_for_at_once() -> None:
    bench = Bench(ask_batch=2)
    accept(bench, *"abcde")
    bench.wait(bench.settings.ask_after_s + 0.5)
    assert [query.ids for query in asked(bench)] == [["a", "b"]]
    bench.wait(bench.settings.heartbeat_s)
    assert [query.ids for query in asked(bench)] == [["c", "d"]]


def test_a_question_that_was_lost_with_its_connection_is_asked_again(bench: Bench) -> None:
    accept(bench, "a")
    bench.wait(7.0)
    assert len(asked(bench)) == 1
    bench.reconnect()
    assert bench.core._awaited.asked == {}
    bench.wait(7.0)
    assert [query.ids for query in asked(bench)] == [["a"]]


def test_while_it_waits_for_something_a_client_shows_that_it_is_there(bench: Bench) -> None:
    bench.wait(10.0)
    assert bench.take(m.Ping) == [] and bench.deadline_s is None
    bench.submit("a")
    bench.wait(3.5)
    assert len(bench.take(m.Ping)) >= 3


def test_another_sessions_call_is_watched_and_again_after_a_reconnect(bench: Bench) -> None:
    pending = bench.core.pending["theirs"] = Pending("theirs", None)
    bench.core.requests.append(Watch("theirs"))
    bench.step()
    assert bench.take(m.Query) == [m.Query(0, ["theirs"], wait=True)]
    bench.reconnect("another coordinator")
    assert bench.take(m.Query) == [m.Query(0, ["theirs"], wait=True)]
    assert bench.submitted() == [], "it is not ours to send"
    bench.hear(bench.settle("theirs"))
    assert pending.is_settled()


def test_a_command_is_answered_once(bench: Bench) -> None:
    bench.core.requests.append(Order(5, "ping", {}, ["worker"], 1.0))
    bench.step()
    assert bench.take(m.Control) == [m.Control(5, "ping", {}, ["worker"], 1.0)]
    replies = m.Replies(5, {"worker": "pong"}, [])
    bench.hear(replies)
    assert bench.answers == {5: replies}
    bench.answers.clear()
    bench.hear(m.Replies(5, {}, ["worker"]))
    assert bench.answers == {}


def test_a_command_that_was_not_answered_is_said_again_after_a_reconnect(bench: Bench) -> None:
    bench.core.requests.append(Order(5, "ping", {}, [], 1.0))
    bench.step()
    bench.reconnect()
    assert [control.token for control in bench.take(m.Control)] == [5]


def test_when_a_workers_connection_is_lost_all_that_is_awaited_is_asked_for_at_once() -> None:
    bench = Bench(ask_batch=1)
    bench.submit("a", "b", "c")
    bench.hear(m.Accepted(1))
    assert bench.take(m.Query) == []
    bench.core.lose_reply()
    bench.step()
    assert [query.ids for query in bench.take(m.Query)] == [["a", "b", "c"]]


def test_an_order_is_not_repeated_once_its_asker_has_given_up() -> None:
    bench = Bench()
    bench.core.requests.append(Order(1, "shutdown", {}, (), 1.0))
    bench.core.requests.append(Order(2, "ping", {}, (), 60.0))
    bench.step()
    assert [order.command for order in bench.take(m.Control)] == ["shutdown", "ping"]
    bench.wait(5.0)
    bench.reconnect()
    assert [order.command for order in bench.take(m.Control)] == ["ping"]
