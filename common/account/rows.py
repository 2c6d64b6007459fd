"""Rows of an account: items of other tables that follow from its book, carried by the book until they are laid down.

A change puts them into the book's own item, so that they are its change's or nobody's; nothing that lies in another
table is overwritten before it. Afterwards each is written to its table. What changes again and again (a user, a device,
a factor) carries the version of the book that it is of, and is written only over a lower one; the others are the same
whenever they are written. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from common.storage.port import Item, Key, Put, Table
from common.storage.stored_form import More, UnknownForm, carried
from common.storage.tables import AUDIT, DEVICES, FACTORS, REVOCATIONS, USERS

NUMBER = "book_version"
NUMBERED = (USERS, DEVICES, FACTORS)
"""The tables whose items have a `book_version`: 0 where they were there before their book."""
CARRIED = (*NUMBERED, REVOCATIONS, AUDIT)
"""The tables whose items a book may carry: every app that reads a book writes them."""

_TABLES = {table.name: table for table in CARRIED}


class PendingRow(Struct, frozen=True):
    """An item to be written to a table, and the version of the book whose change made it so.

    `change_id` tells that change from one of the same version in a store that was restored meanwhile. `more`: what a
    later release wrote beside them.
    """

    version: int
    table: Table
    item: Item
    change_id: str
    more: More = {}

    @property
    def key(self) -> Key:
        """Where it goes."""
        return self.table.key_of(self.item)


def rows_of(puts: Iterable[Put], version: int, change_id: str) -> tuple[PendingRow, ...]:
    """Return what a change wants written, numbered where it may change again. KeyError: of another table."""
    return tuple(
        PendingRow(
            version,
            _TABLES[put.table.name],
            {**put.item, NUMBER: version} if put.table in NUMBERED else put.item,
            change_id,
        )
        for put in puts
    )


def pending_at(rows: Sequence[PendingRow], key: Key) -> Item | None:
    """Return what will lie at a key once the rows are laid down; None: they do not touch it."""
    return next((row.item for row in reversed(rows) if row.key == key), None)


def rows_to_items(rows: Iterable[PendingRow]) -> list[dict[str, Any]]:
    """Write rows as the book carries them."""
    return [{**row.more, "v": row.version, "t": row.table.name, "i": row.item, "k": row.change_id} for row in rows]


def rows_from_items(items: Iterable[Mapping[str, Any]]) -> tuple[PendingRow, ...]:
    """Read what `rows_to_items` wrote. Raises UnknownForm: a row is of a table that only a later release has."""
    return tuple(
        PendingRow(item["v"], _table(item["t"]), item["i"], item.get("k", str(item["v"])), carried(item, _KNOWN))
        for item in items
    )


_KNOWN = frozenset(("v", "t", "i", "k"))


def _table(name: str) -> Table:
    found = _TABLES.get(name)
    if found is None:
        raise UnknownForm(f"a row of {name} is a later release's: update this one")
    return found
