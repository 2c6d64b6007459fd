"""A store's content taken aside and brought back, under running servers: by copying the file, or the tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from common.clock import system_clock
from common.storage.opening import open_for_maintenance
from common.storage.port import Item, Key
from common.storage.tables import ALL
from tests.support.engines import Engine


class SqliteCopy:
    """A copy of the file, made while it is written, and brought back into the same file."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._file = Path(engine.url.removeprefix("sqlite:///"))
        self._copy = folder / "copy.sqlite"
        _copy(self._file, self._copy)

    def bring_back(self) -> None:
        """Put it in the place of what is there."""
        _copy(self._copy, self._file)


class TablesCopy:
    """A copy of all tables' items; DynamoDB Local has no recovery of its own."""

    def __init__(self, engine: Engine, _folder: Path) -> None:
        self._engine = engine
        self._items = self._read()

    def bring_back(self) -> None:
        """Make the tables hold what was copied, and nothing else."""
        now = self._read()
        with closing(open_for_maintenance(self._engine.url, system_clock, self._engine.region)) as store:
            for key, item in self._items.items():
                if now.get(key) != item:
                    store.put(key.table, item)
            for key in now.keys() - self._items.keys():
                store.delete(key)

    def _read(self) -> dict[Key, Item]:
        with closing(open_for_maintenance(self._engine.url, system_clock, self._engine.region)) as store:
            return {table.key_of(item): item for table in ALL for page in store.pages(table) for item in page}


def copy_of(engine: Engine, folder: Path) -> SqliteCopy | TablesCopy:
    """Take a store's content aside."""
    return SqliteCopy(engine, folder) if engine.name == "sqlite" else TablesCopy(engine, folder)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
