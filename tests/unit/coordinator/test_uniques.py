"""Unique calls: while one holds its key, another one with the same key is that one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.payload import encode_failure
from actorq.wire.records import REPLACED, UNTIL_START, VALUE, Call, Extra, Node, Plan, Replacement
from tests.unit.coordinator.support import OWN, SPEC, Bench, ClientParty, CoordinatorParty


def unique(key: str = "key", until_s: float = 0.0, **extra: Any) -> Extra:
    return Extra(unique=key, unique_until_s=until_s, **extra)


def duplicates(client: ClientParty) -> list[tuple[str, str]]:
    """Which calls were not taken, each with the one that holds its key."""
    return [pair for message in client.take(m.Duplicates) for pair in message.calls]


def test_a_second_one_is_not_taken_and_its_client_hears_which_one_is_known(bench: Bench) -> None:
    client, other = bench.client(), bench.client("other")
    client.submit("first", extra=unique())
    other.submit("second", extra=unique())
    client.submit("third", extra=unique("another key"))
    assert duplicates(other) == [("second", "first")] and duplicates(client) == []
    assert bench.worker(slots=9).delivered() == ["first", "third"]


def test_of_one_submission_one_is_taken(bench: Bench) -> None:
    client = bench.client()
    client.submit("first", "second", extra=unique())
    assert duplicates(client) == [("second", "first")]


@pytest.mark.parametrize("end", ["done", "revoked", "expired", "given up"])
def test_a_key_is_free_when_its_call_has_ended_however(bench: Bench, end: str) -> None:
    """Pain 13: locks outside of the queue stay when a call ends in a way that nobody has thought of."""
    client = bench.client()
    client.submit("first", extra=unique(), expires=bench.wall_s + 1 if end == "expired" else 0)
    if end == "revoked":
        client.order("revoke", ids=["first"])
    elif end == "expired":
        bench.wait(1.5)
    else:
        worker = bench.worker()
        for _ in range(3 if end == "given up" else 0):
            worker.delivered()
            bench.wait(3.0)
            worker.announce("first")
            worker.die()
            worker = bench.worker()
        if end == "done":
            worker.report("first")
    client.submit("second", extra=unique())
    assert duplicates(client) == []
    assert bench.state_of("second") == "open"


def test_until_the_start_is_until_a_worker_has_it(bench: Bench) -> None:
    client = bench.client()
    client.submit("first", extra=unique(until_s=UNTIL_START))
    client.submit("second", extra=unique(until_s=UNTIL_START))
    bench.worker(slots=1)
    client.submit("third", extra=unique(until_s=UNTIL_START))
    client.submit("fourth", extra=unique(until_s=UNTIL_START))
    assert duplicates(client) == [("second", "first"), ("fourth", "third")]


def test_nobody_waits_longer_for_a_key_than_its_call_says(bench: Bench) -> None:
    client = bench.client()
    client.submit("first", extra=unique(until_s=bench.wall_s + 5))
    bench.wait(4.5)
    client.submit("second", extra=unique())
    bench.wait(1.0)
    client.submit("third", extra=unique())
    assert duplicates(client) == [("second", "first")]
    assert bench.state_of("third") == "open"


def test_a_key_is_held_again_after_a_restart() -> None:
    bench = Bench(shelf=Shelf())
    bench.client().submit("first", extra=unique())
    bench.start()
    client = bench.client()
    client.submit("second", extra=unique())
    assert duplicates(client) == [("second", "first")]
    worker = bench.worker()
    bench.wait(3.0)
    worker.report("first")
    client.submit("third", extra=unique())
    assert bench.state_of("third") == "open"


def test_the_key_of_a_call_of_a_workflow_that_is_retried_is_free_after_its_end_also_after_a_restart() -> None:
    bench = Bench(shelf=Shelf())
    bench.client().submit_plan(
        "plan", Node(Call("first", 1, b"", extra=unique()), then=[(1, 0)]), Node(Call("next", 1, b""), VALUE, 1)
    )
    again = Replacement([SPEC], Plan("again", [Node(Call("first", 1, b"", extra=unique()))]))
    bench.worker().report("first", state=REPLACED, body=msgspec.msgpack.encode(again))
    bench.start()
    worker = bench.worker("another")
    bench.wait(3.0)
    worker.report("first")
    client = bench.client()
    client.submit("second", extra=unique())
    assert duplicates(client) == [] and bench.state_of("second") == "open"


def test_a_call_that_may_be_running_is_taken_although_another_one_holds_its_key(bench: Bench) -> None:
    client = bench.client()
    client.submit("first", extra=unique())
    client.submit("second", extra=unique(), fresh=False, resent=True)
    assert duplicates(client) == []
    assert bench.state_of("second") == "open"


def test_the_other_coordinators_are_asked_who_holds_the_key(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    client.submit("second", extra=unique(), fresh=False)
    (query,) = other.link.take(m.Query)
    (pseudo,) = [each for each in query.ids if each != "second"]
    other.link.say(m.Report(query.token, [("second", ""), (pseudo, "first")]))
    assert duplicates(client) == [("second", "first")]
    assert bench.state_of("second") == "unknown"


def test_a_call_that_may_be_running_is_taken_although_one_elsewhere_holds_its_key(
    bench: Bench, other: CoordinatorParty
) -> None:
    client = bench.client()
    client.submit("second", extra=unique(), fresh=False, resent=True)
    (query,) = other.link.take(m.Query)
    assert query.ids == ["second"]
    other.link.say(m.Report(query.token, [("second", "")]))
    assert duplicates(client) == [] and bench.state_of("second") != "unknown"


def test_others_are_asked_again_where_there_was_no_room_when_they_had_answered() -> None:
    bench = Bench(queue_limit=1)
    bench.core.mesh.listens_at(OWN)
    other, client, worker = bench.coordinator("zoe"), bench.client(), bench.worker(slots=0)
    client.submit("call", extra=unique(), fresh=False)
    (query,) = other.link.take(m.Query)
    bench.client("another").submit("before")
    other.link.say(m.Report(query.token, [(task_id, "") for task_id in query.ids]))
    assert bench.state_of("call") == "unknown" and not other.link.take(m.Query)
    worker.say(m.Capacity(1, 1))
    worker.report("before")
    (query,) = other.link.take(m.Query)
    other.link.say(m.Report(query.token, [("call", ""), (query.ids[-1], "meanwhile")]))
    assert duplicates(client) == [("call", "meanwhile")]


def test_other_coordinators_hear_who_holds_a_key(bench: Bench, other: CoordinatorParty) -> None:
    bench.client().submit("first", extra=unique())
    other.say(m.Query(7, ["second", "\x1funique key", "\x1funique free"]))
    (report,) = other.take(m.Report)
    assert dict(report.states) == {"second": "", "\x1funique key": "first", "\x1funique free": ""}


def test_a_key_is_free_when_all_that_hold_it_have_ended(bench: Bench) -> None:
    client = bench.client()
    client.submit("first", extra=unique())
    client.submit("running", extra=unique(), fresh=False, resent=True)
    bench.wait(3.0)
    worker = bench.worker(slots=2)
    worker.report("first")
    client.submit("third", extra=unique())
    worker.report("running")
    client.submit("fourth", extra=unique())
    assert duplicates(client) == [("third", "running")]


def test_a_retry_that_is_handed_over_takes_its_key_along_and_leaves_nothing_behind(bench: Bench) -> None:
    client, heir = bench.client(), bench.coordinator("heir")
    client.submit("call", extra=unique())
    worker = bench.worker()
    retry = Node(Call("call", 1, b"", bench.wall_s + 60, extra=unique()))
    replacement = Replacement([SPEC], Plan("retry", [retry]), encode_failure(ValueError("no"), ""))
    worker.report("call", state=REPLACED, body=msgspec.msgpack.encode(replacement))
    assert len(bench.core.state.uniques) == len(bench.core.state.notes) == 1
    bench.drain()
    (message,) = heir.link.take(m.HandOver)
    heir.link.say(m.Accepted(message.seq))
    state = bench.core.state
    assert len(state.uniques) == 0 and not state.calls and not state.notes


def test_a_call_that_is_here_is_not_told_of_another_one_elsewhere(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    client.submit("call", extra=unique())
    client.submit("call", extra=unique(), fresh=False)
    for query in other.link.take(m.Query):
        other.link.say(m.Report(query.token, [("\x1funique key", "elsewhere")]))
    assert duplicates(client) == [] and client.accepted() == 2


def test_who_asks_for_a_key_is_told_who_holds_it_however_many_ask_the_other_coordinator_without_a_pause() -> None:
    # Given two coordinators, of which the first is asked for one key again and again
    first, second = Bench(), Bench()
    for bench in (first, second):
        bench.core.mesh.listens_at(OWN)
    seconds, firsts = first.coordinator("zoe"), second.coordinator("aaa")

    def pass_on() -> None:
        """All that the two have said to each other arrives a millisecond later."""
        said = [
            (hears, message)
            for one, another in ((seconds.link, firsts), (firsts.link, seconds))
            for says, hears in ((one, another), (another, one))
            for kind in (m.Query, m.Report, m.Settled)
            for message in says.take(kind)
        ]
        for bench in (first, second):
            bench.wait(0.001)
        for party, message in said:
            party.say(message)

    first.client("holder").submit("holder", extra=unique())
    busy = {name: first.client(name) for name in ("one", "two")}
    late = second.client("late")
    for name, client in busy.items():
        client.submit(name, extra=unique(), fresh=False)
        pass_on()
    # When the second is asked for it once
    late.submit("late", extra=unique(), fresh=False)
    told: list[tuple[str, str]] = []
    for number in range(100):
        pass_on()
        for name, client in busy.items():
            if duplicates(client):
                client.submit(f"{name} {number}", extra=unique(), fresh=False)
        told += duplicates(late)
    # Then it hears soon who holds the key, and no questions pile up
    assert told == [("late", "holder")]
    assert len(first.core._searches._parked) <= 1
