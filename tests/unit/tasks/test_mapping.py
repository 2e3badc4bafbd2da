"""The progress bar of a map, without a mesh."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from actorq.native import NativeBell
from actorq.tasks.mapping import Map
from actorq.tasks.progress import Progress
from actorq.wire.payload import encode_failure


class Done:
    """A chunk that has run."""

    id = "chunk"

    def __init__(self, chunk: list[Any]) -> None:
        self.chunk = chunk

    def is_settled(self) -> bool:
        return True

    def get(self) -> tuple[float, list[tuple[bool, Any]]]:
        results = [
            (True, item) if item is not None else (False, encode_failure(ValueError("none"), "")) for item in self.chunk
        ]
        return 0.01, results


def start_map(items: Any) -> tuple[Map[Any], Progress]:
    progress = Progress("test")
    return Map(Done, items, lambda: 0, 1, True, progress, NativeBell()), progress  # type: ignore[arg-type]


def is_shown(progress: Progress) -> bool:
    return progress._bar is not None and bool(progress._bar.live.is_started)


def broken_input() -> Iterator[int]:
    yield from range(20)
    raise OSError("the input is broken")


def test_the_bar_is_shown_while_results_come_and_not_after_the_last() -> None:
    results, progress = start_map(range(3))
    next(results)
    assert is_shown(progress)
    assert list(results) == [1, 2]
    assert not is_shown(progress)


def test_the_bar_is_taken_away_when_iteration_fails() -> None:
    results, progress = start_map(broken_input())
    with pytest.raises(OSError, match="broken"):
        list(results)
    assert progress._bar is not None and not is_shown(progress)


def test_the_bar_is_taken_away_when_an_item_fails_and_comes_back_when_iteration_goes_on() -> None:
    results, progress = start_map([1, None, 2, 3])
    assert next(results) == 1
    with pytest.raises(ValueError, match="none"):
        next(results)
    assert not is_shown(progress)
    assert next(results) == 2
    assert is_shown(progress)
    results.close()
    assert not is_shown(progress)


def test_the_bar_is_taken_away_with_a_map_that_nobody_iterates_any_more() -> None:
    results, progress = start_map(range(100))
    next(results)
    assert is_shown(progress)
    del results
    gc.collect()
    assert not is_shown(progress)
