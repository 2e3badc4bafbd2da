"""What peers can make a coordinator hold is bounded, and whoever comes to a bound is told so."""

from __future__ import annotations

import copy

import pytest

from actorq.coordinator.core import limits, machine
from actorq.wire import messages as m
from actorq.wire.records import Call, CallSpec, Node, Plan
from tests.unit.coordinator.support import UNIX_S, VERSIONS, Bench


def usage(bench: Bench, name: str) -> dict[str, int]:
    found: dict[str, int] = bench.core.stats()["limits"][name]
    return found


def test_every_limit_is_shown_with_what_there_is_and_how_often_it_was_reached(bench: Bench) -> None:
    bench.client().submit("a", body=b"12345")
    assert usage(bench, "calls") == {"now": 1, "limit": bench.settings.call_limit, "hits": 0}
    assert usage(bench, "arguments") == {"now": 5, "limit": bench.settings.queued_bytes, "hits": 0}
    assert usage(bench, "sessions")["now"] == 1


# -- calls ---------------------------------------------------------------------------------------------------------


def test_scheduled_calls_count_and_submissions_beyond_the_limit_of_calls_wait_for_room() -> None:
    bench = Bench(call_limit=2)
    client = bench.client()
    client.submit("a", "b", not_before=UNIX_S + 60)
    client.submit("c")
    [pressure] = client.take(m.Pressure)
    assert "2 calls wait, are scheduled or run" in pressure.reason
    assert bench.state_of("c") == "unknown"
    assert usage(bench, "calls")["hits"] == 1
    # When one of them is over
    client.order("revoke", ids=["a"])
    assert bench.state_of("c") == "open"
    assert client.take(m.Pressure) == [m.Pressure("")]


def test_calls_that_are_held_back_count() -> None:
    bench = Bench(call_limit=1)
    bench.start()
    client = bench.client()
    client.submit("a", resent=True, fresh=False)
    client.submit("b", resent=True, fresh=False)
    assert bench.state_of("b") == "unknown"


def test_a_client_learns_how_many_bytes_it_may_have_out() -> None:
    bench = Bench(client_window_bytes=100)
    [welcome] = bench.client().take(m.Welcome)
    assert welcome.window_bytes == 100


def test_a_client_that_pays_no_heed_to_its_window_of_bytes_loses_its_session() -> None:
    bench = Bench(queue_limit=1, client_window_bytes=100)
    client = bench.client()
    client.submit("a")
    client.submit("b", body=bytes(99))
    client.submit("c", body=bytes(99))  # The last message may go beyond it.
    assert client.take(m.Reset) == []
    assert usage(bench, "window")["now"] == 198
    client.submit("d")
    assert client.take(m.Reset)
    assert usage(bench, "window")["hits"] == 1


def test_the_window_of_bytes_opens_again_when_submissions_are_accepted() -> None:
    bench = Bench(queue_limit=1, client_window_bytes=100)
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    client.submit("b", body=bytes(100))
    client.submit("c", body=bytes(100))
    assert usage(bench, "window")["now"] == 100
    worker.report("a")
    worker.report("b")
    assert usage(bench, "window")["now"] == 0
    client.submit("d", body=bytes(100))
    client.submit("e", body=bytes(100))
    assert client.take(m.Reset) == []


# -- sessions ------------------------------------------------------------------------------------------------------


def test_a_client_beyond_the_limit_of_sessions_is_rejected_with_the_reason() -> None:
    bench = Bench(session_limit=1)
    bench.client("first")
    second = bench.client("second")
    [rejected] = second.take(m.Rejected)
    assert "1 clients and workers are connected" in rejected.reason
    assert bench.hung_up == [second.peer]
    assert usage(bench, "sessions") == {"now": 1, "limit": 1, "hits": 1}


def test_a_connection_may_change_its_session_at_the_limit() -> None:
    bench = Bench(session_limit=1)
    client = bench.client("first")
    client.say(m.ClientHello(VERSIONS, "2", "name", "second", ""))
    assert client.take(m.Rejected) == []


def test_a_worker_that_is_known_gets_its_connections_also_at_the_limit_of_sessions() -> None:
    # Else strangers that fill the limit would keep it from coming back, and a node that is rejected ends.
    bench = Bench(session_limit=2)
    worker = bench.worker()
    bench.lose(worker)
    bench.client()
    again = worker.return_anew()
    assert again.take(m.Rejected) == again.control.take(m.Rejected) == []
    assert bench.client("other").take(m.Rejected)


def test_a_worker_beyond_the_limit_of_workers_is_rejected_until_one_has_gone() -> None:
    bench = Bench(worker_limit=1)
    first, second = bench.worker("first"), bench.worker("second")
    assert "1 worker nodes" in second.take(m.Rejected)[0].reason
    first.say(m.Bye("done"))
    assert bench.worker("third").take(m.Rejected) == []


def test_a_worker_that_comes_back_is_not_one_more() -> None:
    bench = Bench(worker_limit=1)
    worker = bench.worker()
    bench.lose(worker)
    assert worker.return_anew().take(m.Rejected) == []


def test_a_worker_with_too_many_names_is_rejected_with_the_reason() -> None:
    bench = Bench(worker_name_chars=1000)
    worker = bench.worker(offers=[f"task-{number:03}" for number in range(200)])
    assert "1,607 characters" in worker.take(m.Rejected)[0].reason
    assert usage(bench, "worker_names")["hits"] == 1


def test_of_clients_that_are_away_the_first_to_leave_are_forgotten() -> None:
    bench = Bench(client_count=2)
    bench.worker()  # So that time counts.
    for name in ("first", "second", "third"):
        bench.lose(bench.client(name))
        bench.wait(0.6)
    assert set(bench.core.state.clients) == {"second", "third"}
    assert usage(bench, "clients_away") == {"now": 2, "limit": 2, "hits": 1}


def test_what_a_forgotten_client_has_submitted_is_run_and_its_outcome_is_kept() -> None:
    bench = Bench(client_count=0)
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    bench.lose(client)
    bench.wait(0.6)
    assert limits.clients_to_forget(bench.core.state) == []
    worker.report("a", relay=True)
    again = bench.client()
    again.say(m.Query(1, ["a"]))
    assert again.outcomes() == {"a": "SUCCESS"}


# -- questions and orders ------------------------------------------------------------------------------------------


def test_a_client_that_waits_for_too_many_calls_of_others_is_told_for_which_it_does_not() -> None:
    bench = Bench(watch_limit=2)
    client = bench.client()
    client.say(m.Query(1, ["a", "b", "c"], wait=True))
    client.say(m.Query(2, ["a", "b"], wait=True))  # These it waits for already.
    [refused] = client.take(m.Refused)
    assert [task_id for task_id, _ in refused.calls] == ["c"]
    assert "2 calls of others" in refused.calls[0][1]
    assert usage(bench, "watched") == {"now": 2, "limit": 2, "hits": 1}


def test_there_is_room_again_when_one_has_settled() -> None:
    bench = Bench(watch_limit=1)
    owner, client, worker = bench.client("owner"), bench.client(), bench.worker()
    client.say(m.Query(1, ["a"], wait=True))
    owner.submit("a")
    worker.report("a")
    client.say(m.Query(2, ["b"], wait=True))
    assert client.take(m.Refused) == []


def test_a_client_with_too_many_open_commands_gets_an_error_at_once() -> None:
    bench = Bench(order_limit=1)
    client, other, worker = bench.client(), bench.client("other"), bench.worker()
    client.order("ping")
    reply = client.order("ping")
    assert "not answered yet" in reply["error"]
    assert usage(bench, "orders") == {"now": 1, "limit": 1, "hits": 1}
    # That is nothing to others
    assert other.order("ping") is None
    # And over when the first is answered
    for command in worker.control.take(m.Command):
        worker.control.say(m.Reply(command.token, "pong"))
    assert client.order("ping") is None


def test_open_commands_of_a_client_that_has_gone_do_not_count() -> None:
    bench = Bench(order_limit=1)
    client, _ = bench.client(), bench.worker()
    client.order("ping")
    bench.lose(client)
    assert usage(bench, "orders")["now"] == 0


def test_a_heartbeat_is_believed_of_leases_only(bench: Bench) -> None:
    bench.client().submit("a")
    worker = bench.worker()
    running = [("a", worker.attempt("a")), *((f"no-such-{number}", 1) for number in range(1000))]
    worker.control.say(m.Heartbeat(1.0, 0.0, running))
    assert bench.core.stats()["workers"][0]["running"] == 1


# -- functions by value --------------------------------------------------------------------------------------------


def test_a_call_whose_function_finds_no_room_is_refused_with_the_reason_and_taken_when_there_is_some() -> None:
    # Given a function that fills all the room, and is in use
    bench = Bench(code_bytes=10, code_limit_bytes=10)
    client, worker = bench.client(), bench.worker()
    client.say(m.Code("used", bytes(10)))
    client.submit("a", spec=CallSpec("f", code="used"))
    # When there is another one
    client.say(m.Code("other", bytes(10)))
    client.submit("b", spec=CallSpec("f", code="other"))
    # Then its call is refused, and the next is said to need it
    assert "limit of 10 bytes" in client.take(m.Refused)[0].calls[0][1]
    assert usage(bench, "code") == {"now": 10, "limit": 10, "hits": 1}
    client.submit("c", spec=CallSpec("f", code="other"))
    assert client.take(m.Refused)[0].calls == [("c", m.CODE_MISSING)]
    # So that it gets there as soon as there is room
    worker.report("a")
    client.say(m.Code("other", bytes(10)))
    client.submit("d", spec=CallSpec("f", code="other"))
    assert client.take(m.Refused) == []


def test_workers_are_told_which_functions_are_not_used_any_more() -> None:
    bench = Bench(code_bytes=10)
    client, worker = bench.client(), bench.worker()
    client.say(m.Code("first", bytes(10)))
    client.submit("a", spec=CallSpec("f", code="first"))
    worker.report("a")
    assert worker.take(m.Code) == [m.Code("first", bytes(10))]
    client.say(m.Code("second", bytes(10)))
    assert worker.take(m.Code) == [m.Code("first", b"")]
    # And get one again that is used again, with other options
    client.say(m.Code("first", bytes(10)))
    client.submit("b", spec=CallSpec("f", code="first", priority=9))
    assert worker.take(m.Code) == [m.Code("first", bytes(10))]


def test_workers_are_told_which_options_are_not_used_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SPECS_KEPT", 1)
    bench = Bench()
    gone, client, worker = bench.client("gone"), bench.client(), bench.worker()
    gone.submit("a", spec=CallSpec("add", priority=1))
    client.submit("b", spec=CallSpec("add", priority=2))
    worker.report("a")
    worker.report("b")
    numbers = {spec.priority: number for define in worker.take(m.Define) for number, spec in define.specs}
    bench.lose(gone)
    bench.wait(61)
    assert [define.specs for define in worker.take(m.Define)] == [[(numbers[1], CallSpec(""))]]


def test_a_workflow_is_taken_whose_functions_fill_more_than_their_room_together() -> None:
    bench = Bench(code_bytes=10)
    client, specs = bench.client(), [CallSpec("f", code="one"), CallSpec("g", code="two")]
    plan = Plan("p", [Node(Call("a", 1, b""), replies=True), Node(Call("b", 2, b""))])
    for seq in (1, 2):
        client.say(m.Code("one", bytes(10)), m.Code("two", bytes(10)))
        client.say(m.Submit(seq, list(enumerate(specs, 1)), [], plans=[copy.deepcopy(plan)]))
    (refused,) = client.take(m.Refused)
    assert dict(refused.calls) == {"a": m.CODE_MISSING, "b": m.CODE_MISSING}, "one was dropped for the other"
    assert "p" in bench.core.state.ledger.entries


def test_a_workflow_that_nobody_waits_for_is_not_refused_in_silence() -> None:
    client = Bench().client()
    client.submit_plan("p", Node(Call("a", 1, b"")), spec=CallSpec("f", code="missing", ignore_result=True))
    assert client.take(m.Refused)[0].calls == [("a", m.CODE_MISSING)]
