"""A storage engine in memory, to be copied at any moment: what every interleaving starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from common.storage.engine_rules import check_write, holds, is_valid_key, is_valid_query
from common.storage.port import Condition, Conflict, Delete, Item, Key, Page, Put, Sort, Table, Write

_Place = tuple[str, str, Sort | None]


class MemoryStore:
    """A `Store` for one thread. It is done with a write before it returns.

    A copy trusts that the engines' bounds are kept: looking at every value would take a fifth of an exploration.
    """

    def __init__(self, items: Mapping[_Place, bytes] | None = None) -> None:
        self._items = dict(items or {})
        self._trusts = False

    def copy(self) -> MemoryStore:
        """Return a store that has the same in it and goes its own way."""
        copy = MemoryStore(self._items)
        copy._trusts = True
        return copy

    def everything(self) -> list[tuple[str, Item]]:
        """Return all items, each with the name of its table."""
        return [(place[0], orjson.loads(raw)) for place, raw in self._items.items()]

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._lying_at(key) if is_valid_key(key) else None

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        if not is_valid_query(table, partition, after, limit):
            return Page((), more=False)
        found: list[Any] = [place[2] for place in self._items if place[:2] == (table.name, partition)]
        found.sort(key=_order, reverse=descending)
        beyond = [sort for sort in found if after is None or _is_beyond(sort, after, descending=descending)]
        items = tuple(orjson.loads(self._items[table.name, partition, sort]) for sort in beyond[:limit])
        return Page(items, more=len(beyond) > limit)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._write(Put(table, item, when))

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write(Delete(key, when))

    def pages(
        self, table: Table, limit: int = 1000, after: Key | None = None, *, consistent: bool = False
    ) -> Iterator[Sequence[Item]]:
        """See `EnumerableStore.pages`."""
        places = sorted((place for place in self._items if place[0] == table.name), key=_rank)
        behind = [place for place in places if after is None or _rank(place) > _rank(_place(after))]
        found = [orjson.loads(self._items[place]) for place in behind]
        for start in range(0, len(found), limit):
            yield found[start : start + limit]

    def close(self) -> None:
        """See `Store.close`: there is nothing to let go of."""

    def _write(self, write: Write) -> None:
        if not self._trusts:
            check_write(write)
        if write.when and not holds(write.when, self._lying(write)):
            raise Conflict
        self._do(write)

    def _do(self, write: Write) -> None:
        if isinstance(write, Delete):
            self._items.pop(_place(write.key), None)
        else:
            self._items[_place(write.key)] = orjson.dumps(write.item)

    def _lying(self, write: Write) -> Item | None:
        return self._lying_at(write.key)

    def _lying_at(self, key: Key) -> Item | None:
        raw = self._items.get(_place(key))
        return None if raw is None else orjson.loads(raw)


def _rank(place: _Place) -> tuple[str, str]:
    return place[1], str(place[2])


def _place(key: Key) -> _Place:
    return key.table.name, key.partition, key.sort


def _order(sort: Any) -> Any:
    return sort.encode() if isinstance(sort, str) else sort


def _is_beyond(sort: Any, after: Any, *, descending: bool) -> bool:
    return bool(_order(sort) < _order(after) if descending else _order(sort) > _order(after))
