"""The store in a file: its directory, its versions, its room, and what it makes of damage."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actorq.errors import StoreFailed, StoreInUse, StoreTooNew
from actorq.stores import salvage as salvage_module
from actorq.stores import schema
from actorq.stores.api import Bounds, KeepCode, KeepDeadLetter, KeepRevocations, KeepStarts, Kept, Settle
from actorq.stores.schema import VERSION
from actorq.stores.sqlite import SqliteStore
from tests.support import REPOSITORY, eventually
from tests.unit.stores.support import NOW_S, ids, introduce, keep, outcome, outcomes_of, rows_of, settle, write

PAGE = 4096


def fill(directory: Path, rows: int, settled: int = 0) -> None:
    """A journal with so many calls, the first of them settled; closed."""
    store = SqliteStore(str(directory))
    introduce(store)
    for first in range(1, rows + 1, 500):
        write(store, keep(*range(first, min(first + 500, rows + 1))))
    if settled:
        write(store, settle(*range(1, settled + 1)))
    store.close()


def reopen(directory: Path) -> Kept:
    store = SqliteStore(str(directory))
    try:
        return store.load()
    finally:
        store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_its_files_are_for_this_user_only(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    store = SqliteStore(str(directory))
    introduce(store)
    assert mode(directory) == 0o700
    assert {mode(file) for file in directory.iterdir()} == {0o600}
    assert {file.name for file in directory.iterdir()} >= {"journal.db", "journal.lock"}
    store.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match=f"{tmp_path}/file/data cannot be used as data directory"):
        SqliteStore(str(tmp_path / "file" / "data"))


def test_who_else_has_it_open_is_named(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    with pytest.raises(StoreInUse, match=f"in use by process {os.getpid()}"):
        SqliteStore(str(tmp_path))
    store.close()


def test_a_file_of_a_later_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(StoreTooNew, match="written by a later release"):
        SqliteStore(str(tmp_path))
    assert not list(tmp_path.glob("*damaged*"))
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (3,)
    connection.close()


def test_a_step_to_a_newer_version_that_fails_says_why_although_it_was_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (("ROLLBACK", "SELECT * FROM nothing"),))
    with pytest.raises(sqlite3.OperationalError, match="nothing"):
        schema.migrate(sqlite3.connect(tmp_path / "journal.db", isolation_level=None))


def test_a_queue_that_is_empty_again_takes_no_room(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    introduce(store)
    for first in range(1, 100_001, 5000):
        write(store, keep(*range(first, first + 5000)))
    while store.rest():
        pass
    full_bytes = (tmp_path / "journal.db").stat().st_size
    for first in range(1, 100_001, 5000):
        write(store, Settle(range(first, first + 5000), [], NOW_S))
    while store.rest():
        pass
    assert (tmp_path / "journal.db-wal").stat().st_size == 0
    empty_bytes = (tmp_path / "journal.db").stat().st_size
    store.close()
    assert full_bytes > 2_500_000
    assert empty_bytes < full_bytes / 2


def test_the_write_ahead_log_does_not_grow_without_bound(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    introduce(store)
    for row in range(1, 200_001, 4000):
        write(store, keep(*range(row, row + 4000)))
        write(store, settle(*range(row, row + 4000)))
    assert (tmp_path / "journal.db-wal").stat().st_size < 3 * 4096 * PAGE
    store.close()


def test_whoever_reads_the_file_holds_nothing_up(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    introduce(store)
    reader = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM calls").fetchall()
    write(store, keep(1))
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    store.rest()
    # Then the log is not cut while somebody reads it, and nobody has waited for that
    checkpoint = next(place for place, sql in enumerate(said) if "wal_checkpoint" in sql)
    assert "busy_timeout = 0" in said[checkpoint - 1] and "busy_timeout" in said[checkpoint + 1]
    assert (tmp_path / "journal.db-wal").stat().st_size > 0
    reader.close()
    store.rest()
    assert (tmp_path / "journal.db-wal").stat().st_size == 0
    store.close()


def test_revocations_that_are_over_are_dropped(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    write(store, KeepRevocations(["old"], 1.0), KeepRevocations(["new"], 4e9))
    store.rest()
    assert [each[0] for each in store.load().revocations] == ["new"]
    store.close()


def test_large_outcomes_of_one_batch_are_in_several_rows(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    introduce(store)
    body = bytes(9 * 1024**2)
    write(store, Settle([], [outcome(row, body) for row in range(1, 6)], NOW_S))
    store.close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        [(longest_bytes,)] = connection.execute("SELECT max(length(data)) FROM outcomes")
    connection.close()
    assert longest_bytes < 2 * len(body), "SQLite takes no row of a gigabyte, and a batch may have more"
    assert outcomes_of(reopen(tmp_path)) == ids(range(1, 6))


def test_outcomes_that_are_read_twice_are_counted_once(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    for row in range(1, 7):
        write(store, settle(row))
    store.close()
    store = SqliteStore(str(tmp_path), Bounds(outcome_count=10))
    store.load()
    store.load()  # As after damage that was found behind them.
    write(store, settle(7))
    store.close()
    assert len(outcomes_of(reopen(tmp_path))) == 7


# -- damage ------------------------------------------------------------------------------------------------------


def corrupt(path: Path, offset: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * length)


def damaged(directory: Path) -> list[Path]:
    return list(directory.glob("journal.db.damaged-*"))


def test_what_is_intact_in_a_damaged_file_is_recovered_and_the_log_says_how_much(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a file with a page of garbage in the middle
    fill(tmp_path, 20_000, settled=10)
    pages = (tmp_path / "journal.db").stat().st_size // PAGE
    corrupt(tmp_path / "journal.db", (pages // 2) * PAGE, PAGE)
    # When it is opened
    kept = reopen(tmp_path)
    # Then all but the calls of that page are there, and the outcomes
    rows = rows_of(kept)
    assert 19_800 < len(rows) < 19_990
    assert rows == sorted(set(rows)) and set(rows) <= set(range(11, 20_001))
    assert len(outcomes_of(kept)) == 10
    # And the damaged file is kept, and the log says what was lost
    [aside] = damaged(tmp_path)
    assert aside.stat().st_size >= pages * PAGE
    assert f"recovered: 1 specs, 1 clients, {len(rows):,} calls" in caplog.text
    lost = sorted(set(range(11, 20_001)) - set(rows))
    assert f"NOT recovered: calls, rows {lost[0]} to {lost[-1]} (" in caplog.text
    # And the new one is sound
    assert rows_of(reopen(tmp_path)) == rows
    assert len(damaged(tmp_path)) == 1


def damage_an_index(directory: Path) -> None:
    """Damage that loading does not find: it does not look into the index of revocations."""
    store = SqliteStore(str(directory))
    write(store, KeepRevocations([f"id-{number:05}" for number in range(20_000)], 4e9))
    store.close()
    connection = sqlite3.connect(directory / "journal.db")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_revoc%'").fetchone()
    connection.close()
    corrupt(directory / "journal.db", (page - 1) * PAGE, PAGE)


def test_after_a_death_the_file_is_checked_before_it_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage_an_index(tmp_path)
    assert len(reopen(tmp_path).revocations) == 20_000 and not damaged(tmp_path)
    # When its last owner has died, which leaves its id in the lock
    (tmp_path / "journal.lock").write_text("12345\n")
    kept = reopen(tmp_path)
    # Then the damage is found, and all rows are saved
    assert "the journal is damaged" in caplog.text
    assert len(kept.revocations) == 20_000 and len(damaged(tmp_path)) == 1


def test_damage_that_is_found_when_it_is_written_is_repaired_by_the_next_start(tmp_path: Path) -> None:
    damage_an_index(tmp_path)
    store = SqliteStore(str(tmp_path))
    with pytest.raises(StoreFailed, match="malformed; start the coordinator again, which saves what is intact"):
        write(store, KeepRevocations(["another"], 4e9))
    store.close()
    assert len(reopen(tmp_path).revocations) == 20_000
    assert len(damaged(tmp_path)) == 1


def test_a_start_that_finds_no_room_for_what_is_intact_leaves_all_of_it_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 20_000)
    corrupt(tmp_path / "journal.db", 20 * PAGE, PAGE)
    # Given starts that end in the middle of their copies
    copy: Callable[..., None] = salvage_module._copy

    def fail_at_the_calls(source: Any, into: Any, table: str, *arguments: Any) -> None:
        if table == "calls":
            raise sqlite3.OperationalError("database or disk is full")
        copy(source, into, table, *arguments)

    monkeypatch.setattr(salvage_module, "_copy", fail_at_the_calls)
    for _ in range(2):
        with pytest.raises(StoreFailed, match="cannot be made anew: database or disk is full; free some space"):
            reopen(tmp_path)
    monkeypatch.undo()
    # Then the next one copies what is intact, and nobody is left with less
    assert 19_800 < len(rows_of(reopen(tmp_path))) < 20_000
    assert len(damaged(tmp_path)) == 1


@pytest.mark.parametrize("place", range(3))
def test_a_start_that_dies_while_it_puts_the_damaged_file_aside_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    fill(tmp_path, 20_000)
    corrupt(tmp_path / "journal.db", 20 * PAGE, PAGE)
    # Given one that ends before it gives a file its new name: the first, the second, or the third
    rename = Path.replace
    renamed: list[Path] = []

    def die(file: Path, name: Path) -> Path:
        if len(renamed) == place:
            raise OSError(errno.EIO, "Input/output error")
        renamed.append(name)
        return rename(file, name)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(StoreFailed, match="cannot be made anew"):
        reopen(tmp_path)
    monkeypatch.undo()
    # Then the next one has what is intact, and the damaged file is kept
    assert 19_800 < len(rows_of(reopen(tmp_path))) < 20_000
    assert len(damaged(tmp_path)) == 1
    assert not list(tmp_path.glob("*rebuil*"))


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, 100)
    corrupt(tmp_path / "journal.db", 0, 4 * PAGE)
    assert rows_of(reopen(tmp_path)) == []
    assert len(damaged(tmp_path)) == 1
    assert "NOT recovered" in caplog.text


def test_a_file_that_is_cut_off_gives_what_is_left_of_it(tmp_path: Path) -> None:
    fill(tmp_path, 20_000)
    size = (tmp_path / "journal.db").stat().st_size
    with (tmp_path / "journal.db").open("r+b") as file:
        file.truncate(size * 3 // 4 // PAGE * PAGE)
    rows = rows_of(reopen(tmp_path))
    assert len(rows) > 5000
    assert len(damaged(tmp_path)) == 1


def test_rows_that_cannot_be_decoded_are_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, 10)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("UPDATE calls SET data = ? WHERE number = 4", (b"\xc1garbage",))
    connection.close()
    kept = reopen(tmp_path)
    assert rows_of(kept) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert "1 rows of calls" in caplog.text
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert connection.execute("SELECT origin, row, data FROM set_aside").fetchall() == [
            ("calls", 4, b"\xc1garbage")
        ]
    connection.close()


def test_calls_whose_spec_is_lost_are_set_aside(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("DELETE FROM specs")
    connection.close()
    assert rows_of(reopen(tmp_path)) == []
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert connection.execute("SELECT count(*) FROM set_aside").fetchone() == (3,)
    connection.close()


def test_a_torn_end_of_the_write_ahead_log_is_as_if_it_was_never_written(tmp_path: Path) -> None:
    # Given a process that died with what it wrote in the log, of which the end did not get to the disk
    store = SqliteStore(str(tmp_path))
    introduce(store)
    write(store, keep(1))
    sound_bytes = (tmp_path / "journal.db-wal").stat().st_size
    write(store, keep(2, 3))
    image = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    store.close()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in image.items():
        (copy / name).write_bytes(content)
    end_bytes = (copy / "journal.db-wal").stat().st_size
    corrupt(copy / "journal.db-wal", end_bytes - 100, 100)
    assert sound_bytes < end_bytes
    # Then the last batch is not there, not even in part, and what was before is
    assert rows_of(reopen(copy)) == [1]
    assert not damaged(copy)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with something in each of its tables."""
    directory = tmp_path_factory.mktemp("sound")
    store = SqliteStore(str(directory))
    introduce(store)
    for row in range(1, 2001, 100):
        write(
            store, keep(*range(row, row + 100)), settle(row), KeepStarts([(row + 1, 1)]), KeepCode(f"é{row}", bytes(500)),
            KeepRevocations([f"id-{row}"], 4e9), KeepDeadLetter(row, {"id": "x"}),
        )  # fmt: skip
    store.close()
    return directory


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_damaged_it_opens_and_goes_on(tmp_path: Path, sound: Path, seed: int) -> None:
    rng = random.Random(seed)
    data = tmp_path / "data"
    shutil.copytree(sound, data)
    size = (data / "journal.db").stat().st_size
    for _ in range(rng.choice((1, 5, 30))):
        with (data / "journal.db").open("r+b") as file:
            file.seek(rng.randrange(size))
            file.write(rng.randbytes(rng.choice((1, 4, 100, PAGE))))
    if rng.random() < 0.5:
        (data / "journal.lock").write_text("12345\n")  # As its last owner leaves it when it dies.
    # When it is opened, and used
    store = SqliteStore(str(data))
    found = store.load()
    assert rows_of(found) == sorted(set(rows_of(found)))
    introduce(store)
    write(store, keep(10_000), settle(*rows_of(found)[:10]))
    store.rest()
    store.close()
    # Then the next one finds the same, and what has come since
    assert rows_of(reopen(data)) == [*rows_of(found)[10:], 10_000]


# -- death -------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from actorq.stores.sqlite import SqliteStore
from tests.unit.stores.support import NOW_S, introduce, keep, rows_of, settle, write
store = SqliteStore(sys.argv[1])
kept = store.load()
introduce(store)
row = max([0, *rows_of(kept)])
while True:
    rows = range(row + 1, row + 301)
    write(store, keep(*rows), settle(rows[0]))
    row = rows[-1]
    write(store, settle(rows[1], rows[7]))
    print(row, flush=True)
"""


@pytest.mark.parametrize("pause_s", [0.0, 0.005, 0.013, 0.03, 0.05])
def test_whatever_was_confirmed_is_there_after_kill_9_and_batches_are_whole(tmp_path: Path, pause_s: float) -> None:
    for number in range(3):
        data, output = tmp_path / f"data-{number}", tmp_path / f"output-{number}"
        with output.open("wb") as file:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(data)], cwd=REPOSITORY, stdout=file)
        try:
            eventually(partial(_has_lines, output, 3), 30, "three confirmed batches")
            with suppress(subprocess.TimeoutExpired):
                writer.wait(pause_s)
        finally:
            writer.kill()
            writer.wait(10)
        confirmed = int(output.read_text().rpartition("\n")[0].rpartition("\n")[2])
        rows = rows_of(reopen(data))
        # Then all that was confirmed is there
        settled = {first + offset for first in range(1, confirmed + 1, 300) for offset in (0, 1, 7)}
        assert {row for row in rows if row <= confirmed} == set(range(1, confirmed + 1)) - settled
        # And what was not is there wholly or not at all: a batch that keeps calls, and the one that settles two of them
        assert sum(row > confirmed for row in rows) in (0, 299, 297)
        assert not damaged(data)


def _has_lines(path: Path, count: int) -> bool:
    return path.read_text().count("\n") >= count
