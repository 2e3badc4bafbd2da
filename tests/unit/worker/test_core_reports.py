"""What a worker reports, to whom, and for how long it keeps it. And what a lost connection changes."""

from __future__ import annotations

import pytest

from actorq.wire import messages as m
from tests.unit.worker.core_support import LIVENESS, ME, ONCE, OTHER, REPLY_TO, Bench


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A worker that is welcomed; it hears each message once, or twice."""
    return Bench(twice=request.param)


def run(bench: Bench, *ids: str, **options: int) -> None:
    """Calls are delivered, started and done."""
    bench.deliver(*ids, **options)
    bench.start()
    bench.end(*ids)


def test_an_outcome_goes_to_the_coordinator_and_straight_to_the_client(bench: Bench) -> None:
    run(bench, "a", client=ME)
    run(bench, "b", client=OTHER)
    assert bench.reported() == {"a": "SUCCESS", "b": "SUCCESS"}
    assert bench.results == [("me", "a"), ("other", "b")]


def test_nobody_but_the_coordinator_gets_an_outcome_that_nobody_waits_for(bench: Bench) -> None:
    run(bench, "a", client=0)
    [finished] = bench.take(m.Finished)
    assert not finished.relay and bench.results == []


def test_an_outcome_is_kept_until_it_is_acknowledged(bench: Bench) -> None:
    run(bench, "a")
    run(bench, "b")
    assert [outcome.id for outcome in bench.session.unacked()] == ["a", "b"]
    bench.hear(m.Acked(1))
    assert [outcome.id for outcome in bench.session.unacked()] == ["b"]


def test_a_report_is_said_again_on_a_new_connection_for_the_coordinator_to_pass_on(bench: Bench) -> None:
    run(bench, "a")
    bench.lose()
    hello = bench.open()
    assert hello.held == [("a", 1)]
    bench.hear(m.Welcome(1, hello.nonce, "coordinator", "coordinator"))
    [finished] = bench.take(m.Finished)
    assert [outcome.id for outcome in finished.outcomes] == ["a"]
    assert finished.relay and finished.seq == 1
    bench.hear(m.Acked(1))
    assert bench.core.is_idle()


def test_an_acknowledgement_of_an_earlier_connection_does_not_count(bench: Bench) -> None:
    run(bench, "a")
    bench.lose()
    bench.core.receive(bench.peer, m.Acked(1))
    assert not bench.core.is_idle()


def test_a_worker_without_a_connection_reports_to_nobody_until_it_has_one(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.lose()
    bench.end("a")
    assert bench.results == [], "its lease may be given away"
    bench.connect()
    [finished] = bench.take(m.Finished)
    assert finished.relay and [outcome.id for outcome in finished.outcomes] == ["a"]


def test_results_go_straight_to_clients_only_while_leases_are_known_to_hold(bench: Bench) -> None:
    bench.deliver("a", "b")
    bench.start()
    bench.step(LIVENESS.grace_s - 0.1)
    bench.end("a")
    assert bench.results == [("me", "a")]
    assert not bench.take(m.Finished)[0].relay
    # Given that nothing was heard for the time after which a coordinator may give leases away
    bench.step(0.2)
    bench.end("b")
    assert bench.results == [("me", "a")]
    assert bench.take(m.Finished)[0].relay


def test_a_heartbeat_that_was_answered_renews_them(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.step(5.0)
    bench.session.leases_hold_until_s = bench.now_s + 1.0  # As the watchdog does.
    bench.end("a")
    assert bench.results == [("me", "a")]


def test_the_outcomes_for_a_client_that_cannot_be_reached_are_passed_on_for_a_while(bench: Bench) -> None:
    bench.core.unreachable(REPLY_TO[ME])
    run(bench, "a", client=ME)
    run(bench, "b", client=OTHER)
    relays = [(finished.outcomes[0].id, finished.relay) for finished in bench.take(m.Finished)]
    assert relays == [("a", True), ("b", False)]
    assert bench.results == [("other", "b")]


def test_a_client_that_is_defined_anew_is_reached_directly_again(bench: Bench) -> None:
    bench.core.unreachable(REPLY_TO[ME])
    bench.hear(m.Define([], [(ME, "me", "tcp://me:2")]))
    run(bench, "a")
    assert bench.results == [("me", "a")]


def test_a_client_that_the_coordinator_has_forgotten_is_forgotten_here(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.hear(m.Define([], [(ME, "", "")]))
    bench.end("a")
    assert bench.results == []
    assert bench.take(m.Finished)[0].relay


def test_the_outcome_of_a_call_from_an_earlier_coordinator_is_passed_on(bench: Bench) -> None:
    bench.deliver("a")
    bench.start()
    bench.lose()
    hello = bench.connect("another")
    assert (hello.coordinator, hello.held) == ("coordinator", [("a", 1)])
    bench.end("a")
    assert bench.results == [], "the numbers of the earlier coordinator mean nothing any more"
    assert bench.take(m.Finished)[0].relay


def test_a_new_connection_begins_with_hello_whatever_was_to_be_said_on_the_old_one() -> None:
    bench = Bench()
    bench.deliver("a", spec=ONCE)
    bench.core.lose(bench.peer)
    bench.core.drain()
    hello = bench.open()
    assert hello.held == [] and hello.capacity == 0
    bench.hear(m.Welcome(1, hello.nonce, "coordinator", "coordinator"))
    assert bench.given_back() == [], "what is not listed is known not to be held"


def test_what_waits_for_begin_is_announced_again_on_a_new_connection(bench: Bench) -> None:
    bench.deliver("a", spec=ONCE)
    bench.take(m.Starting)
    bench.lose()
    bench.connect()
    assert bench.take(m.Starting) == [m.Starting([("a", 1)])]


def test_what_comes_before_the_welcome_is_not_for_this_session(bench: Bench) -> None:
    bench.lose()
    hello = bench.open()
    bench.hear(m.Revoke(["a"]), m.Begin(["a"]))
    bench.hear(m.Welcome(1, "another nonce", "coordinator", "coordinator"))
    assert not bench.core.welcomed
    bench.hear(m.Welcome(1, hello.nonce, "coordinator", "coordinator"))
    assert bench.core.welcomed


def test_what_comes_on_another_connection_changes_nothing(bench: Bench) -> None:
    bench.deliver("a")
    bench.core.receive(bench.peer + 5, m.Revoke(["a"]))
    assert bench.start() == ["a"]


def test_hellos_are_numbered_in_order() -> None:
    bench = Bench(connect=False)
    nonces = [bench.open().nonce for _ in range(12)]
    assert nonces == sorted(nonces) and len(set(nonces)) == 12


def test_whoever_is_told_to_begin_again_hangs_up(bench: Bench) -> None:
    bench.hear(m.Reset())
    assert bench.hung_up


def test_whoever_is_rejected_knows_why(bench: Bench) -> None:
    bench.hear(m.Rejected("bring both to the same release"))
    assert "same release" in bench.rejected


def test_a_worker_asks_for_its_slots_and_a_few_milliseconds_of_work_at_hand() -> None:
    bench = Bench(concurrency=2, lookahead_work_s=0.1, lookahead_limit=50)
    assert bench.core.capacity() == 2
    # Given short calls: hundreds in a second
    for number in range(20):
        run(bench, *[f"{number}-{index}" for index in range(10)])
        bench.step(0.02)
    assert 2 < bench.core.capacity() <= 52
    assert bench.take(m.Capacity)
    # When they take longer, then nothing waits behind them
    for _ in range(5):
        bench.step(1.0)
    assert bench.core.capacity() == 2


def test_a_worker_without_lookahead_asks_for_its_slots() -> None:
    bench = Bench(concurrency=3, lookahead_work_s=0.0)
    for number in range(5):
        run(bench, f"{number}")
        bench.step(0.001)
    assert bench.core.capacity() == 3


def test_a_worker_whose_outcomes_are_not_acknowledged_takes_nothing_more(bench: Bench) -> None:
    bench = Bench(twice=bench.twice, unacked_limit=2)
    run(bench, "a", "b", "c")
    bench.step()
    assert bench.take(m.Capacity)[-1].capacity == 0
    bench.hear(m.Acked(1))
    assert bench.take(m.Capacity)[-1].capacity == 2


def test_the_outcome_of_a_call_from_an_earlier_connection_is_passed_on(bench: Bench) -> None:
    # Its lease may have been given away while there was none, and the worker hears that only after the Welcome
    bench.deliver("a")
    bench.start()
    bench.lose()
    bench.connect()
    bench.end("a")
    assert bench.results == []
    assert bench.take(m.Finished)[0].relay
    # What is delivered from now on goes straight to the client again
    run(bench, "b")
    assert bench.results == [("me", "b")]
