"""A storage engine that does the worst that DynamoDB's documents allow, over any other one.

What it may do, each switched on by itself:

- `losing`: of every three writes one is not done and one is done, and neither is answered; the third goes well. So
  whoever repeats a write until it is answered meets all three.
- `at_once`: what has expired is gone in the very millisecond. Without it an item lies there for ever: both are allowed.
- `throttling`: every so many calls one is refused, in the middle of whatever it belongs to; nothing was done.
- `refuse_once`: one call of a request is refused so, before the request has tried to write an account's book.
- `stale`: a query, and an eventual read, tells of each item what it was before its last change.
- with a `chance` what is lost or refused is drawn at random instead, as often: a fixed rhythm refuses the same call of
  each order, and what comes behind that call is never met.
- an item that takes more than 400 KB is refused, always.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from common.clock import Clock, to_millis
from common.keys.generation_store import HasFile
from common.storage.enumeration import EnumerableStore
from common.storage.port import (
    Condition,
    Delete,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Put,
    Sort,
    StoreUnavailable,
    Table,
    Write,
)
from common.storage.tables import SESSIONS

LARGEST = 400 * 1024
"""DynamoDB's bound on an item. JSON is never smaller by much than what DynamoDB counts."""

_NOT_DONE, _NOT_TOLD = 0, 1


@dataclass(frozen=True, slots=True)
class Unkindness:
    """What an engine does. `throttling`: one call of so many is refused; 0: none."""

    losing: bool = False
    at_once: bool = False
    throttling: int = 0
    stale: bool = False


class _Request(threading.local):
    """How many calls of this thread's request may pass before one is refused; None: none is."""

    left: int | None = None


@dataclass
class UnkindStore:
    """A `Store` that is as unkind as it was asked to be."""

    inner: EnumerableStore
    clock: Clock
    how: Unkindness
    chance: Random | None = None
    _calls: int = 0
    _writes: int = 0
    _before: dict[Key, Item | None] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _request: _Request = field(default_factory=_Request)

    @contextmanager
    def refuse_once(self, after: int) -> Iterator[None]:
        """Let so many of this thread's calls pass, and refuse the next one, if no book was to be written by then.

        So a request that is refused has changed no account, and its client may send it again.
        """
        self._request.left = after
        try:
            yield
        finally:
            self._request.left = None

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        self._begin()
        return self._found(key, self.inner.get(key))

    def get_eventual(self, key: Key) -> Item | None:
        """See `HasEventualReads`."""
        if not self.how.stale:
            return self.get(key)
        self._begin()
        item = self.inner.get(key)
        return self._found(key, self._before.get(key, item))

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        self._begin()
        page = self.inner.query(table, partition, after=after, limit=limit, descending=descending)
        items = [item for item in page.items if self._found(table.key_of(item), item) is not None]
        told = [self._before.get(table.key_of(item), item) for item in items] if self.how.stale else items
        return Page(tuple(item for item in told if item is not None), page.more)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        write = Put(table, item, when)
        self._write(write, lambda: self.inner.put(table, item, when))

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write(Delete(key, when), lambda: self.inner.delete(key, when))

    def pages(
        self, table: Table, limit: int = 1000, after: Key | None = None, *, consistent: bool = False
    ) -> Iterator[Sequence[Item]]:
        """See `EnumerableStore.pages`."""
        return self.inner.pages(table, limit, after, consistent=consistent)

    def is_replaced(self) -> bool:
        """See `HasFile`."""
        return isinstance(self.inner, HasFile) and self.inner.is_replaced()

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()

    def _begin(self) -> None:
        if self._request.left is not None:
            self._request.left -= 1
            if self._request.left < 0:
                self._request.left = None
                raise StoreUnavailable("throttled")
        with self._lock:
            self._calls += 1
            if self.how.throttling and self._turn(self._calls, self.how.throttling) == 0:
                raise StoreUnavailable("throttled")

    def _turn(self, number: int, of: int) -> int:
        """Return which of so many kinds of fate a call has: in turn, or as chance has it."""
        return number % of if self.chance is None else self.chance.randrange(of)

    def _write(self, write: Write, do: Any) -> None:
        self._begin()
        if write.key.table is SESSIONS:
            self._request.left = None
        if isinstance(write, Put) and len(orjson.dumps(write.item)) > LARGEST:
            raise ValueError(f"an item of {write.table.name} is too large")
        self._clear_away(write.key)
        with self._lock:
            self._writes += 1
            fate = self._turn(self._writes, 3) if self.how.losing else None
        if fate == _NOT_DONE:
            raise OutcomeUnknown("the request was lost")
        before = {write.key: self.inner.get(write.key)} if self.how.stale else {}
        do()
        self._before |= before
        if fate == _NOT_TOLD:
            raise OutcomeUnknown("the answer was lost")

    def _found(self, key: Key, item: Item | None) -> Item | None:
        return None if self._is_over(key.table, item) else item

    def _is_over(self, table: Table, item: Mapping[str, Any] | None) -> bool:
        if not self.how.at_once or not table.expires or item is None or "expires_at" not in item:
            return False
        return bool(item["expires_at"] <= to_millis(self.clock()))

    def _clear_away(self, key: Key) -> None:
        if self.how.at_once and key.table.expires and self._is_over(key.table, self.inner.get(key)):
            self.inner.delete(key)
