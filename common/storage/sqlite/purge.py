"""Purge: what has expired is deleted a little at a time, inside the transactions of writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from common.clock import Clock, to_millis
from common.storage.engine_rules import PURGE_GRACE_MS
from common.storage.port import Table
from common.storage.sqlite.statements import PURGE

_PURGED_EVERY = 32
"""After so many writes what has expired is cleared away, in the transaction of the last of them."""

_ITEMS_PURGED = 128
"""How many items of each table go then: more than have come since, so that what has piled up shrinks."""


class Purge:
    """Deletes expired items of the tables that have such.

    One thread at a time calls it, the one that has begun a transaction.
    """

    def __init__(self, tables: Sequence[Table], clock: Clock) -> None:
        self._clock = clock
        self._statements = [PURGE.format(table.name) for table in tables if table.expires]
        self._unpurged = _PURGED_EVERY

    def after(self, connection: sqlite3.Connection, writes: int) -> None:
        """Count writes, and purge in the transaction of every so many. Raises sqlite3.Error."""
        self._unpurged += writes
        if self._unpurged < _PURGED_EVERY:
            return
        self._unpurged = 0
        dead = to_millis(self._clock()) - PURGE_GRACE_MS
        for statement in self._statements:
            connection.execute(statement, (dead, _ITEMS_PURGED))
