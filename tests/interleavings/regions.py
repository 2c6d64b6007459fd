"""Three regions that keep one table: as strongly consistent ones do it, and as eventually consistent ones do.

Each region answers for itself. Between two calls of clients everything may lag that the consistency mode lets lag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from common.storage.engine_rules import holds
from common.storage.port import Condition, Conflict, Delete, Item, Key, Page, Put, Sort, Store, Table, Write
from tests.interleavings.memory_store import MemoryStore

REGIONS = 3
_ALL = 10_000


@dataclass(slots=True)
class Replicas:
    """What lies in each region, and of each item the number of its last change there; `stores[0]` is judged in the end.

    An item that was deleted keeps its number, so that its absence is newer than what lies elsewhere.
    """

    stores: Sequence[MemoryStore]
    numbers: Sequence[dict[Key, int]] = field(default_factory=lambda: [{} for _ in range(REGIONS)])

    def newest(self, key: Key, regions: Sequence[int]) -> tuple[int, Item | None]:
        """Return the newest of what some regions have, with its number."""
        region = max(regions, key=lambda each: self.numbers[each].get(key, 0))
        return self.numbers[region].get(key, 0), self.stores[region].get(key)

    def write(self, key: Key, item: Item | None, number: int, region: int) -> None:
        """Let a region have what is newer than what it has."""
        if number <= self.numbers[region].get(key, 0):
            return
        self.numbers[region][key] = number
        if item is None:
            self.stores[region].delete(key)
        else:
            self.stores[region].put(key.table, item)

    def page(
        self, table: Table, partition: str, regions: Sequence[int], after: Sort | None, limit: int, *, descending: bool
    ) -> Page:
        """Return a page of the newest that some regions have."""
        found = [
            table.key_of(item)
            for region in regions
            for item in self.stores[region].query(table, partition, limit=_ALL).items
        ]
        merged = MemoryStore()
        for key in dict.fromkeys(found):
            if (item := self.newest(key, regions)[1]) is not None:
                merged.put(table, item)
        return merged.query(table, partition, after=after, limit=limit, descending=descending)

    def settle(self) -> None:
        """Let the first region have the newest of everything."""
        for key in {key for numbers in self.numbers for key in numbers}:
            number, item = self.newest(key, range(REGIONS))
            self.write(key, item, number, 0)


class Region:
    """A region's endpoint. TTL is not used by anything here."""

    def __init__(self, replicas: Replicas, number: int) -> None:
        self._replicas = replicas
        self._number = number

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._write(Put(table, item, when), item)

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write(Delete(key, when), None)

    def close(self) -> None:
        """See `Store.close`."""

    def _write(self, write: Write, item: Item | None) -> None:
        raise NotImplementedError


class StrongRegion(Region):
    """Each item is one register: a call is answered by two regions of three, which always have one in common.

    Which one beside its own depends on the item alone, and changes with each of its changes; the third lags.
    """

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._replicas.newest(key, self._quorum(key))[1]

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        regions = self._quorum(Key(table, partition))
        return self._replicas.page(table, partition, regions, after, limit, descending=descending)

    def _write(self, write: Write, item: Item | None) -> None:
        quorum = self._quorum(write.key)
        number, found = self._replicas.newest(write.key, quorum)
        if write.when is not None and not holds(write.when, found):
            raise Conflict
        for region in quorum:
            self._replicas.write(write.key, item, number + 1, region)

    def _quorum(self, key: Key) -> tuple[int, int]:
        lead = 1 + max(numbers.get(key, 0) for numbers in self._replicas.numbers) % 2
        return self._number, (self._number + lead) % REGIONS


class EventualRegion(Region):
    """What this region has is read, and conditions judged on; others get a write later, and the latest one wins."""

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._replicas.stores[self._number].get(key)

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        own = self._replicas.stores[self._number]
        return own.query(table, partition, after=after, limit=limit, descending=descending)

    def _write(self, write: Write, item: Item | None) -> None:
        if write.when is not None and not holds(write.when, self.get(write.key)):
            raise Conflict
        latest = self._replicas.newest(write.key, range(REGIONS))[0]
        self._replicas.write(write.key, item, latest + 1, self._number)


def regions(kind: Callable[[Replicas, int], Store]) -> Callable[[MemoryStore], tuple[Iterator[Store], Replicas]]:
    """Return what puts three regions in the place of a store: one for each client in turn, and what lies in them."""

    def made(store: MemoryStore) -> tuple[Iterator[Store], Replicas]:
        replicas = Replicas([store, *(store.copy() for _ in range(REGIONS - 1))])
        return (kind(replicas, number % REGIONS) for number in range(_ALL)), replicas

    return made
