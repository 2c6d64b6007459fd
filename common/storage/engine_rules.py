"""What every engine can hold. The bounds are DynamoDB's, kept by SQLite too, so that both give the same answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from common.storage.port import Absent, Condition, Equals, Item, Key, Put, Sort, Table, Value, Write

LONGEST_KEY = 1024
"""The most bytes of a text in a key, as UTF-8. An empty text cannot be a key."""

DEEPEST = 32
"""How many lists and maps may lie in one another."""

PURGE_GRACE_MS = 7_200_000
"""Items stay this long after their expiry: another process' clock may be behind ours."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def check_write(write: Write) -> None:
    """Raise ValueError or TypeError unless every engine can take this write; called before anything is sent."""
    if not is_valid_key(write.key):
        raise ValueError(f"the key of a write to {write.key.table.name} is empty, too long or no text")
    if isinstance(write, Put):
        _check_value(write.item, 0)
        if (size := size_of(write.item)) > write.table.largest:
            raise ValueError(f"an item of {write.table.name} has {size:,} bytes, more than {write.table.largest:,}")
    _check_condition(write.when)


def check_unconditional(writes: Sequence[Write]) -> None:
    """Raise ValueError unless none of these writes has a condition."""
    if any(write.when is not None for write in writes):
        raise ValueError("a bulk write has no condition")


def is_valid_key(key: Key) -> bool:
    """Say whether an item can lie at `key`. Where none can, a read finds nothing: the text may come from any client.

    Raises ValueError if the sort key is missing, too much or of the wrong kind: that is a fault of ours.
    """
    if key.sort is None and key.table.sort is None:  # most reads are of books
        return _can_be_key(key.partition)
    kind = None if key.table.sort is None else int if key.table.sort_is_number else str
    if (kind is None) != (key.sort is None) or not isinstance(key.sort, kind or object):
        raise ValueError(f"the sort key of {key.table.name} must be {kind.__name__ if kind else 'absent'}")
    return _can_be_key(key.partition) and (kind is None or _can_be_key(key.sort))


def is_valid_query(table: Table, partition: str, after: Sort | None, limit: int) -> bool:
    """Say whether items can lie in the partition. Raises ValueError for a limit below 1 or an impossible `after`."""
    if limit < 1:
        raise ValueError("a page has at least one item")
    if after is not None and not is_valid_key(Key(table, "any", after)):
        raise ValueError(f"no item of {table.name} can lie at the `after` of this query")
    return _can_be_key(partition)


def _can_be_key(part: object) -> bool:
    if isinstance(part, int):
        return _LOWEST <= part <= _HIGHEST
    if not isinstance(part, str):
        return False
    return 1 <= (len(part) if part.isascii() else _length(part)) <= LONGEST_KEY


def _length(text: str) -> int:
    """Return how many bytes it takes as UTF-8, 0 if it cannot be written so."""
    return len(text.encode()) if _is_text(text) else 0


def _is_text(text: str) -> bool:
    """Say whether it can be written as UTF-8, which half a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_condition(condition: Condition) -> None:
    if isinstance(condition, Equals):
        _check_name(condition.attribute)
        _check_value(condition.value, 1)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or not _is_text(name):
        raise ValueError("an attribute needs a name that is text")


def _check_names(names: Iterable[object]) -> None:
    for name in names:
        if type(name) is not str or not name or not name.isascii():  # most are plain
            _check_name(name)


def _check_value(value: object, depth: int) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, (str, int)):  # a tuple is looked through faster than a union, and every value passes here
        _check_plain(value)
        return
    if depth >= DEEPEST:
        raise ValueError(f"a value lies more than {DEEPEST} deep")
    if isinstance(value, (dict, Mapping)):
        _check_names(value)
        value = list(value.values())
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{type(value).__name__} is no value of the store")
    for inner in value:
        if type(inner) is not str or not inner.isascii():  # most are plain, and need no call
            _check_value(inner, depth + 1)


def _check_plain(value: str | int) -> None:
    if isinstance(value, str):
        if not _is_text(value):
            raise ValueError("a text holds half a surrogate pair")
    elif not _LOWEST <= value <= _HIGHEST:
        raise ValueError("a number has more than 64 bits")


def holds(condition: Absent | Equals, item: Item | None) -> bool:
    """Say whether a condition holds for what lies at its key (None: nothing)."""
    if isinstance(condition, Absent):
        return item is None
    name = condition.attribute
    return item is not None and name in item and canonical_bytes(item[name]) == canonical_bytes(condition.value)


def is_same(one: Item | None, other: Item | None) -> bool:
    """Say whether two items are the same, None being none."""
    return canonical_bytes(one) == canonical_bytes(other)


def end_of(table: Table, item: Item) -> int | None:
    """Return when an item may be purged, in milliseconds since 1970; None for never."""
    end = item.get("expires_at") if table.expires else None
    return end if isinstance(end, int) and not isinstance(end, bool) else None


def is_purgeable(table: Table, item: Item, now: int) -> bool:
    """Say whether an item expired longer ago than the grace. `now` is in milliseconds since 1970."""
    end = end_of(table, item)
    return end is not None and end < now - PURGE_GRACE_MS


def size_of(item: Item) -> int:
    """Return how many bytes an item has as JSON. DynamoDB counts a little less for all that we store."""
    return len(canonical_bytes(item))


def canonical_bytes(value: Value) -> bytes:
    """Write a value so that equal values, and only those, are equal bytes; in Python 1 == True and [1] != (1,)."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
