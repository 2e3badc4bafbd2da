"""The contract of stores, line by line, for each of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actorq.config import BLOB_BYTES
from actorq.errors import StoreInUse
from actorq.stores.api import (
    Bounds,
    ForgetClients,
    ForgetCodes,
    ForgetDeadLetters,
    ForgetDeclarations,
    ForgetSpecs,
    KeepCalls,
    KeepClient,
    KeepCode,
    KeepDeadLetter,
    KeepDeclarations,
    KeepRevocations,
    KeepSpecs,
    KeepStarts,
    Kept,
    Operation,
    Settle,
    Store,
)
from actorq.stores.memory import MemoryStore, Shelf
from actorq.stores.sqlite import SqliteStore
from actorq.wire.declarations import Declaration
from actorq.wire.records import Blob, CallSpec, Outcome
from tests.unit.stores.support import (
    NOW_S,
    SPEC,
    call,
    ids,
    introduce,
    keep,
    outcome,
    outcomes_of,
    rows_of,
    settle,
    write,
)

DECLARATION = Declaration("exchange", ["logs"], {"type": "topic"}, NOW_S)
FAR_S = 4e9
"""A Unix time that is far away."""

Opener = Callable[..., Store]


class Kit:
    """Opens the same store again and again."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.store = opener()
        introduce(self.store)

    def reopen(self, bounds: Bounds | None = None) -> Kept:
        """Another owner, and what it finds."""
        self.store.close()
        self.store = self._opener(bounds)
        return self.store.load()

    def open_another(self) -> Store:
        return self._opener()

    def write(self, *operations: Operation) -> None:
        write(self.store, *operations)


@pytest.fixture(params=["memory", "sqlite"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """A store that knows one spec and one client."""
    shelf = Shelf()
    openers: dict[str, Opener] = {
        "memory": lambda bounds=None: MemoryStore(shelf, bounds),
        "sqlite": lambda bounds=None: SqliteStore(str(tmp_path / "data"), bounds),
    }
    kit = Kit(openers[request.param])
    yield kit
    kit.store.close()


def test_a_new_store_is_empty(kit: Kit) -> None:
    kept = kit.reopen()
    assert (rows_of(kept), outcomes_of(kept), list(kept.revocations), list(kept.codes)) == ([], [], [], [])


# -- what is kept ------------------------------------------------------------------------------------------------


def test_calls_come_back_as_they_were_submitted_in_the_order_of_acceptance(kit: Kit) -> None:
    first = call(1, b"one")
    first.not_before, first.expires = 5.5, 7.5
    kit.write(KeepCalls([first, call(2)]))
    kit.write(keep(3))
    kept = kit.reopen()
    assert rows_of(kept) == [1, 2, 3]
    found = kept.calls[0]
    assert (found.id, found.body, found.not_before, found.expires) == ("call-1", b"one", 5.5, 7.5)
    assert (found.spec, found.client) == (1, 1)
    assert dict(kept.specs) == {1: SPEC}
    assert list(kept.clients) == [KeepClient(1, "session", "client", "tcp://client:1")]


def test_what_happens_to_a_call_after_it_was_kept_is_not(kit: Kit) -> None:
    leased = call(1)
    leased.attempt, leased.worker = 2, 6
    batch = kit.store.prepare([KeepCalls([leased])])
    leased.attempt, leased.worker, leased.body = 3, 7, b"changed"
    kit.store.commit(batch)
    [found] = kit.reopen().calls
    assert (found.attempt, found.worker, found.body) == (0, 0, b"arguments")


def test_large_bodies_come_back_as_blobs(kit: Kit) -> None:
    body = bytes(BLOB_BYTES)
    kit.write(KeepCalls([call(1, Blob(body))]), Settle([], [outcome(9, Blob(body))], NOW_S))
    kept = kit.reopen()
    [(_, [found])] = kept.outcomes
    for each in (kept.calls[0].body, found.body):
        assert isinstance(each, Blob) and bytes(each.view) == body


def test_a_call_that_settles_is_forgotten_and_its_outcome_kept(kit: Kit) -> None:
    kit.write(keep(1, 2, 3))
    kit.write(settle(2))
    kept = kit.reopen()
    assert rows_of(kept) == [1, 3]
    assert list(kept.outcomes) == [(NOW_S, [outcome(2)])]


def test_a_call_may_settle_without_an_outcome_that_is_kept(kit: Kit) -> None:
    kit.write(keep(1))
    kit.write(Settle([1], [], NOW_S))
    kept = kit.reopen()
    assert rows_of(kept) == [] and outcomes_of(kept) == []


def test_a_call_that_settles_in_the_batch_that_keeps_it_is_not_written(kit: Kit) -> None:
    kit.write(keep(1, 2), settle(1), keep(3), settle(3))
    kept = kit.reopen()
    assert rows_of(kept) == [2]
    assert outcomes_of(kept) == ids([1, 3])


def test_starts_are_kept_until_the_call_settles(kit: Kit) -> None:
    kit.write(keep(1, 2, 3), KeepStarts([(1, 1)]))
    kit.write(KeepStarts([(2, 1), (3, 1)]), KeepStarts([(3, 2)]))
    kit.write(settle(1))
    assert dict(kit.reopen().started) == {2: 1, 3: 2}


def test_the_attempt_0_is_no_start(kit: Kit) -> None:
    kit.write(keep(1), KeepStarts([(1, 0)]))
    assert dict(kit.reopen().started) == {}


def test_the_last_revocation_of_a_call_counts(kit: Kit) -> None:
    kit.write(KeepRevocations(["a", "b"], FAR_S))
    kit.write(KeepRevocations(["a"], FAR_S + 1, terminate=True))
    assert list(kit.reopen().revocations) == [("b", FAR_S, False), ("a", FAR_S + 1, True)]


def test_the_key_of_a_clients_reply_socket_is_kept(kit: Kit) -> None:
    client = KeepClient(2, "another", "client", "tcp://client:2", "k" * 40)
    kit.write(client)
    assert client in kit.reopen().clients


def test_the_last_that_is_known_of_a_client_counts(kit: Kit) -> None:
    kit.write(KeepClient(1, "session", "client", "tcp://elsewhere:2"), KeepClient(2, "other", "", ""))
    kit.write(ForgetClients([2]))
    assert [each.reply_address for each in kit.reopen().clients] == ["tcp://elsewhere:2"]


def test_specs_and_functions_are_kept_until_they_are_forgotten(kit: Kit) -> None:
    kit.write(KeepSpecs([(2, CallSpec("mul")), (3, CallSpec("div"))]), KeepCode("a", b"1"), KeepCode("b", b"2"))
    kit.write(ForgetSpecs([2]), ForgetCodes(["a"]))
    kept = kit.reopen()
    assert dict(kept.specs) == {1: SPEC, 3: CallSpec("div")}
    assert list(kept.codes) == [("b", b"2")]


def test_a_function_that_is_forgotten_and_kept_again_in_one_batch_is_there(kit: Kit) -> None:
    kit.write(KeepCode("a", b"1"))
    kit.write(ForgetCodes(["a"]), KeepCode("a", b"1"))
    assert list(kit.reopen().codes) == [("a", b"1")]


def test_dead_letters_come_back_as_they_were(kit: Kit) -> None:
    letter = {"id": "call-1", "reason": "its worker was lost", "time": NOW_S, "deliveries": 3}
    kit.write(KeepDeadLetter(1, letter))
    assert list(kit.reopen().dead_letters) == [(1, letter, b"")]


def test_the_call_of_a_dead_letter_is_kept_until_the_letter_is_forgotten(kit: Kit) -> None:
    kit.write(KeepDeadLetter(1, {"id": "a"}, b"call a"), KeepDeadLetter(2, {"id": "b"}, b"call b"))
    kit.write(ForgetDeadLetters([1]), KeepDeadLetter(3, {"id": "c"}))
    assert list(kit.reopen().dead_letters) == [(2, {"id": "b"}, b"call b"), (3, {"id": "c"}, b"")]


def test_the_last_declaration_of_a_thing_counts_until_it_is_forgotten(kit: Kit) -> None:
    bound = Declaration("binding", ["logs", "errors", "*.error"], {"headers": {"host": "a", "level": 3}}, NOW_S)
    gone = Declaration("binding", ["logs", "all", "#"], None, NOW_S)
    kit.write(KeepDeclarations([Declaration("pause", ["errors"], {"paused": True}, NOW_S), bound, gone]))
    later = Declaration("pause", ["errors"], {"paused": False}, NOW_S + 1)
    kit.write(KeepDeclarations([later]), ForgetDeclarations([gone.identity]))
    assert sorted(kit.reopen().declarations, key=lambda each: each.kind) == [bound, later]


# -- repeatable, fenced, bounded ---------------------------------------------------------------------------------


def test_a_batch_that_is_committed_again_changes_nothing(kit: Kit) -> None:
    kit.write(keep(1, 2))
    batch = kit.store.prepare(
        [
            keep(3, 4), settle(1), KeepStarts([(3, 1)]), settle(4), KeepRevocations(["a"], FAR_S), KeepCode("a", b"1"),
            ForgetCodes(["b"]), KeepDeadLetter(1, {"id": "x"}), KeepDeclarations([DECLARATION]),
            KeepSpecs([(2, SPEC)]), KeepClient(2, "s", "n", "r"),
        ]
    )  # fmt: skip
    for _ in range(3):
        kit.store.commit(batch)
    kept = kit.reopen()
    assert rows_of(kept) == [2, 3] and dict(kept.started) == {3: 1}
    assert outcomes_of(kept) == ids([1, 4])
    assert [each[0] for each in kept.revocations] == ["a"]
    assert list(kept.declarations) == [DECLARATION]
    assert len(kept.codes) == len(kept.dead_letters) == 1 and len(kept.specs) == len(kept.clients) == 2


def test_only_one_has_it_open(kit: Kit) -> None:
    with pytest.raises(StoreInUse, match="in use"):
        kit.open_another()
    kit.write(keep(1))
    assert rows_of(kit.reopen()) == [1]


def test_of_outcomes_the_newest_are_kept_up_to_a_count(kit: Kit) -> None:
    bounds = Bounds(outcome_count=10)
    kit.reopen(bounds)
    for row in range(1, 51):
        kit.write(settle(row))
    kept = outcomes_of(kit.reopen(bounds))
    assert kept == ids(range(51 - len(kept), 51)) and 9 <= len(kept) <= 11


def test_of_revocations_and_dead_letters_the_newest_are_kept_up_to_a_count(kit: Kit) -> None:
    bounds = Bounds(revocation_count=3, dead_letter_count=2)
    kit.reopen(bounds)
    for number in range(1, 11):
        kit.write(KeepRevocations([f"id-{number}"], FAR_S), KeepDeadLetter(number, {"id": str(number)}))
    kit.store.rest()
    kept = kit.reopen(bounds)
    assert [each[0] for each in kept.revocations] == ["id-8", "id-9", "id-10"]
    assert [number for number, _, _ in kept.dead_letters] == [9, 10]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_kept_and_settled_in_whatever_batches_the_rest_is_there(kit: Kit, seed: int) -> None:
    rng = random.Random(seed)
    alive: set[int] = set()
    settled: list[int] = []
    row = 0
    for _ in range(30):
        operations: list[Operation] = []
        for _ in range(rng.randint(1, 6)):
            if rng.random() < 0.5:
                rows = list(range(row + 1, row + 1 + rng.choice((1, 5, 300))))
                row = rows[-1]
                alive.update(rows)
                operations.append(keep(*rows))
            elif alive:
                ended = rng.sample(sorted(alive), rng.randint(1, len(alive)))
                alive.difference_update(ended)
                settled += ended
                operations.append(settle(*ended))
        kit.write(*operations)
    kept = kit.reopen()
    assert rows_of(kept) == sorted(alive)
    assert outcomes_of(kept) == ids(settled)


def test_outcomes_of_one_batch_are_all_there(kit: Kit) -> None:
    many = [Outcome(f"x-{number}", 1, 0, b"") for number in range(5000)]
    kit.write(Settle([], many[:2000], NOW_S), Settle([], many[2000:], NOW_S))
    assert outcomes_of(kit.reopen()) == [each.id for each in many]
