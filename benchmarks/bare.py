"""The bare limits of a machine: password hashes on every core, and durable conditional writes of its SQLite."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.measuring import Sample
from common.clock import system_clock
from common.crypto.passwords import OWASP_MINIMUM, new_password_hash
from common.ids import new_id
from common.storage.opening import open_store

_ITEM_BYTES = 600
"""A book of two devices and one session."""

_TABLE = "CREATE TABLE book (partition TEXT PRIMARY KEY, version INTEGER NOT NULL, item BLOB NOT NULL)"
_ENTRY_BYTES = 500
_PUT = 'INSERT OR REPLACE INTO "{}" (partition, sort, item, expires_at) VALUES (?, ?, ?, ?)'
_CHANGE = "UPDATE book SET version = version + 1, item = ? WHERE partition = ? AND version = ?"


class Hashers:
    """A process for each core that does nothing but hash passwords with Argon2id, as the suite is set."""

    def __init__(self) -> None:
        self._pool = multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1)

    def run(self, seconds: float) -> Sample:
        """Hash on all cores at once for so long."""
        found = self._pool.map(_hash_for, [seconds] * (os.cpu_count() or 1), chunksize=1)
        count, used = sum(each[0] for each in found), sum(each[1] for each in found)
        middle = sorted(each[2] for each in found)[len(found) // 2]
        return {
            "rate": sum(each[0] / each[3] for each in found),
            "cpu": used / count * 1e6,
            "p50": middle,
            "p99": middle,
            "busy": 0,
        }

    def stop(self) -> None:
        """End the processes."""
        self._pool.terminate()
        self._pool.join()


def _hash_for(seconds: float) -> tuple[int, float, float, float]:
    """Return how many hashes, their processor seconds, the milliseconds of one, and the seconds of all."""
    begun, used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        new_password_hash("correct horse 42 battery", OWASP_MINIMUM)
        count += 1
    lasted = time.perf_counter() - begun
    return count, time.process_time() - used, lasted / count * 1000, lasted


def durable_write(path: Path, rows: int) -> Callable[[], None]:
    """Return a function that makes one durable conditional write, in a new SQLite file with so many rows.

    The settings are those of the suite's own store: write-ahead log, flushed at every commit.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as making:
        making.executescript(f"PRAGMA journal_mode=WAL; {_TABLE};")
        making.execute("BEGIN")
        making.executemany(
            "INSERT INTO book VALUES (?, 0, ?)", ((str(row), os.urandom(_ITEM_BYTES)) for row in range(rows))
        )
        making.execute("COMMIT")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA synchronous=FULL;")
    versions = [0] * rows
    turn = 0

    def write() -> None:
        nonlocal turn
        turn = (turn + 7919) % rows
        connection.execute("BEGIN IMMEDIATE")
        changed = connection.execute(_CHANGE, (os.urandom(_ITEM_BYTES), str(turn), versions[turn])).rowcount
        connection.execute("COMMIT")
        if changed != 1:
            raise AssertionError("the row is another's")
        versions[turn] += 1

    return write


def durable_change(path: Path) -> Callable[[], None]:
    """Return a function that writes what a takeover writes, in the suite's own tables, in one durable transaction.

    That is a book under a condition, a history entry, an ending for the feed, and the request's id; none of it is
    encoded, compared or cleared away.
    """
    open_store(f"sqlite:///{path}", system_clock).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA synchronous=FULL;")
    numbers, users = itertools.count(), [new_id() for _ in range(1000)]
    book, entry = os.urandom(_ITEM_BYTES), os.urandom(_ENTRY_BYTES)

    def write() -> None:
        number = next(numbers)
        user = users[number % len(users)]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT item FROM SessionsTable WHERE partition = ? AND sort = ''", (user,)).fetchone()
        connection.execute(_PUT.format("SessionsTable"), (user, "", book, None))
        connection.execute(_PUT.format("LoginHistory"), (user, number, entry, None))
        connection.execute(_PUT.format("FeedTable"), ("a minute", f"{user}#{number}", entry, number))
        connection.execute("COMMIT")

    return write
