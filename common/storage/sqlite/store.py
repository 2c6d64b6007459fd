"""The embedded engine: one SQLite file, shared by all threads and processes of one host.

Write-ahead log, `synchronous=FULL` (an answered commit survives a power cut), one connection for each process and
thread. What threads of one process commit at the same time goes into one `BEGIN IMMEDIATE … COMMIT`: each is done or
refused for itself, and the log is flushed once for all. Items are stored as JSON beside their key. See
https://sqlite.org/wal.html.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson

from common.bounded_cache import BoundedCache
from common.clock import Clock
from common.retry import RetryBudget
from common.storage.batches import Outcome
from common.storage.circuit_breaker import CircuitBreaker
from common.storage.clock_offset import ClockReading
from common.storage.engine_rules import check_unconditional, check_write, is_valid_key, is_valid_query
from common.storage.port import (
    Condition,
    Conflict,
    Delete,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Put,
    Sort,
    StoreUnavailable,
    Table,
    Write,
)
from common.storage.prompt import WouldWait
from common.storage.sqlite import statements as sql
from common.storage.sqlite.group_commit import Drain, GroupCommit, PendingCommit
from common.storage.sqlite.purge import Purge
from common.storage.sqlite.wal_index import Connection
from common.storage.store_metrics import measured
from common.storage.thread_local_connections import ThreadLocalConnections
from common.storage.write_guard import MayWrite, always

R = TypeVar("R")
W = TypeVar("W", bound=Write)

_LOOK_AGAIN_SECONDS = 0.001
"""How often a waiting writer looks whether the lock is free. SQLite's own waiting grows to 100 ms and starves the early
comers: with 8 processes writing the worst wait was 2 s and more, with this one mostly below 0.1 s."""

_COOLDOWN_SECONDS = 1.0
"""How long, after a thread timed out on the lock, no other thread waits for it."""

_TURN_SECONDS = 0.1
"""How long a thread waits for its turn even then: the one before it may just be finding that the lock is free."""

_MOST_IN_A_GROUP = 100
"""Commits of a batch that share one transaction: it holds the lock for about ten milliseconds."""

_LONGEST_KEPT, _MOST_KEPT = 4096, 16_384
"""What decoded items are kept beside their bytes: those of a book's length, and as many as are verified at a time."""


def is_open_elsewhere(path: Path) -> bool:
    """Say whether any connection to the file is open: only alone can one leave the log mode, and none is left by this.

    Raises StoreUnavailable for a file that is no database.
    """
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error as error:
            if _is_busy(error):
                return True
            raise _unavailable(error) from error
        return False


class SqliteStore:
    """A `Store` in a file. `wait` is how many seconds a call waits for other processes before it is unavailable."""

    def __init__(self, path: Path, tables: Sequence[Table], clock: Clock, wait: float = 3.0) -> None:
        self._path = path
        self._wait = wait
        self._circuit = CircuitBreaker(_COOLDOWN_SECONDS)
        self._purge = Purge(tables, clock)
        self._group_commit: GroupCommit[Write] = GroupCommit()
        self._connections = ThreadLocalConnections(lambda: self._retrying(self._open))
        self._decoded_items: BoundedCache[Key, tuple[bytes, Item]] = BoundedCache(_MOST_KEPT)
        self._opened: object = None
        self._may_write: MayWrite = always
        self._create(tables)

    @measured("get")
    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        if not is_valid_key(key):
            return None
        rows = self._read(sql.select(key.table.name), sql.where(key))
        return self._decoded(key, rows[0][0]) if rows else None

    @measured("query")
    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        if not is_valid_query(table, partition, after, limit):
            return Page((), more=False)
        beyond, pending = ("<", "DESC") if descending else (">", "ASC")
        bound = "" if after is None else f"AND sort {beyond} ?"
        statement = f'SELECT item FROM "{table.name}" WHERE partition = ? {bound} ORDER BY sort {pending} LIMIT ?'  # noqa: S608 - names come from tables.py
        rows = self._read(statement, (partition, *(() if after is None else (after,)), limit + 1))
        return Page(tuple(orjson.loads(row[0]) for row in rows[:limit]), more=len(rows) > limit)

    @measured("put")
    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`. Unknown is the outcome only if the disk fails at the very end, or the process dies."""
        self._write(Put(table, item, when))

    @measured("delete")
    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write(Delete(key, when))

    def pages(
        self,
        table: Table,
        limit: int = 1000,
        after: Key | None = None,
        *,
        consistent: bool = False,  # noqa: ARG002 - here each read is
    ) -> Iterator[Sequence[Item]]:
        """See `EnumerableStore.pages`."""
        last = sql.BEFORE_ALL if after is None else sql.where(after)
        while rows := self._read(sql.PAGE.format(table.name), (*last, limit)):
            yield [orjson.loads(item) for _, _, item in rows]
            last = rows[-1][:2]

    def _write(self, write: Write) -> None:
        """Have it written by this thread or another. Raises what `Store.put` does."""
        check_write(write)
        self._may_write()
        pending = PendingCommit(write)
        budget = self._retry_budget()
        with self._connections.use() as connection:
            turn = max(budget.left(), _TURN_SECONDS)
            if not self._group_commit.submit(pending, turn, partial(self._commit_batch, connection, budget)):
                self._circuit.open()
                raise StoreUnavailable("SQLite: database is locked by other threads")
        if pending.fault is not None:
            raise pending.fault

    @measured("batch")
    def put_each(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        """See `BatchStore.put_each`: a hundred share a transaction, so that others wait for milliseconds only."""
        return [outcome for group in _groups(puts) for outcome in self._write_group(group)]

    @measured("batch")
    def write_bulk(self, writes: Sequence[Write]) -> None:
        """See `BulkStore.write_bulk`."""
        check_unconditional(writes)
        for group in _groups(writes):
            for outcome in self._write_group(group):
                if outcome is not None:
                    raise outcome

    def get_promptly(self, key: Key) -> Item | None:
        """See `HasPromptReads`: one try. Here a reader waits for nobody, unless the log is just being made anew.

        An item that was read before is not read again while nothing was committed to the database since.
        """
        try:
            with self._connections.use() as connection:
                reads = connection.last_reads
                head = reads.head()
                item = reads.unchanged(key, head)
                if item is None:
                    row = connection.execute(sql.select(key.table.name), sql.where(key)).fetchone()
                    item = None if row is None else reads.keep(key, head, self._decoded(key, row[0]))
        except (sqlite3.Error, StoreUnavailable) as error:
            raise WouldWait from error
        return item

    @measured("clock")
    def read_clock(self) -> ClockReading:
        """See `HasClock`: the host's clock, as SQLite tells it to all processes."""
        return ClockReading(self._read(sql.CLOCK, ())[0][0], sql.CLOCK_SECONDS)

    def is_replaced(self) -> bool:
        """Say whether another file lies at the path than the one that is open, or none."""
        return self._opened is not None and self._opened != _identity(self._path)

    def guard_writes(self, may_write: MayWrite) -> None:
        """See `HasWriteGuard`."""
        self._may_write = may_write

    def close(self) -> None:
        """See `Store.close`: closes the connections of all threads."""
        self._connections.close()
        self._opened = None

    def _write_group(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        for write in writes:
            check_write(write)
        batch = [PendingCommit[Write](write) for write in writes]
        budget = self._retry_budget()
        try:
            self._may_write()
            with self._connections.use() as connection:
                commit_all = partial(self._commit_batch, connection, budget)
                if not self._group_commit.settle_all(batch, max(budget.left(), _TURN_SECONDS), commit_all):
                    self._circuit.open()
                    raise StoreUnavailable("SQLite: database is locked by other threads")
        except StoreUnavailable as fault:
            return [fault] * len(batch)
        return [_outcome(pending.fault) for pending in batch]

    def _decoded(self, key: Key, content: bytes) -> Item:
        """Return what an item's bytes say; while they are the same it is the same object, so that others can tell."""
        if len(content) > _LONGEST_KEPT:
            return orjson.loads(content)  # type: ignore[no-any-return]
        kept = self._decoded_items.get(key)
        if kept is None or kept[0] != content:
            kept = self._decoded_items.put(key, (content, orjson.loads(content)))
        return kept[1]

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._connections.use() as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                return self._retrying(lambda: connection.execute(statement, values).fetchall(), error)

    def _commit_batch(self, connection: sqlite3.Connection, budget: RetryBudget, drain: Drain[Write]) -> None:
        """Do, in one transaction, all that wait by the time it has begun."""
        batch: Sequence[PendingCommit[Write]] = ()
        try:
            with self._transaction(connection, budget):
                batch = drain()
                for pending in batch:
                    pending.fault = sql.applied(connection, pending.content)
                self._purge.after(connection, len(batch))
        except BaseException as fault:
            # Of a fault that is nobody else's the others are to know only that asking again will tell.
            kind = type(fault) if isinstance(fault, StoreUnavailable) else OutcomeUnknown
            for pending in batch:
                pending.fault = kind(str(fault))
            raise

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection, budget: RetryBudget) -> Iterator[None]:
        self._retrying(lambda: connection.execute("BEGIN IMMEDIATE"), budget=budget)
        self._circuit.close()
        try:
            yield
        except sqlite3.Error as error:
            _roll_back(connection)
            raise _unavailable(error) from error
        except BaseException:
            _roll_back(connection)
            raise
        _finish(connection)

    def _retry_budget(self) -> RetryBudget:
        """Return how long a lock is waited for, from now on."""
        return RetryBudget(0 if self._circuit.is_open() else self._wait)

    def _retrying(
        self, run: Callable[[], R], error: sqlite3.Error | None = None, budget: RetryBudget | None = None
    ) -> R:
        """Run something again while the file is locked, up to the wait; the last error becomes StoreUnavailable.

        `error`: what the first run ended with, where it was made already. `budget`: the wait, where it has begun.
        """
        while True:
            if error is None:
                try:
                    return run()
                except sqlite3.Error as caught:
                    error = caught
            if not _is_busy(error):
                raise _unavailable(error) from error
            budget = budget or self._retry_budget()  # most runs need none
            if not budget.left():
                self._circuit.open()
                raise _unavailable(error) from error
            time.sleep(_LOOK_AGAIN_SECONDS)
            error = None

    def _open(self) -> Connection:
        # A file that is gone is not made anew behind a process that has served it.
        self._opened = self._opened or _identity(self._path)
        connection = Connection.to(self._path)
        try:
            connection.executescript(sql.SETTINGS)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _create(self, tables: Sequence[Table]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        except OSError as error:
            raise StoreUnavailable(_unusable(self._path, error)) from error
        with self._connections.use() as connection, self._transaction(connection, self._retry_budget()):
            for table in tables:
                kind = "INTEGER" if table.sort_is_number else "TEXT"
                connection.execute(sql.TABLE.format(table.name, kind))
                if table.expires:
                    connection.execute(sql.EXPIRY_INDEX.format(table.name))


def _unusable(path: Path, error: OSError) -> str:
    return (
        f"SQLite: {path} can be neither made nor opened ({error.strerror or error}): let its folder be one that this "
        "user may write to, or set ICHIDAI_DATA_DIR (or ICHIDAI_STORE_URL) to another."
    )


def _groups(writes: Sequence[W]) -> Iterator[Sequence[W]]:
    for start in range(0, len(writes), _MOST_IN_A_GROUP):
        yield writes[start : start + _MOST_IN_A_GROUP]


def _identity(path: Path) -> object:
    """Return what tells a file from another one that takes its place; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _outcome(fault: Exception | None) -> Outcome:
    """Return what became of a commit, if that is an outcome; raise any other fault, for it is a bug."""
    if fault is None or isinstance(fault, Conflict | StoreUnavailable):
        return fault
    raise fault


def _finish(connection: sqlite3.Connection) -> None:
    """Commit. If that fails the log may hold the transaction or not, and a crash would decide: nobody knows now."""
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        raise OutcomeUnknown(f"SQLite: {error}") from error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _is_busy(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)  # an error of Python's own module has none
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _unavailable(error: sqlite3.Error) -> Exception:
    """Return what the port says of a database that is locked, full, unreadable or gone; a fault of ours stays one."""
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
        return error
    return StoreUnavailable(f"SQLite: {error}")
