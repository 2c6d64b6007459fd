"""Registry item: a versioned item of the store that names keys, those in use and those before them, for all hosts.

There are two, the key registry (token and MAC keys) and the list of authorities. The item holds no secret; the secrets
lie in a file on each host. It is written only as it was read, by its `version`, and read again and again: what follows
from item and file together is kept by a `CachedRegistry` until then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from common.storage.port import Absent, Condition, Equals, Item, Key, Put, Store
from common.storage.tables import KEY_RING

T = TypeVar("T")


class CachedRegistry(Generic[T]):
    """A registry item with this host's file, as they were read last.

    `read(item, last)` puts them together; what it raises passes through, and the last value stays. `first` is what was
    read before. Threads may share it: a value is replaced whole.
    """

    def __init__(self, store: Store, key: Key, read: Callable[[Item | None, T], T], first: T) -> None:
        self._store = store
        self._key = key
        self._read = read
        self._reading = threading.Lock()
        self._read_at = time.monotonic()
        self.value = first

    def refresh(self) -> None:
        """Read the item again. Raises StoreUnavailable, and what `read` does."""
        with self._reading:
            begun = time.monotonic()
            self.value = self._read(self._store.get(self._key), self.value)
            self._read_at = begun

    def age(self) -> float:
        """Return how many seconds ago the last reading that succeeded was begun."""
        return time.monotonic() - self._read_at


def version_of(item: Item | None) -> int:
    """Return an item's version; 0 where there is none yet. Raises TypeError for what is no version."""
    version = 0 if item is None else item.get("version", 0)
    if not isinstance(version, int):
        raise TypeError("version")
    return version


def next_version(found: Item | None, content: Callable[[int], Item]) -> Put:
    """Return the write of an item's next version, which holds only if nobody has written it since it was `found`.

    An item that release 0.1.0 first made has no version: its digest tells whether it is still the same.
    """
    version = version_of(found)
    when: Condition = Absent() if found is None else Equals("version", version)
    if found is not None and "version" not in found:
        when = Equals("digest", found["digest"])
    return Put(KEY_RING, content(version + 1), when)
