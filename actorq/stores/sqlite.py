"""A store in one SQLite file: the journal of a coordinator with a data directory.

Written ahead (WAL) and synced at each commit. A commit is few statements, each for many rows: between two of them the
writing thread has to get the interpreter back, which takes milliseconds beside a busy one.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from actorq.errors import StoreFailed, StoreTooNew
from actorq.stores import schema
from actorq.stores.api import (
    Bounds,
    ForgetClients,
    ForgetCodes,
    ForgetDeadLetters,
    ForgetDeclarations,
    ForgetPlans,
    ForgetSpecs,
    KeepClient,
    KeepCode,
    KeepDeadLetter,
    KeepDeclarations,
    KeepPlan,
    KeepRevocations,
    KeepSpecs,
    KeepStarts,
    KeepSteps,
    Kept,
    Operation,
    Progress,
    Settle,
    Step,
    settled_before,
    unsettled,
)
from actorq.stores.directory import DataDirectory
from actorq.stores.salvage import DAMAGE, salvage, set_aside
from actorq.wire.batches import batches
from actorq.wire.declarations import Declaration
from actorq.wire.frames import body_of
from actorq.wire.records import Blob, Call, CallSpec, Outcome, Plan

logger = logging.getLogger("actorq.stores")

Statement = tuple[str, Sequence[Any]]
T = TypeVar("T")

ROWS = (1024, 128, 16, 1) if sqlite3.sqlite_version_info >= (3, 32) else (128, 16, 1)
"""So many rows in one statement: as many as fit. Each number is one statement for SQLite to remember. (Before 3.32 a
statement takes 999 values.)"""
CHECKPOINT_PAGES = 4096
"""Pages (of 4 KiB) in the write-ahead log after which they go to the file itself."""
LOG_BYTES = 64 * 1024**2
"""What the write-ahead log has beyond that is cut off."""
BUSY_MS = 5000
"""So long a commit waits for others who write to the file, which nobody should."""
VACUUM_PAGES = 2000
"""Given back to the file system in one step."""
FREE_PAGES = 256
"""Free pages that the file may keep, beside as many as are in use."""
READ_ROWS = 10_000
"""Between two reports of progress."""

_IN = "IN (SELECT value FROM json_each(?))"
_PRAGMAS = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # Before there is a table.
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {LOG_BYTES}",
    "PRAGMA cache_size = -8000",
    f"PRAGMA busy_timeout = {BUSY_MS}",
)


class SqliteStore:
    """Keeps a journal in a directory, which is made if it is not there.

    What is damaged is set aside, and what is intact in it taken over; the log says how much. Raises StoreInUse,
    StoreTooNew, and StoreFailed if the directory cannot be used.
    """

    def __init__(self, directory: str, bounds: Bounds | None = None) -> None:
        self._directory = DataDirectory(directory)
        self._bounds = bounds or Bounds()
        self._encode = msgspec.msgpack.Encoder(enc_hook=_blob_bytes).encode
        self._outcomes: deque[tuple[int, float, int, int]] = deque()
        """Rows that hold outcomes, oldest first: number, Unix time, how many, bytes."""
        self._outcome_row = self._outcome_count = self._outcome_bytes = 0
        self._is_trimmed = self._is_damaged = False
        try:
            self._directory.go_on_rebuilding()
            self._connection = self._open()
        except BaseException:
            self._directory.close(is_clean=False)
            raise

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        try:
            connection = self._connect(self._directory.journal)
        except DAMAGE as error:
            if not _is_damage(error):
                raise self._failed("opened", error) from error
            return self._salvaged(str(error))
        if self._directory.was_left_open:
            trouble = _quick_check(connection)
            if trouble:
                connection.close()
                return self._salvaged(trouble)
        return connection

    def _connect(self, file: Path) -> sqlite3.Connection:
        self._directory.make_file(file)
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma).fetchall()
            version = schema.version_of(connection)
            if version > schema.VERSION:
                raise StoreTooNew(
                    f"{file} was written by a later release of actorq (its version is {version}, "
                    f"this release knows up to {schema.VERSION}): start that release, or choose another directory"
                )
            schema.migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _salvaged(self, trouble: str) -> sqlite3.Connection:
        """A new journal, with what is intact in the one that is there; that stays where it is until all is copied."""
        logger.error("the journal is damaged (%s): what is intact is copied to a new one", trouble)
        try:
            rebuilding = self._directory.begin_rebuilding()
            with closing(self._connect(rebuilding)) as connection:
                result = salvage(self._directory.journal, connection)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # So that it is in one file, or fails.
            aside = self._directory.end_rebuilding()
            connection = self._connect(self._directory.journal)
        except (sqlite3.Error, OSError) as error:
            raise self._failed("made anew", error) from error
        logger.error("the damaged journal is kept as %s. Of it is %s", aside, result)
        return connection

    # -- reading -------------------------------------------------------------------------------------------------

    def call_count(self) -> int:
        """How many calls there are to load; 0 if that cannot be read."""
        try:
            return int(self._connection.execute("SELECT count(*) FROM calls").fetchone()[0])
        except DAMAGE:
            return 0

    def load(self, progress: Progress | None = None) -> Kept:
        """As in Store. Rows that cannot be decoded are set aside, in a table of the file."""
        try:
            return self._load(progress)
        except DAMAGE as error:
            if not _is_damage(error):
                raise self._failed("read", error) from error
            self._connection.close()
            self._connection = self._salvaged(str(error))
            return self._load(progress)

    def _load(self, progress: Progress | None) -> Kept:
        calls = self._read("calls", _call_reader(), progress)
        for number, (call, _) in calls:
            call.row = number  # What it is deleted by, whatever its own data says.
        kept = Kept(
            specs=self._read("specs", _reader(CallSpec)),
            clients=[KeepClient(number, *each) for number, each in self._read("clients", _client_reader())],
            calls=[call for _, (call, _) in calls],
            started={row: attempt for row, (_, attempt) in calls if attempt},
            outcomes=self._read_outcomes(),
            revocations=[each for _, each in self._read("revocations", _read_revocation)],
            codes=[each for _, each in self._read("codes", _read_code)],
            dead_letters=[(number, *each) for number, each in self._read("dead_letters", _letter_reader())],
            declarations=[each for _, each in self._read("declarations", _declaration_reader())],
            plans=[KeepPlan(row, client, plan) for row, (client, plan) in self._read("plans", _plan_reader())],
            steps={row: Step(row, *step) for row, step in self._read("steps", _step_reader())},
        )
        known = {number for number, _ in kept.specs}
        self._set_unknown_plans_aside(kept, known)
        lost = [call for call in kept.calls if call.spec not in known]
        if lost:
            kept.calls = [call for call in kept.calls if call.spec in known]
            self._set_aside("calls", [(each.row, (self._encode(each),), "its spec is lost") for each in lost])
        return kept

    def _set_unknown_plans_aside(self, kept: Kept, known: set[int]) -> None:
        """Plans with a spec that was lost: nobody can tell what they are."""
        lost = [each for each in kept.plans if any(node.call.spec not in known for node in each.plan.nodes)]
        if lost:
            kept.plans = [each for each in kept.plans if each not in lost]
            why = "a spec of it is lost"
            self._set_aside("plans", [(each.row, (each.client, self._encode(each.plan)), why) for each in lost])

    def _read(self, table: str, read: Callable[..., T], progress: Progress | None = None) -> list[tuple[int, T]]:
        """All rows of a table, by number. `read` makes something of the other columns, or raises ValueError."""
        found: list[tuple[int, T]] = []
        broken: list[tuple[int, Sequence[Any], str]] = []
        last = -1
        columns = ", ".join(schema.TABLES[table])
        cursor = self._connection.execute(f"SELECT number, {columns} FROM {table} ORDER BY number")
        while rows := cursor.fetchmany(READ_ROWS):
            for number, *values in rows:
                if number <= last:
                    raise sqlite3.DatabaseError(f"{table} is malformed: row {number} comes after row {last}")
                last = number
                try:
                    found.append((number, read(*values)))
                except (ValueError, TypeError, RecursionError) as error:  # msgspec's own are ValueErrors.
                    broken.append((number, values, str(error)))
            if progress is not None:
                progress(len(found))
        if broken:
            self._set_aside(table, broken)
        return found

    def _set_aside(self, table: str, broken: list[tuple[int, Sequence[Any], str]]) -> None:
        """Rows that nobody understands: they must not stand in the way, and must not be gone."""
        numbers = [number for number, _, _ in broken]
        logger.error(
            "%d rows of %s in %s cannot be understood; they are in its table set_aside now: %s",
            len(broken), table, self._directory.journal, ", ".join(map(str, numbers[:20])),
        )  # fmt: skip
        self._connection.execute("BEGIN IMMEDIATE")
        for number, values, reason in broken:
            set_aside(self._connection, table, number, values, reason)
        self._connection.execute(f"DELETE FROM {table} WHERE number {_IN}", (json.dumps(numbers),))
        self._connection.execute("COMMIT")

    def _read_outcomes(self) -> list[tuple[float, Sequence[Outcome]]]:
        found: list[tuple[float, Sequence[Outcome]]] = []
        self._outcomes.clear()  # Damage may be found after them: then all is read once more.
        self._outcome_row = self._outcome_count = self._outcome_bytes = 0
        for number, (settled_s, outcomes) in self._read("outcomes", _outcome_reader()):
            self._count_outcomes(number, settled_s, len(outcomes), sum([len(each.body) for each in outcomes]))
            found.append((settled_s, outcomes))
        return found

    # -- writing -------------------------------------------------------------------------------------------------

    def prepare(self, operations: Sequence[Operation]) -> list[Statement]:
        """As in Store: the statements."""
        encode = self._encode
        statements: list[Statement] = []
        calls = unsettled(operations)
        if calls:
            rows: list[Any] = []
            for call in calls:
                rows += (call.row, encode(call))
            statements += _inserts("INSERT OR REPLACE INTO calls (number, data) VALUES ", rows)
        outcomes: list[Outcome] = []
        starts: dict[int, int] = {}
        settled_s = 0.0
        for operation in operations:
            if isinstance(operation, Settle):
                outcomes += operation.outcomes
                settled_s = operation.settled_s
            elif isinstance(operation, KeepStarts):
                starts.update(operation.starts)
            else:
                statements += self._others(operation)
        for attempt in sorted(set(starts.values())):
            rows = [row for row, each in starts.items() if each == attempt]
            statements.append((f"UPDATE calls SET started = ? WHERE number {_IN}", (attempt, json.dumps(rows))))
        statements += _delete("calls", settled_before(operations))
        if outcomes:
            statements += self._keep_outcomes(outcomes, settled_s)
        return statements

    def _others(self, operation: Operation) -> list[Statement]:
        encode = self._encode
        if isinstance(operation, KeepSpecs):
            insert = "INSERT OR REPLACE INTO specs (number, data) VALUES (?, ?)"
            return [(insert, (number, encode(spec))) for number, spec in operation.specs]
        if isinstance(operation, ForgetSpecs):
            return _delete("specs", sorted(operation.numbers))
        if isinstance(operation, KeepClient):
            data = encode((operation.session, operation.name, operation.reply_address, operation.reply_key))
            return [("INSERT OR REPLACE INTO clients (number, data) VALUES (?, ?)", (operation.number, data))]
        if isinstance(operation, ForgetClients):
            return _delete("clients", sorted(operation.numbers))
        if isinstance(operation, KeepRevocations):
            self._is_trimmed = False
            insert = "INSERT OR REPLACE INTO revocations (id, until_s, terminate) VALUES (?, ?, ?)"
            return [(insert, (each, operation.until_s, operation.terminate)) for each in operation.ids]
        if isinstance(operation, KeepCode):
            return [("INSERT OR REPLACE INTO codes (digest, data) VALUES (?, ?)", (operation.digest, operation.blob))]
        if isinstance(operation, ForgetCodes):
            return [(f"DELETE FROM codes WHERE digest {_IN}", (json.dumps(list(operation.digests)),))]
        if isinstance(operation, KeepDeadLetter):
            self._is_trimmed = False
            insert = "INSERT OR REPLACE INTO dead_letters (number, data, call) VALUES (?, ?, ?)"
            return [(insert, (operation.number, encode(operation.letter), operation.call))]
        if isinstance(operation, ForgetDeadLetters):
            return _delete("dead_letters", sorted(operation.numbers))
        if isinstance(operation, KeepDeclarations):
            insert = "INSERT OR REPLACE INTO declarations (identity, data) VALUES (?, ?)"
            return [(insert, (encode(each.identity), encode(each))) for each in operation.declarations]
        if isinstance(operation, ForgetDeclarations):
            delete = "DELETE FROM declarations WHERE identity = ?"
            return [(delete, (encode(each),)) for each in operation.identities]
        if isinstance(operation, KeepPlan):
            insert = "INSERT OR REPLACE INTO plans (number, client, data) VALUES (?, ?, ?)"
            return [(insert, (operation.row, operation.client, encode(operation.plan)))]
        if isinstance(operation, KeepSteps):
            insert = "INSERT OR REPLACE INTO steps (number, state, data) VALUES (?, ?, ?)"
            return [(insert, (each.row, each.state, encode(each.outcome))) for each in operation.steps]
        if isinstance(operation, ForgetPlans):
            return [statement for row, count in operation.plans for statement in _forget_plan(row, count)]
        return []

    def _keep_outcomes(self, outcomes: list[Outcome], settled_s: float) -> list[Statement]:
        """Write these, and forget the oldest if they are too many, too large or too old.

        In one row, or in several if they are large: SQLite takes no row of a gigabyte.
        """
        insert = "INSERT OR REPLACE INTO outcomes (number, settled_s, count, data) VALUES (?, ?, ?, ?)"
        statements: list[Statement] = []
        for batch in batches(outcomes, len(outcomes)):
            number = self._outcome_row + 1
            self._count_outcomes(number, settled_s, len(batch), sum([len(each.body) for each in batch]))
            statements.append((insert, (number, settled_s, len(batch), self._encode(batch))))
        forgotten = self._forget_outcomes(settled_s - self._bounds.outcome_age_s)
        if forgotten:
            statements.append(("DELETE FROM outcomes WHERE number <= ?", (forgotten,)))
        return statements

    def _count_outcomes(self, number: int, settled_s: float, count: int, size_bytes: int) -> None:
        self._outcomes.append((number, settled_s, count, size_bytes))
        self._outcome_row = number
        self._outcome_count += count
        self._outcome_bytes += size_bytes

    def _forget_outcomes(self, since_s: float) -> int:
        """The last row to forget; 0: none. The newest stays."""
        bounds, rows, last = self._bounds, self._outcomes, 0
        while len(rows) > 1:
            number, settled_s, count, size_bytes = rows[0]
            is_over = self._outcome_count > bounds.outcome_count or self._outcome_bytes > bounds.outcome_bytes
            if not is_over and settled_s >= since_s:
                break
            rows.popleft()
            self._outcome_count -= count
            self._outcome_bytes -= size_bytes
            last = number
        return last

    def commit(self, batch: Sequence[Statement]) -> None:
        """As in Store. A batch of one statement needs no transaction around it."""
        if not batch:
            return
        execute = self._connection.execute
        try:
            if len(batch) != 1:
                execute("BEGIN IMMEDIATE")
            for sql, values in batch:
                execute(sql, values)
            if len(batch) != 1:
                execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._is_damaged |= _is_damage(error)
            raise self._failed("written", error) from error

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            logger.debug("the journal has rolled back by itself: %s", error)

    # -- housekeeping --------------------------------------------------------------------------------------------

    def rest(self) -> bool:
        """As in Store: forget what is too old, give free pages back to the file system, cut the log."""
        try:
            if not self._is_trimmed:
                self._is_trimmed = True
                self._trim()
            return self._vacuum()
        except sqlite3.Error as error:
            logger.warning("housekeeping in %s failed, and is tried again later: %s", self._directory.journal, error)
            return False

    def _trim(self) -> None:
        execute, bounds = self._connection.execute, self._bounds
        execute("DELETE FROM revocations WHERE until_s < ?", (time.time(),))
        for table, count in (("revocations", bounds.revocation_count), ("dead_letters", bounds.dead_letter_count)):
            oldest = f"(SELECT number FROM {table} ORDER BY number DESC LIMIT 1 OFFSET ?)"
            execute(f"DELETE FROM {table} WHERE number <= {oldest}", (count,))

    def _vacuum(self) -> bool:
        execute = self._connection.execute
        (free,), (pages,) = execute("PRAGMA freelist_count").fetchone(), execute("PRAGMA page_count").fetchone()
        if free > FREE_PAGES + (pages - free):
            execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
            return True
        execute("PRAGMA busy_timeout = 0").fetchall()  # Who reads the file, as to copy it, is not waited for.
        try:
            execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            execute(f"PRAGMA busy_timeout = {BUSY_MS}").fetchall()
        return False

    def close(self) -> None:
        """As in Store."""
        is_clean = not self._is_damaged
        try:
            self._connection.close()
        except sqlite3.Error as error:
            is_clean = False
            logger.error("the journal in %s was not closed: %s", self._directory.path, error)
        self._directory.close(is_clean)

    def _failed(self, what: str, error: Exception) -> StoreFailed:
        reason, path = str(error), self._directory.path
        if "full" in reason:
            advice = "free some space on its disk"
        elif _is_damage(error):
            advice = "start the coordinator again, which saves what is intact"
        else:
            advice = "look at its disk and its permissions"
        return StoreFailed(f"the journal in {path} cannot be {what}: {reason}; {advice}")


def _is_damage(error: Exception) -> bool:
    signs = ("malformed", "not a database", "no such table", "no such column", "Could not decode")
    return isinstance(error, UnicodeDecodeError) or any(sign in str(error) for sign in signs)


def _quick_check(connection: sqlite3.Connection) -> str:
    """What is wrong with the file; empty if nothing is."""
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except DAMAGE as error:
        return str(error)
    return "" if found == "ok" else str(found)


def _inserts(head: str, values: list[Any]) -> list[Statement]:
    """Statements for rows of a number and some data, as few as there can be."""
    statements: list[Statement] = []
    start, left = 0, len(values) // 2
    for size in ROWS:
        while left >= size:
            statements.append((head + ",".join(["(?,?)"] * size), values[start : start + 2 * size]))
            start += 2 * size
            left -= size
    return statements


def _forget_plan(row: int, count: int) -> list[Statement]:
    return [
        ("DELETE FROM plans WHERE number = ?", (row,)),
        ("DELETE FROM steps WHERE number BETWEEN ? AND ?", (row, row + count - 1)),
    ]


def _delete(table: str, numbers: Sequence[int]) -> list[Statement]:
    """Statements that delete these rows, which are in order."""
    if not numbers:
        return []
    first, last = numbers[0], numbers[-1]
    if last - first + 1 == len(numbers):
        return [(f"DELETE FROM {table} WHERE number BETWEEN ? AND ?", (first, last))]
    return [(f"DELETE FROM {table} WHERE number {_IN}", (json.dumps(numbers),))]


def _blob_bytes(value: Any) -> bytes:
    if type(value) is not Blob:
        raise TypeError(f"{type(value).__name__} is not kept in a journal")
    return bytes(value.view)


def _reader(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(kind).decode


def _client_reader() -> Callable[[bytes], list[str]]:
    return _reader(Annotated[list[str], msgspec.Meta(min_length=3, max_length=4)])  # At first there was no key.


def _call_reader() -> Callable[[bytes, int], tuple[Call, int]]:
    decode = msgspec.msgpack.Decoder(Call).decode

    def read(data: bytes, started: int) -> tuple[Call, int]:
        call = decode(data)
        call.body = body_of(_checked(call.body, bytes))
        call.attempt = call.worker = 0  # It was written while it went on.
        return call, _checked(started, int)

    return read


def _outcome_reader() -> Callable[[float, int, bytes], tuple[float, list[Outcome]]]:
    decode = msgspec.msgpack.Decoder(list[Outcome]).decode

    def read(settled_s: float, count: int, data: bytes) -> tuple[float, list[Outcome]]:
        outcomes = decode(data)
        for outcome in outcomes:
            outcome.body = body_of(_checked(outcome.body, bytes))
        return _checked(settled_s, float), outcomes

    return read


def _letter_reader() -> Callable[[bytes, bytes], tuple[dict[str, Any], bytes]]:
    decode = _reader(dict[str, Any])
    return lambda data, call: (decode(data), _checked(call, bytes))


def _declaration_reader() -> Callable[[bytes, bytes], Declaration]:
    decode: Callable[[bytes], Declaration] = _reader(Declaration)
    return lambda identity, data: decode(data)


def _plan_reader() -> Callable[[int, bytes], tuple[int, Plan]]:
    decode = msgspec.msgpack.Decoder(Plan).decode

    def read(client: int, data: bytes) -> tuple[int, Plan]:
        plan = decode(data)
        for node in plan.nodes:
            node.call.body = body_of(_checked(node.call.body, bytes))
        return _checked(client, int), plan

    return read


def _step_reader() -> Callable[[int, bytes], tuple[int, Outcome | None]]:
    decode = msgspec.msgpack.Decoder(Outcome | None).decode

    def read(state: int, data: bytes) -> tuple[int, Outcome | None]:
        outcome = decode(data)
        if outcome is not None:
            outcome.body = body_of(_checked(outcome.body, bytes))
        return _checked(state, int), outcome

    return read


def _read_revocation(task_id: str, until_s: float, terminate: int) -> tuple[str, float, bool]:
    return _checked(task_id, str), _checked(until_s, float), bool(terminate)


def _read_code(digest: str, data: bytes) -> tuple[str, bytes]:
    return _checked(digest, str), _checked(data, bytes)


def _checked(value: Any, kind: type[T]) -> T:
    """A column may hold anything once the file was damaged."""
    if type(value) is not kind:
        raise ValueError(f"{value!r:.100} is not of the type {kind.__name__}")
    return value
