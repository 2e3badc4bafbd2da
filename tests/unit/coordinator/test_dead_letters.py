"""Poison messages: dead letters are listed, shown, run again and forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.errors import DecodeError
from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.frames import bytes_of
from actorq.wire.payload import encode_failure
from actorq.wire.records import DEAD_LETTER, FAILURE, Blob, CallSpec, Extra, Outcome
from tests.unit.coordinator.support import Bench, ClientParty, WorkerParty

ONCE = CallSpec("add", queue="jobs", max_deliveries=1)


def die_with(bench: Bench, client: ClientParty, *ids: str, **options: Any) -> None:
    """Calls that kill the worker that has begun them."""
    for task_id in ids:
        worker = bench.worker(f"for {task_id}", queues=["jobs"])
        client.submit(task_id, spec=ONCE, **options)
        worker.announce(task_id)
        worker.die()
    client.take(m.Settled)


def reject(worker: WorkerParty, task_id: str, why: str) -> None:
    body = encode_failure(DecodeError(why), "")
    worker.say(m.Finished(1, [Outcome(task_id, worker.attempt(task_id), FAILURE, body, DEAD_LETTER)]))


@pytest.fixture(params=[None, Shelf], ids=["in memory", "with a journal"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(shelf=request.param and request.param())


def test_a_dead_letter_is_run_again_under_a_new_id_and_is_gone_then(bench: Bench) -> None:
    client = bench.client()
    die_with(bench, client, "a", body=b"arguments", extra=Extra(root="root"))
    became = client.order("replay_dead_letters", ids=["a"])
    again = became["a"]
    assert again != "a" and client.order("dead_letters") == []
    worker = bench.worker("second", queues=["jobs"])
    assert worker.delivered() == [again]
    call = worker.calls[again]
    assert (bytes_of(call.body), call.extra, call.lost, call.attempt) == (b"arguments", Extra(root="root"), 0, 1)
    assert bench.state_of("a") == "FAILURE", "what the caller was told stays"
    worker.announce(again)
    worker.report(again)
    assert bench.state_of(again) == "SUCCESS"


def test_a_call_that_dies_again_is_a_dead_letter_again(bench: Bench) -> None:
    client = bench.client()
    die_with(bench, client, "a")
    ids = set()
    for _ in range(3):
        [again] = client.order("replay_dead_letters").values()
        ids.add(again)
        worker = bench.worker(f"for {again}", queues=["jobs"])
        worker.announce(again)
        worker.die()
        assert [letter["id"] for letter in client.order("dead_letters")] == [again]
    assert len(ids) == 3 and max(map(len, ids)) < 20


def test_letters_are_shown_with_their_arguments(bench: Bench) -> None:
    client = bench.client()
    die_with(bench, client, "a", body=b"arguments")
    [letter] = client.order("show_dead_letters", ids=["a"])
    assert (letter["id"], letter["body"], letter["serializer"]) == ("a", b"arguments", "msgpack")
    assert "body" not in client.order("dead_letters")[0]
    assert client.order("show_dead_letters", ids=["b"]) == []


def test_large_arguments_are_run_again_as_they_were(bench: Bench) -> None:
    client, body = bench.client(), bytes(range(256)) * 1000
    die_with(bench, client, "a", body=Blob(body))
    [again] = client.order("replay_dead_letters").values()
    worker = bench.worker("second", queues=["jobs"])
    worker.delivered()
    assert bytes(bytes_of(worker.calls[again].body)) == body


def test_letters_are_chosen_by_id_or_queue_and_forgotten_on_order(bench: Bench) -> None:
    client = bench.client()
    die_with(bench, client, "a", "b", "c")
    assert client.order("purge_dead_letters", queue="other") == 0
    assert client.order("purge_dead_letters", ids=["b"]) == 1
    assert [letter["id"] for letter in client.order("dead_letters", queue="jobs")] == ["a", "c"]
    assert client.order("purge_dead_letters") == 2
    assert client.order("dead_letters") == []


def test_what_a_worker_cannot_take_is_a_dead_letter_with_the_reason(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", body=b"\xc1")
    reject(worker, "a", "the arguments are no msgpack")
    [letter] = client.order("dead_letters")
    assert (letter["id"], letter["worker"]) == ("a", "worker")
    assert letter["reason"] == "DecodeError('the arguments are no msgpack')"
    assert bench.state_of("a") == "FAILURE"


def test_an_expired_call_is_a_dead_letter_only_where_its_queue_says_so(bench: Bench) -> None:
    client = bench.client()
    client.order("declare", items=[["queue", ["kept"], {"dead_letter_expired": True}]])
    for queue in ("kept", "default"):
        client.submit(f"in {queue}", spec=CallSpec("add", queue=queue), expires=bench.wall_s + 1.0)
    bench.worker("wakes it")
    client.submit("waits too", spec=CallSpec("other", queue="kept"), expires=bench.wall_s + 1.0)
    bench.wait(3.0)
    assert [letter["id"] for letter in client.order("dead_letters")] == ["in kept", "waits too"]


def test_letters_outlive_the_coordinator_with_their_calls() -> None:
    bench = Bench(shelf=Shelf())
    die_with(bench, bench.client(), "a", "b", body=b"arguments")
    bench.client().order("purge_dead_letters", ids=["b"])
    bench.start()
    client = bench.client()
    [again] = client.order("replay_dead_letters").values()
    bench.start()
    assert bench.client().order("dead_letters") == []
    assert bench.state_of(again) == "open", "what was run again is kept like any other call"


def test_calls_of_letters_are_bounded_by_bytes_and_the_oldest_letters_go_first() -> None:
    bench = Bench(shelf=Shelf(), dead_letter_bytes=5000)
    client = bench.client()
    die_with(bench, client, "a", "b", "c", "d", "e", body=bytes(1100))
    letters = client.order("dead_letters")
    assert [letter["id"] for letter in letters] == ["b", "c", "d", "e"]
    bench.start()
    assert [letter["id"] for letter in bench.client().order("dead_letters")] == ["b", "c", "d", "e"]


def test_of_a_call_that_is_too_large_only_the_letter_is_kept() -> None:
    bench = Bench(dead_letter_bytes=1000)
    client = bench.client()
    die_with(bench, client, "a", body=bytes(300))
    [letter] = client.order("dead_letters")
    assert letter["replayable"] is False
    assert "were not kept" in client.order("replay_dead_letters")["a"]
    assert len(client.order("dead_letters")) == 1
