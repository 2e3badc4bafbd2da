"""What peers may send, in number, size and value, and what the coordinator sends stays within the same bounds."""

from __future__ import annotations

import math

import pytest

from actorq.config import MAX_BATCH, MAX_BODY_BYTES
from actorq.coordinator.core import machine, state
from actorq.coordinator.core.state import SPECS_KEPT
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.records import Call, CallSpec
from tests.unit.coordinator.support import UNIX_S, VERSIONS, Bench

AT_MOST_ONCE = CallSpec("add", acks_late=False)


# -- size ----------------------------------------------------------------------------------------------------------


def test_outcomes_that_are_looked_up_are_cut_by_bytes(bench: Bench) -> None:
    # Given 600 large results
    client, worker = bench.client(), bench.worker(slots=1000)
    ids = [f"a{number}" for number in range(600)]
    client.submit(*ids)
    worker.report(*ids, body=b"x" * 60_000)
    # When one query asks for all
    client.accepted()
    client.say(m.Query(1, ids))
    # Then they come in several messages, none of which is near the limit of a frame, and the report comes last
    assert isinstance(client.inbox[-1], m.Report)
    settled = client.take(m.Settled)
    assert {outcome.id for each in settled for outcome in each.outcomes} == set(ids)
    assert max(size_of(each) for each in settled) < MAX_BODY_BYTES / 2


def test_outcomes_that_are_passed_on_are_cut_by_bytes(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=1000)
    ids = [f"a{number}" for number in range(600)]
    client.submit(*ids)
    worker.report(*ids, body=b"x" * 60_000, relay=True)
    settled = client.take(m.Settled)
    assert {outcome.id for each in settled for outcome in each.outcomes} == set(ids)
    assert max(size_of(each) for each in settled) < MAX_BODY_BYTES / 2


def size_of(message: m.Settled) -> int:
    return sum(len(frame) for frame in frames.Packer().pack(message))


# -- count ---------------------------------------------------------------------------------------------------------


def test_begin_names_no_more_calls_than_a_receiver_takes(bench: Bench) -> None:
    # Given a node that runs more guarded calls than fit in one message
    client, worker = bench.client(), bench.worker(slots=2 * MAX_BATCH)
    ids = [f"a{number}" for number in range(MAX_BATCH + 100)]
    client.submit(*ids[:MAX_BATCH], spec=AT_MOST_ONCE)
    client.submit(*ids[MAX_BATCH:], spec=AT_MOST_ONCE)
    worker.delivered()
    worker.say(m.Starting([(task_id, 1) for task_id in ids]))
    assert_all_in_bounds(worker.take(m.Begin), ids)
    # When it comes back with all of them
    bench.lose(worker)
    again = worker.return_anew([(task_id, 1) for task_id in ids], slots=2 * MAX_BATCH)
    # Then it is told again, in several messages
    assert_all_in_bounds(again.take(m.Begin), ids)


def test_revocations_that_a_node_has_not_heard_of_come_in_messages_that_it_takes(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2 * MAX_BATCH)
    ids = [f"a{number}" for number in range(MAX_BATCH + 100)]
    client.submit(*ids[:MAX_BATCH])
    client.submit(*ids[MAX_BATCH:])
    bench.lose(worker)
    client.order("revoke", ids=ids)
    again = worker.return_anew([(task_id, 1) for task_id in ids], slots=2 * MAX_BATCH)
    assert_all_in_bounds(again.take(m.Revoke), ids)


def assert_all_in_bounds(messages: list[m.Begin] | list[m.Revoke], ids: list[str]) -> None:
    assert {task_id for message in messages for task_id in message.ids} == set(ids)
    assert max(len(message.ids) for message in messages) <= MAX_BATCH


def test_a_coordinator_that_takes_over_leases_lets_only_guarded_calls_begin() -> None:
    # Given a call that runs, and one that waits for Begin, when the coordinator is lost
    bench = Bench()
    bench.start()
    client = bench.client()
    client.submit("plain", resent=True, fresh=False)
    client.submit("guarded", spec=AT_MOST_ONCE, resent=True, fresh=False)
    # When their worker comes with both
    worker = bench.worker(slots=2, coordinator="an earlier one", held=[("plain", 1), ("guarded", 1), ("foreign", 1)])
    # Then only the guarded one is let begin
    assert worker.begun() == ["guarded"]
    # And one that is not known yet is when the worker says that it starts
    worker.say(m.Starting([("foreign", 1)]))
    assert worker.begun() == ["foreign"]


def test_a_call_that_a_worker_brought_may_be_submitted_without_its_function(bench: Bench) -> None:
    first = bench.worker("first", coordinator="an earlier one", held=[("x", 1)])
    bench.client().submit("x", spec=CallSpec("f", code="digest"), resent=True, fresh=False)
    second = bench.worker("second")
    first.say(m.Bye("it ends"))
    assert second.delivered() == ["x"] and second.take(m.Code) == []


def test_a_call_that_a_worker_brought_is_not_taken_with_options_that_were_not_sent(bench: Bench) -> None:
    worker = bench.worker(coordinator="an earlier one", held=[("x", 1)])
    client = bench.client()
    client.say(m.Submit(1, [], [Call("x", 2, b"arguments")], False, True))
    assert [task_id for task_id, _ in client.take(m.Refused)[0].calls] == ["x"]
    worker.say(m.Bye("it ends"))
    assert bench.core.state.body_bytes == 0


# -- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("field", ["not_before", "expires"])
def test_a_call_whose_time_is_no_time_is_refused(bench: Bench, field: str, time: float) -> None:
    client = bench.client()
    client.submit("a", **{field: time})
    [refused] = client.take(m.Refused)
    [(task_id, reason)] = refused.calls
    assert task_id == "a"
    assert "year 9999" in reason
    assert bench.state_of("a") == "unknown"


def test_a_time_that_is_no_number_does_not_hold_up_those_of_others(bench: Bench) -> None:
    client = bench.client()
    client.submit("nan", expires=math.nan)
    client.submit("short", expires=UNIX_S + 1)
    client.submit("later", not_before=UNIX_S + 1)
    bench.wait(1)
    assert client.outcomes() == {"short": "REVOKED"}
    assert bench.worker(slots=9).delivered() == ["later"]


@pytest.mark.parametrize("timeout_s", [math.nan, math.inf, -1.0, 1e300])
def test_a_command_is_answered_whatever_its_timeout(bench: Bench, timeout_s: float) -> None:
    client = bench.client()
    bench.worker()
    client.say(m.Control(1, "ping", {}, [], timeout_s))
    bench.now_s += 3600
    bench.step()
    assert [replies.missing for replies in client.take(m.Replies)] == [["worker"]]


# -- memory --------------------------------------------------------------------------------------------------------


def test_arguments_of_all_sizes_count_and_what_is_over_their_limit_waits() -> None:
    # Given room for less than three calls
    bench = Bench(queued_bytes=250)
    client = bench.client()
    client.submit("a", "b", "c", body=b"x" * 100)
    client.submit("d", body=b"x" * 100)
    # Then the next one waits, and the client is told why
    [pressure] = client.take(m.Pressure)
    assert "250 bytes" in pressure.reason
    assert bench.state_of("d") == "unknown"
    # Until there is room
    worker = bench.worker()
    worker.report(*worker.delivered())
    assert bench.state_of("d") == "open"
    assert client.take(m.Pressure) == [m.Pressure("")]


def test_options_that_nobody_uses_any_more_are_forgotten() -> None:
    # Given a client that went away after it had used more options than a coordinator keeps without use
    bench = Bench()
    gone = bench.client("gone")
    specs = [(number, CallSpec("add", f"queue-{number}")) for number in range(1, SPECS_KEPT + 2)]
    gone.say(m.Submit(1, specs, [Call("left", 1, b"", not_before=UNIX_S + 5)]))
    bench.lose(gone)
    # And one that has used some, and is there; and a worker
    stays = bench.client("stays")
    stays.submit("a", spec=CallSpec("add", "here"))
    worker = bench.worker(queues=["here"])
    worker.report("a")
    # When a while is over
    bench.wait(1)
    # Then the rest is forgotten
    assert set(bench.core.state.lanes.queues) == {"queue-1", "here"}
    assert len(bench.core.state.entries) == len(bench.core.state.entries_by_number) == 2
    # And what is used works on
    stays.submit("b", spec=CallSpec("add", "here"))
    stays.submit("c", spec=CallSpec("add", "queue-2"))
    worker.report("b")
    assert bench.state_of("b") == "SUCCESS"
    assert bench.worker("other", queues=["queue-2"]).delivered() == ["c"]
    bench.wait(5)
    assert bench.worker("third", queues=["queue-1"], slots=9).delivered() == ["left"]


def test_calls_are_refused_while_there_are_too_many_options_in_use_and_taken_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "SPEC_LIMIT", 2)
    monkeypatch.setattr(machine, "SPECS_KEPT", 1)
    bench = Bench()
    gone, client = bench.client("gone"), bench.client()
    gone.submit("a", spec=CallSpec("add", "one"))
    gone.submit("b", spec=CallSpec("add", "two"))
    worker = bench.worker(queues=["one", "two"], slots=2)
    client.submit("c", spec=CallSpec("add", "three"))
    [refused] = client.take(m.Refused)
    assert "different combinations" in refused.calls[0][1]
    worker.report("a", "b")
    bench.lose(gone)
    bench.wait(61)
    client.submit("d", spec=CallSpec("add", "three"))
    assert client.take(m.Refused) == []
    assert bench.state_of("d") == "open"


def test_a_connection_that_says_hello_for_many_sessions_is_that_of_the_last(bench: Bench) -> None:
    stranger = bench.stranger()
    for number in range(5):
        stranger.say(m.ClientHello(VERSIONS, "nonce", "name", f"session-{number}", "tcp://127.0.0.1:1"))
    assert [client.peer for client in bench.core.state.clients.values()] == [None] * 4 + [stranger.peer]


def test_a_client_that_pays_no_heed_to_its_window_loses_its_session() -> None:
    bench = Bench(queue_limit=1, client_window=10)
    client = bench.client()
    for number in range(5):
        client.submit(*(f"{number}-{each}" for each in range(5)))
    assert client.take(m.Reset)
