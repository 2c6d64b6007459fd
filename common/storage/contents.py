"""What a commit says, compared value by value. Pure; for engines that judge conditions themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from common.storage.port import Absent, Condition, Equals, Item, Put, Value, Write


def holds(condition: Condition, item: Item | None) -> bool:
    """Say whether a condition holds for what lies at its key (None: nothing)."""
    match condition:
        case None:
            return True
        case Absent():
            return item is None
        case Equals(attribute, value):
            return item is not None and attribute in item and _written(item[attribute]) == _written(value)


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
