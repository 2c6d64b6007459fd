"""Bulk writes: many items at once, without a condition. For moving a store alone; an import contract keeps it there.

What is written here replaces whatever lies there: beside a server that writes, changes of that one would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from common.storage.port import Store, Write


@runtime_checkable
class BulkStore(Protocol):
    """A store whose engine does many writes at less than the cost of each."""

    def write_bulk(self, writes: Sequence[Write]) -> None:
        """Do unconditional writes, no two at one key, in any order; all of them are durable once this returns.

        Raises ValueError for a condition; StoreUnavailable (WritesRefused, OutcomeUnknown): some of them may be done.
        """


def bulk_store(store: Store) -> BulkStore:
    """Return a store as one that takes bulk writes; TypeError where it is none."""
    if not isinstance(store, BulkStore):
        raise TypeError(type(store).__name__)
    return store
