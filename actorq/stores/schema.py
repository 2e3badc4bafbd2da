"""The tables of a journal, and how older files become newer ones."""

from __future__ import annotations

import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE specs (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "CREATE TABLE clients (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        # `started` is the attempt that has started, of calls that may not start again.
        "CREATE TABLE calls (number INTEGER PRIMARY KEY, data BLOB NOT NULL, started INTEGER NOT NULL DEFAULT 0)",
        # One row for all that settled in one commit: they only go by age, and all at once.
        """CREATE TABLE outcomes (number INTEGER PRIMARY KEY, settled_s REAL NOT NULL, count INTEGER NOT NULL,
           data BLOB NOT NULL)""",
        """CREATE TABLE revocations (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, until_s REAL NOT NULL,
           terminate INTEGER NOT NULL)""",
        "CREATE TABLE codes (number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, data BLOB NOT NULL)",
        "CREATE TABLE dead_letters (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        # Rows that could not be decoded: nothing reads them but people.
        """CREATE TABLE set_aside (number INTEGER PRIMARY KEY, origin TEXT NOT NULL, row INTEGER NOT NULL,
           data BLOB, reason TEXT NOT NULL)""",
    ),
    (
        # Numbered as calls are: a plan by the first of its calls, a step by the call that it is about.
        "CREATE TABLE plans (number INTEGER PRIMARY KEY, client INTEGER NOT NULL, data BLOB NOT NULL)",
        "CREATE TABLE steps (number INTEGER PRIMARY KEY, state INTEGER NOT NULL, data BLOB NOT NULL)",
    ),
    (
        # What a dead letter needs to be run again.
        "ALTER TABLE dead_letters ADD COLUMN call BLOB NOT NULL DEFAULT x''",
        # Exchanges, bindings and what is said of queues. `identity` says what a row is about.
        "CREATE TABLE declarations (number INTEGER PRIMARY KEY, identity BLOB NOT NULL UNIQUE, data BLOB NOT NULL)",
    ),
)
"""What to do to a file of version 0, 1, …: statements, run in one transaction. Only ever appended to."""

VERSION = len(MIGRATIONS)

TABLES = {
    "specs": ("data",),
    "clients": ("data",),
    "calls": ("data", "started"),
    "outcomes": ("settled_s", "count", "data"),
    "revocations": ("id", "until_s", "terminate"),
    "codes": ("digest", "data"),
    "dead_letters": ("data", "call"),
    "declarations": ("identity", "data"),
    "plans": ("client", "data"),
    "steps": ("state", "data"),
    "set_aside": ("origin", "row", "data", "reason"),
}
"""The columns beside the number, of the newest version."""


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the file; 0 if it is new."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest version, a step at a time."""
    for version in range(version_of(connection), VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        except BaseException:
            if connection.in_transaction:  # SQLite may have done so itself, as where the disk is full.
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
