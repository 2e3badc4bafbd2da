"""The thread that writes: what it confirms and when, what it makes of one write, and of a store that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from actorq.errors import StoreFailed
from actorq.stores import journal as journal_module
from actorq.stores.api import KeepRevocations, KeepStarts, Operation
from actorq.stores.groups import GROUP_ROWS, Groups
from actorq.stores.journal import Journal
from actorq.stores.memory import MemoryStore, Prepared
from tests.support import eventually
from tests.unit.stores.support import keep, rows_of, settle


class Recorder(MemoryStore):
    """Notes what is committed; waits, and fails, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Prepared] = []
        self.errors: list[Exception] = []
        """What the next commits raise."""
        self.lies = False
        """Whether a commit that raises has been done all the same."""
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.rests = 0
        self.is_closed = False

    def commit(self, batch: Prepared) -> None:
        assert self.may_go_on.wait(20)
        if not self.errors or self.lies:
            super().commit(batch)
        self.commits.append(batch)
        if self.errors:
            raise self.errors.pop(0)

    def rest(self) -> bool:
        self.rests += 1
        return False

    def close(self) -> None:
        self.is_closed = True
        super().close()


@pytest.fixture
def store() -> Recorder:
    return Recorder()


@pytest.fixture
def start(store: Recorder) -> Iterator[Callable[..., Journal]]:
    """Starts journals on the store."""
    started: list[Journal] = []

    def start(wake: Callable[[], None] = lambda: None, **options: Any) -> Journal:
        started.append(Journal(store, wake, **options))
        return started[-1]

    yield start
    store.may_go_on.set()
    store.errors.clear()
    for journal in started:
        journal.close()


def confirmed(journal: Journal, token: int) -> None:
    eventually(lambda: journal.confirmed == token, what=f"token {token}")


def test_a_batch_is_confirmed_when_it_is_written_and_not_before(store: Recorder, start: Callable[..., Journal]) -> None:
    woken = threading.Event()
    journal = start(woken.set)
    store.may_go_on.clear()
    journal.write(1, [keep(1)])
    assert not woken.wait(0.05) and journal.confirmed == 0
    store.may_go_on.set()
    assert woken.wait(10)
    assert journal.confirmed == 1
    assert rows_of(store.load()) == [1]


def test_what_comes_while_it_writes_is_written_at_once_afterwards(
    store: Recorder, start: Callable[..., Journal]
) -> None:
    journal = start()
    store.may_go_on.clear()
    journal.write(1, [keep(1)])
    eventually(lambda: not journal._groups._waiting, what="the first write")
    for token in range(2, 100):
        journal.write(token, [keep(token)])
    store.may_go_on.set()
    confirmed(journal, 99)
    assert len(store.commits) == 2
    assert rows_of(store.load()) == list(range(1, 100))


def test_a_short_call_is_written_once_as_its_outcome(store: Recorder, start: Callable[..., Journal]) -> None:
    # Given a journal that waits a moment before it writes, when a call is kept and settles within that moment
    journal = start(patience_s=0.5)
    eventually(lambda: journal._is_asleep, what="a thread that waits")
    journal.write(1, [keep(1)])
    eventually(lambda: not journal._is_asleep, what="a thread that has something to write")
    assert store.commits == []
    journal.write(2, [settle(1)])
    confirmed(journal, 2)
    # Then its row was never written
    [(calls, rows, _)] = store.commits
    assert (calls, rows) == ([], [])


@pytest.mark.parametrize("operation", [KeepStarts([(1, 1)]), KeepRevocations(["x"], 2e9)], ids=["start", "revocation"])
def test_what_somebody_waits_for_is_written_at_once(
    store: Recorder, start: Callable[..., Journal], operation: Operation
) -> None:
    journal = start(patience_s=3600.0)
    eventually(lambda: journal._is_asleep, what="a thread that waits")
    journal.write(1, [keep(1)])
    eventually(lambda: not journal._is_asleep, what="a thread that has something to write")
    assert store.commits == []
    journal.write(2, [operation])
    confirmed(journal, 2)


def test_what_failed_is_written_again_the_same_until_it_is_there(
    store: Recorder, start: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_MIN_S", 0.01)
    woken: list[str] = []
    store.errors = [StoreFailed("the disk is full"), StoreFailed("the disk is full"), OSError("something else")]
    store.lies = True
    journals: list[Journal] = []
    journal = start(lambda: woken.append(journals[0].trouble))
    journals.append(journal)
    journal.write(1, [keep(1)])
    eventually(lambda: journal.trouble, what="trouble")
    journal.write(2, [keep(2)])
    confirmed(journal, 2)
    # Then it was the same batch each time, without what came meanwhile
    first, second, third, fourth, fifth = store.commits
    assert first is second is third is fourth is not fifth
    # And each trouble was told once, and its end
    eventually(lambda: woken[:3] == ["the disk is full", "something else", ""], what="what was told")
    assert rows_of(store.load()) == [1, 2]


def test_what_could_not_be_prepared_is_prepared_again(
    store: Recorder, start: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_MIN_S", 0.01)
    prepare, errors = store.prepare, [MemoryError("no room"), MemoryError("no room")]

    def fail_first(operations: Sequence[Operation]) -> Prepared:
        if errors:
            raise errors.pop()
        return prepare(operations)

    monkeypatch.setattr(store, "prepare", fail_first)
    journal = start()
    journal.write(1, [keep(1)])
    journal.write(2, [keep(2)])
    confirmed(journal, 2)
    assert rows_of(store.load()) == [1, 2]


def test_at_the_end_what_waits_is_written_and_the_store_let_go(store: Recorder, start: Callable[..., Journal]) -> None:
    journal = start()
    for token in range(1, 50):
        journal.write(token, [keep(token)])
    assert journal.close()
    assert journal.confirmed == 49 and store.is_closed


def test_a_store_that_fails_for_good_does_not_keep_it_from_ending(
    store: Recorder, start: Callable[..., Journal]
) -> None:
    store.errors = [StoreFailed("the disk is full")] * 1000
    journal = start()
    journal.write(1, [keep(1)])
    assert not journal.close(timeout_s=0.3)
    assert store.is_closed and journal.confirmed == 0


def test_the_store_may_rest_when_there_is_nothing_to_write(
    store: Recorder, start: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "REST_AFTER_S", 0.01)
    journal = start()
    journal.write(1, [keep(1)])
    confirmed(journal, 1)
    eventually(lambda: store.rests > 0, what="a rest")


def test_housekeeping_that_fails_stops_nothing(
    store: Recorder, start: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "REST_AFTER_S", 0.01)
    tried: list[bool] = []

    def fail() -> bool:
        tried.append(True)
        raise MemoryError("no room")

    monkeypatch.setattr(store, "rest", fail)
    journal = start()
    eventually(lambda: tried, what="housekeeping")
    journal.write(1, [keep(1)])
    confirmed(journal, 1)
    assert not journal.trouble


def test_what_is_written_at_once_is_bounded(store: Recorder) -> None:
    groups = Groups(store)
    size = GROUP_ROWS // 4
    for token in range(1, 13):
        groups.add(token, [keep(*range(token * size, (token + 1) * size))])
    while groups:
        assert groups.write() == ""
    assert [len(calls) for calls, _, _ in store.commits] == [GROUP_ROWS] * 3
    assert groups.confirmed == 12
