"""Eventually consistent reads of one item: half a read unit on DynamoDB, and perhaps not of its newest state.

They are for code that goes on to write on condition of what it read, and that reads strongly before it refuses
anything; an import contract names it. What a request is allowed to do is never decided by one.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from common.storage.port import Item, Key, Store


@runtime_checkable
class HasEventualReads(Protocol):
    """An engine for which a read that may miss the newest writes costs less."""

    def get_eventual(self, key: Key) -> Item | None:
        """Return the item as it is or was a moment ago; None when there is or was none. Raises StoreUnavailable."""


def get_eventual(store: Store, key: Key) -> Item | None:
    """Read by the engine's eventually consistent read, or strongly where it has none. Raises StoreUnavailable."""
    return store.get_eventual(key) if isinstance(store, HasEventualReads) else store.get(key)
