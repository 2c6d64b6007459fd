"""A store that fails at one of its calls, in each way in which one can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from common.storage.port import (
    Condition,
    Conflict,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Sort,
    Store,
    StoreUnavailable,
    Table,
)
from common.storage.tables import SESSIONS

R = TypeVar("R")


class Fault(Enum):
    """What goes wrong at the call, and from then on. A throttled or slow store is `AWAY` to whoever calls it."""

    AWAY = "the store refuses this call"
    AWAY_FROM = "the store refuses this call and all that follow"
    REQUEST_LOST = "a write is not done, and nobody knows"
    ANSWER_LOST = "a write is done, and nobody knows"
    ANSWER_LOST_FOR_GOOD = "a write is done, nobody knows, and the store refuses all that follow"
    CONFLICT = "a book's write is said to conflict, though nothing has changed"


OF_COMMITS = frozenset({Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.ANSWER_LOST_FOR_GOOD, Fault.CONFLICT})
"""Faults that only a write can have; a read passes them by."""

LASTING = frozenset({Fault.AWAY_FROM, Fault.ANSWER_LOST_FOR_GOOD})
"""Faults that nobody gets over by trying again."""

PASSING = frozenset({Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.CONFLICT})
"""Faults that are got over: nobody outside may notice them."""


@dataclass(slots=True)
class FaultyStore:
    """A `Store` over another one that has a fault at call number `at`, counted from 1."""

    inner: Store
    fault: Fault
    at: int
    calls: int = 0
    struck: bool = False

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._read(lambda: self.inner.get(key))

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        return self._read(lambda: self.inner.query(table, partition, after=after, limit=limit, descending=descending))

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._write(table, lambda: self.inner.put(table, item, when))

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write(key.table, lambda: self.inner.delete(key, when))

    def _write(self, table: Table, write: Callable[[], None]) -> None:
        if not self._strikes(commit=self.fault is not Fault.CONFLICT or table is SESSIONS):
            write()
            return
        if self.fault is Fault.CONFLICT:
            raise Conflict
        if self.fault in (Fault.ANSWER_LOST, Fault.ANSWER_LOST_FOR_GOOD) and self.calls == self.at:
            write()
        if self.fault in OF_COMMITS and self.calls == self.at:
            raise OutcomeUnknown("the answer was lost")
        raise StoreUnavailable("away")

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()

    def _read(self, read: Callable[[], R]) -> R:
        if self._strikes(commit=False):
            raise StoreUnavailable("away")
        return read()

    def _strikes(self, *, commit: bool) -> bool:
        """Count the call, and say whether it fails."""
        self.calls += 1
        lasting = self.fault is Fault.AWAY_FROM or (self.fault is Fault.ANSWER_LOST_FOR_GOOD and self.struck)
        here = self.calls == self.at and (commit or self.fault not in OF_COMMITS)
        strikes = here or (lasting and self.calls > self.at)
        self.struck = self.struck or strikes
        return strikes
