"""Getting out of a damaged journal what is intact, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from actorq.stores.schema import TABLES

MOST_FAILURES = 100_000
"""Reads that may fail in one table before what is left of it is given up."""
LAST_ROW = 2**48
"""Where the damage hides how many rows there are: more than there ever were."""
AT_ONCE = 1000


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

    def __str__(self) -> str:
        found = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in self.recovered.items() if count)
        if not self.unreadable:
            return f"recovered all that there was: {found or 'nothing'}"
        lost = "; ".join(map(str, self.unreadable[:20])) + (" …" if len(self.unreadable) > 20 else "")
        return f"recovered: {found or 'nothing'}. NOT recovered: {lost}"


def salvage(damaged: Path, into: sqlite3.Connection) -> Salvage:
    """Copy all rows that can be read from `damaged` to the new, empty journal."""
    result = Salvage()
    source = sqlite3.connect(damaged, isolation_level=None)
    try:
        source.execute("PRAGMA writable_schema = ON")  # Else nothing is read of a file that was cut off.
        for table, columns in TABLES.items():
            _copy(source, into, table, columns, result)
    finally:
        source.close()
    return result


def _copy(
    source: sqlite3.Connection, into: sqlite3.Connection, table: str, columns: tuple[str, ...], result: Salvage
) -> None:
    marks = ", ".join("?" * (len(columns) + 1))
    insert = f"INSERT OR REPLACE INTO {table} (number, {', '.join(columns)}) VALUES ({marks})"
    count = 0
    into.execute("BEGIN IMMEDIATE")
    for row in _rows(source, table, columns, result):
        into.execute(insert, row)
        count += 1
        if count % AT_ONCE == 0:
            into.execute("COMMIT")
            into.execute("BEGIN IMMEDIATE")
    into.execute("COMMIT")
    result.recovered[table] = count


def _rows(
    source: sqlite3.Connection, table: str, columns: tuple[str, ...], result: Salvage
) -> Iterator[tuple[object, ...]]:
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
                first = row[0] + 1
                yield row
        except sqlite3.DatabaseError as error:
            failures += 1
            if "no such table" in str(error) or "not a database" in str(error) or failures >= MOST_FAILURES:
                result.unreadable.append(Stretch(table, first, max([last, *(end for _, end in stretches)]), str(error)))
                return
            if first >= last:
                _note(result.unreadable, Stretch(table, first, first, str(error)))
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
        return int(source.execute(f"SELECT max(number) FROM {table}").fetchone()[0] or 0)
    except sqlite3.DatabaseError:
        return LAST_ROW
