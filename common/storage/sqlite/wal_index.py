"""Whether a database in WAL mode has changed, without a read of it: the head of the WAL-index tells.

The WAL-index is memory that all connections to a database share (the file `…-shm`). A commit ends by writing its head
anew, after the log was flushed, and a reader begins by comparing that head with the one it knows: see
https://www.sqlite.org/walformat.html#the_wal_index_header. So while the head is the same, byte for byte, a read would
give what it gave before.

The file is never closed here: POSIX drops all locks that a process has on a file, SQLite's among them, when it closes
any descriptor of it (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from pathlib import Path

from common.bounded_cache import BoundedCache
from common.storage.port import Item, Key

_COPY = 48
"""Bytes of the head, which is there twice; while a commit writes them the two differ."""

_VERSION = (3_007_000).to_bytes(4, sys.byteorder)
"""What a head begins with, in all releases of SQLite since 3.7.0."""

_INITIALIZED = 12
"""The offset of the byte that is 1 once the head is written."""

_MOST_KEPT = 16_384

_files: dict[tuple[int, int], int] = {}
"""A descriptor of each WAL-index that this process has seen, by device and inode."""
_opening = threading.Lock()


class LastReads:
    """What a connection read last of each item, and what the head of the WAL-index was before it did.

    It belongs to that connection: while it is open nobody removes the WAL-index, or puts another in its place.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._index: int | None = None
        self._is_tried = False
        self._head: bytes | None = None
        self._known: BoundedCache[str, tuple[bytes, Key, Item]] = BoundedCache(_MOST_KEPT)

    def head(self) -> bytes | None:
        """Return the head of the WAL-index; None where it cannot be seen, or is just being written."""
        if self._index is None:
            return None
        head = os.pread(self._index, 2 * _COPY, 0)
        if head != self._head:
            is_whole = head[:_COPY] == head[_COPY:] and head.startswith(_VERSION) and head[_INITIALIZED] == 1
            self._head = head if is_whole else None
        return self._head

    def unchanged(self, key: Key, head: bytes | None) -> Item | None:
        """Return the item, if nothing was committed to the database since it was read; else, or if unknown, None."""
        known = self._known.get(key.partition)
        is_same = known is not None and known[0] == head and (known[1] is key or known[1] == key)
        return known[2] if known is not None and is_same else None

    def keep(self, key: Key, head: bytes | None, item: Item) -> Item:
        """Keep an item that was read after this head was seen, and return it."""
        if head is not None:
            self._known.put(key.partition, (head, key, item))
        elif not self._is_tried:  # the connection has read by now, so its WAL-index is there
            self._index, self._is_tried = _file_of(self._database), True
        return item


class Connection(sqlite3.Connection):
    """A connection to a file, with what it read last."""

    last_reads: LastReads

    @classmethod
    def to(cls, database: Path) -> Connection:
        """Open one that never waits for a lock, for one thread at a time; any may close it. Raises sqlite3.Error."""
        uri = f"{database.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, timeout=0, isolation_level=None, check_same_thread=False, uri=True, factory=cls
        )
        connection.last_reads = LastReads(database)
        return connection


def _file_of(database: Path) -> int | None:
    """Return a descriptor of the WAL-index of a database that a connection has open; None where it cannot be had.

    On Linux alone, where what is read of a file and what is mapped of it are one memory.
    """
    if sys.platform != "linux":
        return None
    index = Path(f"{database.resolve()}-shm")
    try:
        with _opening:
            place = _place(index.stat())
            if place not in _files:
                file = os.open(index, os.O_RDONLY)
                _files[_place(os.fstat(file))] = file
            return _files.get(place)
    except OSError:
        return None


def _place(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino
