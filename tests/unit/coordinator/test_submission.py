"""What becomes of calls that clients submit: taken, known already, refused, or told to wait."""

from __future__ import annotations

from actorq.wire import messages as m
from actorq.wire.records import CallSpec
from tests.unit.coordinator.support import SPEC, Bench, reason_of


def test_a_submission_is_acknowledged_and_its_calls_go_to_a_worker(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("a", "b")
    assert worker.delivered() == ["a", "b"]
    assert client.accepted() == 1


def test_an_acknowledgement_stands_for_all_submissions_before_it(bench: Bench) -> None:
    client = bench.client()
    client.say(client.submission("a"), client.submission("b"))
    assert client.accepted() == 2


def test_a_call_whose_id_is_known_is_the_same_call(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("a", fresh=False)
    client.submit("a", fresh=False)
    assert worker.delivered() == ["a"]
    assert client.accepted() == 2


def test_who_submits_a_call_again_after_its_end_gets_the_outcome(bench: Bench) -> None:
    client, other, worker = bench.client("first"), bench.client("second"), bench.worker()
    client.submit("a")
    worker.report("a")
    # When another session submits the same id
    other.submit("a", fresh=False)
    assert other.outcomes() == {"a": "SUCCESS"}
    assert worker.delivered() == []


def test_who_submits_a_call_that_is_under_way_hears_of_its_end_too(bench: Bench) -> None:
    client, other, worker = bench.client("first"), bench.client("second"), bench.worker()
    client.submit("a")
    other.submit("a", fresh=False)
    assert other.outcomes() == {}
    worker.report("a")
    assert other.outcomes() == {"a": "SUCCESS"}


def test_a_call_with_options_that_were_not_sent_is_refused_and_the_others_are_taken(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    submission = client.submission("a", "b")
    submission.calls[0].spec = 99
    client.say(submission)
    [refused] = client.take(m.Refused)
    assert [task_id for task_id, _ in refused.calls] == ["a"]
    assert "options" in refused.calls[0][1]
    assert worker.delivered() == ["b"]


def test_a_call_by_value_is_refused_until_its_function_has_come(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    by_value = CallSpec("f", code="digest")
    client.submit("a", spec=by_value)
    [refused] = client.take(m.Refused)
    assert "sent again" in refused.calls[0][1]
    # When the function comes, and the call again
    client.say(m.Code("digest", b"the function"))
    client.submit("a", spec=by_value)
    # Then the worker gets the function before what it needs it for
    kinds = [type(message) for message in worker.inbox if isinstance(message, (m.Code, m.Define, m.Deliver))]
    assert kinds == [m.Code, m.Define, m.Deliver]


def test_a_function_is_sent_to_a_worker_once(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.say(m.Code("digest", b"the function"))
    client.submit("a", spec=CallSpec("f", code="digest"))
    client.submit("b", spec=CallSpec("f", code="digest", priority=9))
    assert worker.delivered() == ["a", "b"]
    assert len(worker.take(m.Code)) == 1


def test_functions_that_nobody_uses_make_room_for_new_ones() -> None:
    bench = Bench(code_bytes=20)
    client = bench.client()
    for number in range(10):
        client.say(m.Code(f"digest-{number}", b"0123456789"))
    assert bench.core.state.code_bytes <= 20


def test_functions_of_calls_that_wait_are_kept() -> None:
    bench = Bench(code_bytes=20)
    client = bench.client()
    client.say(m.Code("used", b"0123456789"))
    client.submit("a", spec=CallSpec("f", code="used"))
    for number in range(10):
        client.say(m.Code(f"digest-{number}", b"0123456789"))
    worker = bench.worker()
    assert worker.delivered() == ["a"]
    assert [code.digest for code in worker.take(m.Code)] == ["used"]


def test_submissions_to_a_full_queue_wait_until_there_is_room() -> None:
    bench = Bench(queue_limit=2)
    client = bench.client()
    client.submit("a", "b")
    assert client.accepted() == 1
    # Given a full queue, when more is submitted, then the client hears why it is not acknowledged
    client.submit("c")
    [pressure] = client.take(m.Pressure)
    assert "'default'" in pressure.reason and "limit of 2" in pressure.reason
    assert client.accepted() == 0
    # And when a worker takes calls from the queue, it is
    worker = bench.worker(slots=2)
    assert worker.delivered() == ["a", "b"]
    worker.report("a", "b")
    assert client.accepted() == 2
    assert client.take(m.Pressure)[-1].reason == ""
    assert worker.delivered() == ["c"]


def test_who_waits_for_room_in_one_queue_waits_with_all_that_follows() -> None:
    bench = Bench(queue_limit=1)
    client = bench.client()
    client.submit("a")
    client.submit("b")
    client.submit("c", spec=CallSpec("add", queue="other"))
    assert client.accepted() == 1, "an acknowledgement stands for all before it, so there is an order to keep"


def test_what_a_client_had_deferred_is_forgotten_with_its_connection() -> None:
    bench = Bench(queue_limit=1)
    client = bench.client()
    client.submit("a")
    client.submit("b")
    bench.lose(client)
    bench.worker(slots=5)
    assert bench.state_of("b") == "unknown", "the client sends again what was not acknowledged"


def test_a_call_that_has_expired_on_its_way_is_revoked(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", expires=bench.wall_s - 1)
    assert client.outcomes() == {"a": "REVOKED"}
    assert worker.delivered() == []


def test_whoever_does_not_want_the_outcome_does_not_get_it(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=CallSpec("add", ignore_result=True))
    assert worker.delivered() == ["a"]
    assert worker.calls["a"].client == 0
    worker.report("a", relay=True)
    assert client.outcomes() == {}
    assert bench.state_of("a") == "SUCCESS"


def test_a_worker_hears_the_meaning_of_numbers_before_it_gets_calls_that_use_them(bench: Bench) -> None:
    client, worker = bench.client("me"), bench.worker(slots=2)
    client.submit("a")
    [define] = worker.take(m.Define)
    worker.delivered()
    call = worker.calls["a"]
    assert define.specs == [(call.spec, SPEC)]
    assert define.clients == [(call.client, "me", "tcp://me:1")]
    # And only once
    client.submit("b")
    assert worker.take(m.Define) == []


def test_a_client_that_nobody_has_seen_for_long_is_forgotten_also_by_workers() -> None:
    bench = Bench(client_age_s=10.0)
    client, worker = bench.client("me"), bench.worker()
    client.submit("a")
    [define] = worker.take(m.Define)
    [(number, _, _)] = define.clients
    worker.report("a")
    bench.lose(client)
    for _ in range(11):
        bench.wait(1.0)
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
    assert [forget.clients for forget in worker.take(m.Define)] == [[(number, "", "")]]
    assert "me" not in bench.core.state.clients


def test_the_reason_for_a_revocation_is_told(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", expires=bench.wall_s - 1)
    [outcome] = client.take(m.Settled)[0].outcomes
    assert "expired" in reason_of(outcome)
