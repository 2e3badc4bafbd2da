"""What is long is cut into messages, by count and by bytes, and nothing is lost or changes its place."""

from __future__ import annotations

from actorq.config import MAX_BATCH
from actorq.wire.batches import batches, chunks, revocations
from actorq.wire.records import SUCCESS, Blob, Outcome


def outcomes_of(*sizes: int) -> list[Outcome]:
    return [Outcome(str(number), 1, SUCCESS, bytes(size)) for number, size in enumerate(sizes)]


def ids(cut: list[list[Outcome]]) -> list[list[str]]:
    return [[outcome.id for outcome in batch] for batch in cut]


def test_outcomes_are_cut_by_count() -> None:
    assert ids(list(batches(outcomes_of(1, 1, 1, 1, 1), count=2))) == [["0", "1"], ["2", "3"], ["4"]]


def test_outcomes_are_cut_by_bytes() -> None:
    assert ids(list(batches(outcomes_of(40, 60, 1, 99, 10), size_bytes=100))) == [["0", "1"], ["2", "3"], ["4"]]


def test_a_body_over_the_size_makes_a_batch_of_its_own() -> None:
    assert ids(list(batches(outcomes_of(1, 500, 1), size_bytes=100))) == [["0"], ["1"], ["2"]]


def test_blobs_are_counted_as_well() -> None:
    outcomes = [Outcome(str(number), 1, SUCCESS, Blob(bytes(60))) for number in range(2)]
    assert ids(list(batches(outcomes, size_bytes=100))) == [["0"], ["1"]]


def test_of_nothing_there_are_no_batches() -> None:
    assert list(batches([])) == []
    assert list(chunks([])) == []


def test_ids_are_cut_by_count() -> None:
    assert list(chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]


def test_revocations_of_many_take_several_commands_that_name_each_once() -> None:
    ids = [str(number) for number in range(MAX_BATCH + 2)]
    first, second = revocations(ids, ["root"], terminate=True)
    assert first == {"ids": ids[:MAX_BATCH], "roots": ["root"], "terminate": True}
    assert second == {"ids": ids[MAX_BATCH:], "roots": [], "terminate": True}
