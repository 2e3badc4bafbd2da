"""A client of a mesh with several coordinators: it talks to one, and goes on with the next when that one is lost."""

from __future__ import annotations

from actorq.client.pending import Pending
from actorq.wire import messages as m
from actorq.wire.records import Call, Member
from tests.unit.client.core_support import PLAIN, Bench

A, B, C = "tcp://a:1", "tcp://b:1", "tcp://c:1"


def lose(bench: Bench) -> None:
    """The connection is lost, and the next address is dialled."""
    dials = len(bench.dialled)
    bench.core.lose(bench.peer)
    while len(bench.dialled) == dials:
        bench.step(0.1)


def test_it_tries_the_coordinators_that_its_own_has_named() -> None:
    bench = Bench(connect=False, addresses=(A,))
    bench.connect("a", others=(B, C))
    for expected in (B, C, A):
        lose(bench)
        assert bench.dialled[-1] == expected


def test_those_that_have_left_are_not_tried_any_more_and_its_own_address_is() -> None:
    bench = Bench(connect=False, addresses=(A,))
    bench.connect("a", others=(B, C))
    bench.hear(m.View("", Member(A), [Member(C)]))
    lose(bench)
    assert bench.dialled[-1] == C
    bench.connect("c", others=(A,))
    lose(bench)
    assert bench.dialled[-1] == A


def test_nonsense_that_is_named_is_not_tried() -> None:
    bench = Bench(connect=False, addresses=(A,))
    bench.connect("a", others=("tcp://*:1", "", "ipc://@x"))
    lose(bench)
    assert bench.dialled[-1] == A


def test_what_a_lost_coordinator_has_in_its_journal_is_not_sent_to_the_next_one() -> None:
    bench = Bench(connect=False, addresses=(A, B))
    bench.connect("a", durable=True)
    bench.submit("kept")
    bench.hear(m.Accepted(1))
    bench.submit("not accepted")
    lose(bench)
    bench.connect("b", durable=True)
    assert bench.submitted() == [(["not accepted"], True)]


def test_a_call_that_only_a_silent_coordinator_may_know_is_waited_for_and_then_sent_again() -> None:
    bench = Bench(connect=False, addresses=(A, B), ask_after_s=5.0, resend_after_s=60.0)
    bench.connect("a", durable=True)
    bench.submit("kept")
    bench.hear(m.Accepted(1))
    lose(bench)
    bench.connect("b", durable=True)
    bench.said.clear()
    # While the first one is out of touch, and is not known to be lost for good, nothing is sent
    asked_s = bench.now_s
    while not bench.submitted():
        assert bench.now_s < asked_s + 120
        bench.step(0.5)
        for query in bench.take(m.Query):
            bench.hear(m.Report(query.token, [("kept", "")], ["a"]))
    assert bench.now_s - asked_s > 60


def test_a_call_that_no_coordinator_knows_is_sent_again_at_once() -> None:
    bench = Bench(connect=False, addresses=(A, B), ask_after_s=5.0)
    bench.connect("a", durable=True)
    bench.submit("kept")
    bench.hear(m.Accepted(1))
    bench.wait(6.5)
    (query,) = bench.take(m.Query)
    bench.hear(m.Report(query.token, [("kept", "")], []))
    assert bench.submitted()[-1] == (["kept"], True)


def test_a_call_that_comes_to_be_known_again_is_not_sent_again() -> None:
    bench = Bench(connect=False, addresses=(A, B), ask_after_s=5.0, resend_after_s=60.0)
    bench.connect("a", durable=True)
    bench.submit("kept")
    bench.hear(m.Accepted(1))
    bench.submitted()
    began_s = bench.now_s
    while bench.now_s < began_s + 300:
        bench.step(0.5)
        for query in bench.take(m.Query):
            is_back = bench.now_s > began_s + 40
            bench.hear(m.Report(query.token, [("kept", "RECEIVED" if is_back else "")], [] if is_back else ["a"]))
    assert bench.submitted() == []


def test_a_call_that_is_about_to_be_handed_over_when_the_coordinator_changes_is_sent_once_and_as_a_new_one() -> None:
    # Else one that may run once would be given up, as if it might have started
    bench = Bench(connect=False, addresses=(A, B))
    bench.connect("a")
    pending = Pending("x", Call("x", PLAIN, b""))
    bench.core.pending["x"] = pending  # A user's thread has come so far
    lose(bench)
    bench.connect("b")
    assert bench.submitted() == []
    assert isinstance(pending.call, Call)
    bench.core.outbox.append(pending.call)
    bench.step()
    assert bench.submitted() == [(["x"], False)]
