"""What items and commits say, read the same way by every engine. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from common.storage.port import Absent, Equals, Item, Put, Table, Value, Write


def holds(condition: Absent | Equals, item: Item | None) -> bool:
    """Say whether a condition holds for what lies at its key (None: nothing)."""
    if isinstance(condition, Absent):
        return item is None
    name = condition.attribute
    return item is not None and name in item and _written(item[name]) == _written(condition.value)


def end_of(table: Table, item: Item) -> int | None:
    """Return when an item may be purged, in milliseconds since 1970; None for never."""
    end = item.get("expires_at") if table.expires else None
    return end if isinstance(end, int) and not isinstance(end, bool) else None


def digest(writes: Sequence[Write]) -> bytes:
    """Return 32 bytes that tell this commit's content from any other's."""
    return hashlib.sha256(_written([_described(write) for write in writes])).digest()


def _described(write: Write) -> list[Any]:
    key, when = write.key, write.when
    item = write.item if isinstance(write, Put) else None
    condition = [when.attribute, when.value] if isinstance(when, Equals) else isinstance(when, Absent)
    return [key.table.name, key.partition, key.sort, item, condition]


def _written(value: Value) -> bytes:
    """Write a value so that equal values, and only those, are equal bytes; in Python 1 == True and [1] != (1,)."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
