"""Getting out of a damaged journal what is intact, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actorq.stores.schema import TABLES

FAILURES_AT_ONCE = 1000
"""After so many reads that failed, stretches four times as long are given up: whole parts of a tree may be gone."""
LAST_ROW = 2**48
"""Where the damage hides how many rows there are: more than there ever were."""
AT_ONCE = 1000
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file raises. (Messages of SQLite may have garbage in them.)"""


@dataclass(slots=True)
class Stretch:
    """Rows of a table that cannot be read."""

    table: str
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        return f"{self.table}, rows {self.first} to {self.last} ({self.why})"


@dataclass(slots=True)
class Salvage:
    """What came out of a damaged file."""

    recovered: dict[str, int] = field(default_factory=dict)
    """Rows, by table."""
    unreadable: list[Stretch] = field(default_factory=list)
    """Where rows may be missing."""
    set_aside: int = 0
    """Rows that make no sense: they are in the table of that name."""

    def __str__(self) -> str:
        found = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in self.recovered.items() if count)
        if self.set_aside:
            found += f"; {self.set_aside:,} rows make no sense and are in the table set_aside"
        if not self.unreadable:
            return f"recovered all that there was: {found or 'nothing'}"
        lost = "; ".join(map(str, self.unreadable[:20])) + (" …" if len(self.unreadable) > 20 else "")
        return f"recovered: {found or 'nothing'}. NOT recovered: {lost}"


def salvage(damaged: Path, into: sqlite3.Connection) -> Salvage:
    """Copy all rows that can be read from `damaged` to the new, empty journal."""
    result = Salvage()
    source = sqlite3.connect(damaged, isolation_level=None)
    source.text_factory = _text
    try:
        source.execute("PRAGMA writable_schema = ON")  # Else nothing is read of a file that was cut off.
        for table, columns in TABLES.items():
            _copy(source, into, table, columns, result)
    finally:
        source.close()
    return result


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _copy(
    source: sqlite3.Connection, into: sqlite3.Connection, table: str, columns: tuple[str, ...], result: Salvage
) -> None:
    marks = ", ".join("?" * (len(columns) + 1))
    insert = f"INSERT OR REPLACE INTO {table} (number, {', '.join(columns)}) VALUES ({marks})"
    count = 0
    into.execute("BEGIN IMMEDIATE")
    for row in _rows(source, table, columns, result.unreadable):
        try:
            into.execute(insert, row)
        except sqlite3.IntegrityError as error:
            set_aside(into, table, int(row[0]), row[1:], str(error))
            result.set_aside += 1
            continue
        count += 1
        if count % AT_ONCE == 0:
            into.execute("COMMIT")
            into.execute("BEGIN IMMEDIATE")
    into.execute("COMMIT")
    result.recovered[table] = count


def set_aside(into: sqlite3.Connection, table: str, row: int, columns: Sequence[Any], reason: str) -> None:
    """Keep a row that makes no sense, for people."""
    data = next((each for each in columns if isinstance(each, bytes)), repr(columns))
    into.execute("INSERT INTO set_aside (origin, row, data, reason) VALUES (?, ?, ?, ?)", (table, row, data, reason))


def _rows(
    source: sqlite3.Connection, table: str, columns: tuple[str, ...], unreadable: list[Stretch]
) -> Iterator[tuple[Any, ...]]:
    """Those that can be read. A stretch with one that cannot is halved, again and again."""
    select = (
        f"SELECT number, {', '.join(columns)} FROM {table} NOT INDEXED WHERE number BETWEEN ? AND ? ORDER BY number"
    )
    stretches = [(0, _last_row(source, table))]
    failures = 0
    while stretches:
        first, last = stretches.pop()
        try:
            for row in source.execute(select, (first, last)):
                yield row
                first = max(first, row[0] + 1)
        except DAMAGE as error:
            failures += 1
            if any(sign in str(error) for sign in ("no such table", "no such column", "not a database")):
                _note(unreadable, Stretch(table, first, max([last, *(end for _, end in stretches)]), str(error)))
                return
            if last - first < 4 ** (failures // FAILURES_AT_ONCE):
                _note(unreadable, Stretch(table, first, max(first, last), str(error)))
            else:
                middle = (first + last) // 2
                stretches += [(middle + 1, last), (first, middle)]


def _note(unreadable: list[Stretch], found: Stretch) -> None:
    """Neighbours are named together."""
    before = unreadable[-1] if unreadable else None
    if before is not None and before.table == found.table and before.last == found.first - 1:
        before.last = found.last
    else:
        unreadable.append(found)


def _last_row(source: sqlite3.Connection, table: str) -> int:
    try:
        last = source.execute(f"SELECT max(number) FROM {table}").fetchone()[0]
        return min(last, LAST_ROW) if isinstance(last, int) else 0
    except DAMAGE:
        return LAST_ROW
