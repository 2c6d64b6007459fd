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
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import orjson

from common.clock import Clock, to_millis
from common.memo import Memo
from common.patience import Patience
from common.storage.bounds import can_hold, can_query, check_writes
from common.storage.contents import digest, end_of, holds
from common.storage.per_thread import PerThread
from common.storage.port import (
    Conflict,
    Delete,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Sort,
    StoreUnavailable,
    Table,
    Write,
)
from common.storage.rest import Rest
from common.storage.together import Order, Take, Together

R = TypeVar("R")
_Asked: TypeAlias = tuple[Sequence[Write], str, bytes]
"""A commit: its writes, its request id, and the digest of its content."""

_LOOK_AGAIN_SECONDS = 0.001
"""How often a waiting writer looks whether the lock is free. SQLite's own waiting grows to 100 ms and starves the early
comers: with 8 processes writing the worst wait was 2 s and more, with this one mostly below 0.1 s."""

_REST_SECONDS = 1.0
"""How long, after somebody waited for a lock in vain, nobody else waits for it."""

_PURGED_EVERY = 32
"""After so many commits what has expired is cleared away, in the transaction of the last of them."""

_ITEMS_PURGED, _REQUESTS_LOOKED_AT = 128, 256
"""How many items of each table go then, and how many request ids are looked at, in turn, whether their time is over:
more than have come since, so that what has piled up shrinks. No more than an eighth of the ids can then be old, and no
index of their ends is kept, which would be more to write than the ids."""

_PURGE_GRACE_MS = 7_200_000
"""Items stay this long after their expiry: another process' clock may be behind ours."""

_NO_SORT = ""

_LONGEST_KEPT, _MOST_KEPT = 4096, 8192
"""What decoded items are kept by their bytes: those of a book's length, and as many as are verified at a time."""


class SqliteStore:
    """A `Store` in a file. `wait` is how many seconds a call waits for other processes before it is unavailable."""

    def __init__(self, path: Path, tables: Sequence[Table], clock: Clock, wait: float = 3.0) -> None:
        self._path = path
        self._clock = clock
        self._wait = wait
        self._rest = Rest(_REST_SECONDS)
        self._purges = [_PURGE.format(table.name) for table in tables if table.expires]
        self._unpurged, self._looked_up_to = _PURGED_EVERY, ""
        self._together: Together[_Asked] = Together()
        self._connections = PerThread(lambda: self._patiently(self._open))
        self._kept: Memo[bytes, Item] = Memo(_MOST_KEPT)
        self._create(tables)

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        if not can_hold(key):
            return None
        rows = self._read(_select(key.table.name), _where(key))
        return self._decoded(rows[0][0]) if rows else None

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        if not can_query(table, partition, after, limit):
            return Page((), more=False)
        beyond, order = ("<", "DESC") if descending else (">", "ASC")
        bound = "" if after is None else f"AND sort {beyond} ?"
        statement = f'SELECT item FROM "{table.name}" WHERE partition = ? {bound} ORDER BY sort {order} LIMIT ?'  # noqa: S608 - names come from tables.py
        rows = self._read(statement, (partition, *(() if after is None else (after,)), limit + 1))
        return Page(tuple(orjson.loads(row[0]) for row in rows[:limit]), more=len(rows) > limit)

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """See `Store.commit`. Unknown is the outcome only if the disk fails at the very end, or the process dies."""
        check_writes(writes, request_id)
        order = Order((writes, request_id, digest(writes)))
        patience = self._patience()
        with self._connections.use() as connection:
            if not self._together.settle(order, patience.left(), partial(self._settle, connection, patience)):
                self._rest.begin()
                raise StoreUnavailable("SQLite: database is locked by other threads")
        if order.fault is not None:
            raise order.fault

    def close(self) -> None:
        """See `Store.close`: closes the connections of all threads."""
        self._connections.close()

    def _decoded(self, content: bytes) -> Item:
        """Return what an item's bytes say; the same bytes are the same object, so that others can tell, too."""
        if len(content) > _LONGEST_KEPT:
            return orjson.loads(content)  # type: ignore[no-any-return]
        return self._kept.get(content) or self._kept.put(content, orjson.loads(content))

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._connections.use() as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                return self._patiently(lambda: connection.execute(statement, values).fetchall(), error)

    def _settle(self, connection: sqlite3.Connection, patience: Patience, take: Take[_Asked]) -> None:
        """Do, in one transaction, all that wait by the time it has begun."""
        orders: Sequence[Order[_Asked]] = ()
        try:
            with self._transaction(connection, patience):
                orders = take()
                for order in orders:
                    order.fault = _done(connection, *order.what)
                self._purge(connection, len(orders))
        except BaseException as fault:
            # Of a fault that is nobody else's the others are to know only that asking again will tell.
            kind = type(fault) if isinstance(fault, StoreUnavailable) else OutcomeUnknown
            for order in orders:
                order.fault = kind(str(fault))
            raise

    def _purge(self, connection: sqlite3.Connection, commits: int) -> None:
        self._unpurged += commits
        if self._unpurged < _PURGED_EVERY:
            return
        self._unpurged, begin = 0, self._looked_up_to
        self._looked_up_to = connection.execute(_LOOK, (begin, _REQUESTS_LOOKED_AT)).fetchone()[0] or ""
        connection.execute(_FORGET, (begin, self._looked_up_to))
        dead = to_millis(self._clock()) - _PURGE_GRACE_MS
        for purge in self._purges:
            connection.execute(purge, (dead, _ITEMS_PURGED))

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection, patience: Patience) -> Iterator[None]:
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"), patience=patience)
        self._rest.end()
        try:
            yield
        except sqlite3.Error as error:
            _roll_back(connection)
            raise _unavailable(error) from error
        except BaseException:
            _roll_back(connection)
            raise
        _finish(connection)

    def _patience(self) -> Patience:
        """Return how long a lock is waited for, from now on."""
        return Patience(0 if self._rest.is_on() else self._wait)

    def _patiently(
        self, run: Callable[[], R], error: sqlite3.Error | None = None, patience: Patience | None = None
    ) -> R:
        """Run something again while the file is locked, up to the wait; the last error becomes StoreUnavailable.

        `error`: what the first run ended with, where it was made already. `patience`: the wait, where it has begun.
        """
        while True:
            if error is None:
                try:
                    return run()
                except sqlite3.Error as caught:
                    error = caught
            if not _is_busy(error):
                raise _unavailable(error) from error
            patience = patience or self._patience()  # most runs need none
            if not patience.left():
                self._rest.begin()
                raise _unavailable(error) from error
            time.sleep(_LOOK_AGAIN_SECONDS)
            error = None

    def _open(self) -> sqlite3.Connection:
        # Used by one thread at a time; only the closing may come from another.
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.executescript(_SETTINGS)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _create(self, tables: Sequence[Table]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        except OSError as error:
            raise StoreUnavailable(f"SQLite: {error}") from error
        with self._connections.use() as connection, self._transaction(connection, self._patience()):
            for table in tables:
                kind = "INTEGER" if table.sort_is_number else "TEXT"
                connection.execute(_TABLE.format(table.name, kind))
                if table.expires:
                    connection.execute(_EXPIRY_INDEX.format(table.name))
            connection.execute(_REQUESTS)


# FULL: the log is flushed at every commit. fullfsync: on macOS a flush reaches the disk only so; elsewhere no change.
_SETTINGS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA fullfsync=ON;"

_TABLE = """CREATE TABLE IF NOT EXISTS "{}" (
    partition TEXT NOT NULL, sort {} NOT NULL, item BLOB NOT NULL, expires_at INTEGER, PRIMARY KEY (partition, sort))"""
_EXPIRY_INDEX = 'CREATE INDEX IF NOT EXISTS "{0}_expiry" ON "{0}" (expires_at) WHERE expires_at IS NOT NULL'
_SELECT = 'SELECT item FROM "{}" WHERE partition = ? AND sort = ?'
_DELETE = 'DELETE FROM "{}" WHERE partition = ? AND sort = ?'
_UPSERT = """INSERT INTO "{}" (partition, sort, item, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (partition, sort) DO UPDATE SET item = excluded.item, expires_at = excluded.expires_at"""
_PURGE = 'DELETE FROM "{0}" WHERE rowid IN (SELECT rowid FROM "{0}" WHERE expires_at < ? LIMIT ?)'

# Requests are kept for 10 minutes of the host's own clock, which all processes share, whatever clock each was given.
_REQUESTS = """CREATE TABLE IF NOT EXISTS commit_requests (
    id TEXT PRIMARY KEY, content BLOB NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID"""
_REMEMBER = """INSERT INTO commit_requests VALUES (?, ?, CAST(strftime('%s', 'now') AS INTEGER) + 600)
    ON CONFLICT DO NOTHING"""
_RECALL = "SELECT content FROM commit_requests WHERE id = ?"
_LOOK = "SELECT max(id) FROM (SELECT id FROM commit_requests WHERE id > ? ORDER BY id LIMIT ?)"
_FORGET = """DELETE FROM commit_requests
    WHERE id > ? AND id <= ? AND expires_at < CAST(strftime('%s', 'now') AS INTEGER)"""


@cache
def _select(table: str) -> str:
    """Return the statement that reads an item: the same text each time, for it is looked up by its hash."""
    return _SELECT.format(table)


def _done(connection: sqlite3.Connection, writes: Sequence[Write], request_id: str, content: bytes) -> Exception | None:
    """Do a commit, unless it was done before; return why nothing of it was, if that is so. Raises sqlite3.Error."""
    failed = tuple(place for place, write in enumerate(writes) if not _holds(connection, write))
    if failed or not connection.execute(_REMEMBER, (request_id, content)).rowcount:
        known = connection.execute(_RECALL, (request_id,)).fetchone()
        if known is None:
            return Conflict(failed)
        return None if known[0] == content else ValueError(f"the request id {request_id} was used for another commit")
    for write in writes:
        _write(connection, write)
    return None


def _holds(connection: sqlite3.Connection, write: Write) -> bool:
    if write.when is None:
        return True
    row = connection.execute(_select(write.key.table.name), _where(write.key)).fetchone()
    return holds(write.when, None if row is None else orjson.loads(row[0]))


def _write(connection: sqlite3.Connection, write: Write) -> None:
    key = write.key
    if isinstance(write, Delete):
        connection.execute(_DELETE.format(key.table.name), _where(key))
        return
    values = (*_where(key), orjson.dumps(write.item), end_of(key.table, write.item))
    connection.execute(_UPSERT.format(key.table.name), values)


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


def _where(key: Key) -> tuple[str, Sort]:
    return key.partition, _NO_SORT if key.sort is None else key.sort


def _is_busy(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)  # an error of Python's own module has none
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _unavailable(error: sqlite3.Error) -> Exception:
    """Return what the port says of a database that is locked, full, unreadable or gone; a fault of ours stays one."""
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
        return error
    return StoreUnavailable(f"SQLite: {error}")
