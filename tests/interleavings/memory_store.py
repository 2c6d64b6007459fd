"""A storage engine in memory, to be copied at any moment: what every interleaving starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from common.storage.bounds import can_hold, can_query, check_writes
from common.storage.contents import digest, holds
from common.storage.port import Conflict, Delete, Item, Key, Page, Sort, Table, Write, check_commit

_Place = tuple[str, str, Sort | None]


class MemoryStore:
    """A `Store` for one thread. It is done with a commit before it returns, and forgets no request id.

    A copy trusts that the engines' bounds are kept: looking at every value would take a fifth of an exploration.
    """

    def __init__(
        self, items: Mapping[_Place, bytes] | None = None, requests: Mapping[str, Sequence[Write]] | None = None
    ) -> None:
        self._items = dict(items or {})
        self._requests = dict(requests or {})
        self._check = check_writes

    def copy(self) -> MemoryStore:
        """Return a store that has the same in it and goes its own way."""
        copy = MemoryStore(self._items, self._requests)
        copy._check = check_commit
        return copy

    def everything(self) -> list[tuple[str, Item]]:
        """Return all items, each with the name of its table."""
        return [(place[0], orjson.loads(raw)) for place, raw in self._items.items()]

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._lying_at(key) if can_hold(key) else None

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        if not can_query(table, partition, after, limit):
            return Page((), more=False)
        found: list[Any] = [place[2] for place in self._items if place[:2] == (table.name, partition)]
        found.sort(key=_order, reverse=descending)
        beyond = [sort for sort in found if after is None or _is_beyond(sort, after, descending=descending)]
        items = tuple(orjson.loads(self._items[table.name, partition, sort]) for sort in beyond[:limit])
        return Page(items, more=len(beyond) > limit)

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """See `Store.commit`."""
        self._check(writes, request_id)
        if request_id in self._requests:
            if digest(self._requests[request_id]) != digest(writes):
                raise ValueError(f"the request id {request_id} was used for another commit")
            return
        failed = tuple(n for n, write in enumerate(writes) if write.when and not holds(write.when, self._lying(write)))
        if failed:
            raise Conflict(failed)
        self._requests[request_id] = tuple(writes)
        for write in writes:
            if isinstance(write, Delete):
                self._items.pop(_place(write.key), None)
            else:
                self._items[_place(write.key)] = orjson.dumps(write.item)

    def close(self) -> None:
        """See `Store.close`: there is nothing to let go of."""

    def _lying(self, write: Write) -> Item | None:
        return self._lying_at(write.key)

    def _lying_at(self, key: Key) -> Item | None:
        raw = self._items.get(_place(key))
        return None if raw is None else orjson.loads(raw)


def _place(key: Key) -> _Place:
    return key.table.name, key.partition, key.sort


def _order(sort: Any) -> Any:
    return sort.encode() if isinstance(sort, str) else sort


def _is_beyond(sort: Any, after: Any, *, descending: bool) -> bool:
    return bool(_order(sort) < _order(after) if descending else _order(sort) > _order(after))
