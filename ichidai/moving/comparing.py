"""What lies in one table of the source and of the target, compared item by item.

The ring's item, by which either side says where it is in the move, is no part of it; nor is what has expired: either
engine deletes that when it likes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from msgspec import Struct

from common.keys.key_registry import REGISTRY
from common.storage.engine_rules import canonical_bytes, end_of
from common.storage.enumeration import EnumerableStore
from common.storage.port import Delete, Item, Key, Put, Table, Write

_MODULUS = 1 << 256


class TableDigest(Struct):
    """How many items a table has, and what they are: the sum of their digests, whatever their order."""

    count: int = 0
    total: int = 0

    def add(self, digest: bytes) -> None:
        """Count an item."""
        self.count += 1
        self.total = (self.total + int.from_bytes(digest)) % _MODULUS

    @property
    def digest(self) -> str:
        """The digest as text: 64 hexadecimal digits."""
        return f"{self.total:064x}"


class Difference(Struct, frozen=True):
    """The write by which the target would be as the source, and when the item expires (ms since 1970; None: never)."""

    write: Write
    end: int | None


class Comparison:
    """One table of both stores. Of the target's, about 300 bytes an item are held in memory.

    `cut`: what expired before then (ms since 1970) counts as gone. `consistent`: see `EnumerableStore.pages`. The
    digests are those of all items once all differences were given.
    """

    def __init__(
        self, table: Table, source: EnumerableStore, target: EnumerableStore, cut: int, *, consistent: bool
    ) -> None:
        self.table = table
        self.source, self.target = TableDigest(), TableDigest()
        self._stores = source, target
        self._cut = cut
        self._consistent = consistent

    def differences(self) -> Iterator[Difference]:
        """Give what is not the same. Raises StoreUnavailable."""
        source, target = self._stores
        there: dict[Key, tuple[bytes, int | None]] = {}
        for key, _, digest, end in self._items(target):
            self.target.add(digest)
            there[key] = digest, end
        for key, item, digest, end in self._items(source):
            self.source.add(digest)
            if there.pop(key, (b"",))[0] != digest:
                yield Difference(Put(self.table, item), end)
        for key, (_, end) in there.items():
            yield Difference(Delete(key), end)

    def _items(self, store: EnumerableStore) -> Iterator[tuple[Key, Item, bytes, int | None]]:
        for page in store.pages(self.table, consistent=self._consistent):
            for item in page:
                key, end = self.table.key_of(item), end_of(self.table, item)
                if key != REGISTRY and (end is None or end >= self._cut):
                    yield key, item, hashlib.sha256(canonical_bytes(item)).digest(), end


def is_empty(store: EnumerableStore, tables: Sequence[Table]) -> bool:
    """Say whether nothing lies in a store's tables. Raises StoreUnavailable."""
    return not any(page for table in tables for page in store.pages(table, limit=1, consistent=True))
