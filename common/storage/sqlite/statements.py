"""SQL of the SQLite engine: tables, statements, and what a write does inside a transaction that has begun."""

from __future__ import annotations

import sqlite3
from functools import cache

import orjson

from common.storage.engine_rules import end_of, holds
from common.storage.port import Conflict, Delete, Key, Sort, Write

_NO_SORT = ""

# FULL: the log is flushed at every commit. fullfsync: on macOS a flush reaches the disk only so; elsewhere no change.
SETTINGS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA fullfsync=ON;"

TABLE = """CREATE TABLE IF NOT EXISTS "{}" (
    partition TEXT NOT NULL, sort {} NOT NULL, item BLOB NOT NULL, expires_at INTEGER, PRIMARY KEY (partition, sort))"""
EXPIRY_INDEX = 'CREATE INDEX IF NOT EXISTS "{0}_expiry" ON "{0}" (expires_at) WHERE expires_at IS NOT NULL'
_SELECT = 'SELECT item FROM "{}" WHERE partition = ? AND sort = ?'
PAGE = """SELECT partition, sort, item FROM "{}" WHERE (partition, sort) > (?, ?)
    ORDER BY partition, sort LIMIT ?"""
BEFORE_ALL = ("", _NO_SORT)
"""Where no item lies: every partition has a name."""

_DELETE = 'DELETE FROM "{}" WHERE partition = ? AND sort = ?'
_UPSERT = """INSERT INTO "{}" (partition, sort, item, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (partition, sort) DO UPDATE SET item = excluded.item, expires_at = excluded.expires_at"""
PURGE = 'DELETE FROM "{0}" WHERE rowid IN (SELECT rowid FROM "{0}" WHERE expires_at < ? LIMIT ?)'


@cache
def select(table: str) -> str:
    """Return the statement that reads an item: the same text each time, for it is looked up by its hash."""
    return _SELECT.format(table)


def where(key: Key) -> tuple[str, Sort]:
    """Return the values by which an item's row is found."""
    return key.partition, _NO_SORT if key.sort is None else key.sort


def applied(connection: sqlite3.Connection, write: Write) -> Conflict | None:
    """Do a write, or return why nothing was done. Raises sqlite3.Error."""
    if not _holds(connection, write):
        return Conflict()
    _write(connection, write)
    return None


def _holds(connection: sqlite3.Connection, write: Write) -> bool:
    if write.when is None:
        return True
    row = connection.execute(select(write.key.table.name), where(write.key)).fetchone()
    return holds(write.when, None if row is None else orjson.loads(row[0]))


def _write(connection: sqlite3.Connection, write: Write) -> None:
    key = write.key
    if isinstance(write, Delete):
        connection.execute(_DELETE.format(key.table.name), where(key))
        return
    values = (*where(key), orjson.dumps(write.item), end_of(key.table, write.item))
    connection.execute(_UPSERT.format(key.table.name), values)


CLOCK = "SELECT (julianday('now') - 2440587.5) * 86400.0"
"""The host's clock, as SQLite tells it to all processes: seconds since 1970."""

CLOCK_SECONDS = 0.001
