"""Reading a partition to its end, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.storage.port import Sort, Store, Table

MOST_AT_ONCE = 1000


def all_items(
    store: Store,
    table: Table,
    partition: str,
    *,
    after: Sort | None = None,
    descending: bool = False,
    at_once: int | None = None,
) -> Iterator[Mapping[str, Any]]:
    """Yield the items of a partition, which have a sort key, in its order and beyond `after`. StoreUnavailable.

    `at_once`: how many are read at a time; None: `MOST_AT_ONCE`.
    """
    more = True
    while more:
        page = store.query(table, partition, after=after, limit=at_once or MOST_AT_ONCE, descending=descending)
        yield from page.items
        more = page.more
        if more:
            after = table.key_of(page.items[-1]).sort
