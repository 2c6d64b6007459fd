"""Enumerating a table: for maintenance and operators' commands alone; an import contract keeps it from requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from common.storage.port import Item, Key, Store, Table


@runtime_checkable
class EnumerableStore(Store, Protocol):
    """A store whose tables can be gone through from one end to the other."""

    def pages(
        self, table: Table, limit: int = 1000, after: Key | None = None, *, consistent: bool = False
    ) -> Iterator[Sequence[Item]]:
        """Give the items of a table page by page, in no order, up to about `limit` at a time; a page may be empty.

        `after`: only those that follow this key, whether an item lies there or not; so a later call goes on where
        an earlier one was left.

        Eventual: what is written meanwhile may be missing or be told in its earlier state, so code that acts on an item
        reads it again. An item that lies there from beginning to end is given once. `consistent`: each page is as of
        when it is read, at twice the cost on DynamoDB. Raises StoreUnavailable.
        """


def enumerable(store: Store) -> EnumerableStore:
    """Return a store as one whose tables can be gone through; TypeError where it is none."""
    if not isinstance(store, EnumerableStore):
        raise TypeError(type(store).__name__)
    return store
