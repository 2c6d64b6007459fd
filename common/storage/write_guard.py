"""Write guard: what a process asks before each write, such as whether its store is being moved elsewhere just now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from common.storage.port import Item, Key, Store

MayWrite: TypeAlias = Callable[[], None]
"""Returns where a write may be sent. Raises WritesRefused, StoreUnavailable: nothing is written."""

REREAD_SECONDS = 1.0
"""How old what a `RereadingGuard` has read may be."""


def always() -> None:
    """Let every write be sent."""


@runtime_checkable
class HasWriteGuard(Protocol):
    """An engine that asks before each write."""

    def guard_writes(self, may_write: MayWrite) -> None:
        """Ask this from now on."""


class RereadingGuard:
    """Judges by one item of the store, read again before a write once it is a second old. Threads may share it."""

    def __init__(self, store: Store, key: Key, judge: Callable[[Item | None], None]) -> None:
        """`judge` raises WritesRefused where the item says that nothing may be written."""
        self._store = store
        self._key = key
        self._judge = judge
        self._reading = threading.Lock()
        self._read_at = float("-inf")

    def check(self) -> None:
        """Raise what `judge` raises, and StoreUnavailable where the item cannot be read."""
        with self._reading:
            begun = time.monotonic()
            if begun - self._read_at > REREAD_SECONDS:
                self._judge(self._store.get(self._key))  # where it refuses, the next write reads it again
                self._read_at = begun


def guard_writes(store: Store, may_write: MayWrite) -> None:
    """Let a store ask before each write, where its engine can: an imitation of a test asks nothing."""
    if isinstance(store, HasWriteGuard):
        store.guard_writes(may_write)
