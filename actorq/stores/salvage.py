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
class Salvage:
    """What came out of a damaged file."""

    recovered: dict[str, int] = field(default_factory=dict)
    """Rows, by table."""
    unreadable: list[str] = field(default_factory=list)
    """Where rows may be missing, for people."""

    def __str__(self) -> str:
        found = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in self.recovered.items() if count)
        if not self.unreadable:
            return f"recovered all that there was: {found or 'nothing'}"
        lost = "; ".join(self.unreadable[:20]) + (" …" if len(self.unreadable) > 20 else "")
        return f"recovered: {found or 'nothing'}. NOT recovered: {lost}"


def salvage(damaged: Path, into: sqlite3.Connection) -> Salvage:
    """Copy all rows that can be read from `damaged` to the new, empty journal."""
    result = Salvage()
    source = sqlite3.connect(damaged, isolation_level=None)
    try:
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
                result.unreadable.append(f"{table} from row {first:,} on ({error})")
                return
            if first >= last:
                _note(result, f"{table} row", first)
            else:
                middle = (first + last) // 2
                stretches += [(middle + 1, last), (first, middle)]


def _note(result: Salvage, what: str, row: int) -> None:
    """Neighbours are named together."""
    if result.unreadable:
        prefix, _, end = result.unreadable[-1].rpartition(" to ")
        begin = prefix or result.unreadable[-1]
        if begin.startswith(what + " ") and (end or begin.rpartition(" ")[2]) == str(row - 1):
            result.unreadable[-1] = f"{begin} to {row}"
            return
    result.unreadable.append(f"{what} {row}")


def _last_row(source: sqlite3.Connection, table: str) -> int:
    try:
        return int(source.execute(f"SELECT max(number) FROM {table}").fetchone()[0] or 0)
    except sqlite3.DatabaseError:
        return LAST_ROW
