"""A process that counts in one item of a SQLite file, and says each number when the store has it."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from common.clock import system_clock
from common.storage.port import Item, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import SESSIONS

_MOST_PAUSE_SECONDS = 0.004
_ODD_EVERY = 20
"""About one count of so many comes with something that changes the log itself."""


def item_of(name: str, number: int) -> Item:
    """Return the item in which a number stands."""
    return {SESSIONS.partition: name, "n": number}


def number_in(item: Item | None) -> int:
    """Return the number in an item; 0 for none."""
    number = 0 if item is None else item["n"]
    assert isinstance(number, int)
    return number


def count(path: Path, name: str) -> None:
    """Count on from what is there, without end."""
    store = SqliteStore(path, [SESSIONS], system_clock)
    number = number_in(store.get(SESSIONS.key(name)))
    while True:
        number += 1
        try:
            store.put(SESSIONS, item_of(name, number))
        except StoreUnavailable:
            continue  # nothing is said of it
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        time.sleep(random.uniform(0, _MOST_PAUSE_SECONDS))
        if random.randrange(_ODD_EVERY) == 0:
            _disturb(store, path)


def _disturb(store: SqliteStore, path: Path) -> None:
    """Close all connections of this process, or have the log copied back and begun anew."""
    if random.randrange(2):
        store.close()
        return
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute(f"PRAGMA wal_checkpoint({random.choice(('PASSIVE', 'RESTART', 'TRUNCATE'))})")


if __name__ == "__main__":
    count(Path(sys.argv[1]), sys.argv[2])
