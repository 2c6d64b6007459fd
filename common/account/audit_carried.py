"""Lines of the audit log that belong to no account: the item that an operator changed carries its act's line.

So the act and its line are one put: no act without a line, no line of an act that was refused. The line is laid down
into the audit log after it, and again by who changes the item next, before it carries another line. Who reads the
log reads these items with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Item, Put, Store, StoreUnavailable
from common.storage.tables import AUDIT, KEY_RING

_LINE = "line"
_CARRIERS = tuple(KEY_RING.key(name) for name in ("ring", "authorities", "policy", "admin-keys"))

_log = logging.getLogger(__name__)


def carrying(store: Store, put: Put, found: Mapping[str, Any] | None, line: Put | None) -> Put:
    """Return an item's write with the line of its change. `found`: the item before, whose own line is laid down first.

    Without a line what it carried stays there. Raises StoreUnavailable.
    """
    kept = None if found is None else found.get(_LINE)
    if line is None:
        return put if kept is None else Put(put.table, {**put.item, _LINE: kept}, put.when)
    if kept is not None:
        write_known(store, Put(AUDIT, kept), RetryBudget())
    return Put(put.table, {**put.item, _LINE: line.item}, put.when)


def lay_line(store: Store, line: Put | None) -> None:
    """Write the line of a change that is made. It never raises: the item carries it."""
    if line is None:
        return
    try:
        write_known(store, line, RetryBudget())
    except StoreUnavailable as error:
        _log.warning("a line of the audit log is left to the next change: %s", error)


def carried_lines(store: Store) -> Iterator[Item]:
    """Give the lines that are carried, laid down or not. Raises StoreUnavailable."""
    for key in _CARRIERS:
        item: Any = store.get(key)
        if item is not None and _LINE in item:
            yield item[_LINE]
