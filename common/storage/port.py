"""The storage port: what an engine must do, and nothing that DynamoDB could not do.

Four verbs: `get` (strongly consistent), `query` (one partition, ordered, paged), `put` and `delete` (one item,
conditional). There is no index and no join; to enumerate a table is for maintenance alone (`enumeration.py`), and
eventually consistent reads of one item are for counters alone (`eventual_reads.py`). What every engine can hold stands
in `engine_rules.py`: keys of 1 to 1,024 bytes, whole numbers of 64 bits, no floats; a read at an impossible key finds
nothing. There is no transaction: what must be true together is one item.
`tests/contract/` holds every engine to this page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol, TypeAlias

from msgspec import Struct

Value: TypeAlias = bool | int | str | Sequence["Value"] | Mapping[str, "Value"] | None
"""What an attribute may hold. No floats: times are whole milliseconds, secrets are text."""

Item: TypeAlias = Mapping[str, Value]
Sort: TypeAlias = str | int


class Table(Struct, frozen=True):
    """A table: its DynamoDB name, its key attributes, and whether `expires_at` (ms since 1970) lets items be purged.

    `largest`: how many bytes an item has at most, as `engine_rules.size_of` counts; no engine takes a larger one.
    Purging is housekeeping: an engine may do it late or never, so readers compare expiry themselves.
    """

    name: str
    partition: str
    sort: str | None = None
    sort_is_number: bool = False
    expires: bool = False
    largest: int = 64 * 1024

    def key(self, partition: str, sort: Sort | None = None) -> Key:
        """Return the key of one item of this table."""
        return Key(self, partition, sort)

    def key_of(self, item: Item) -> Key:
        """Return the key that an item of this table has; KeyError when an attribute of the key is missing."""
        partition, sort = item[self.partition], None if self.sort is None else item[self.sort]
        if not isinstance(partition, str) or not isinstance(sort, str | int | None):
            msg = f"the key of an item of {self.name} is not text or number"
            raise TypeError(msg)
        return Key(self, partition, sort)


class Key(Struct, frozen=True):
    """Where one item lies."""

    table: Table
    partition: str
    sort: Sort | None = None


class Absent(Struct, frozen=True):
    """The write holds only if no item lies at its key (an expired item still lies there)."""


class Equals(Struct, frozen=True):
    """The write holds only if an item lies at its key and its `attribute` equals `value`."""

    attribute: str
    value: Value


Condition: TypeAlias = Absent | Equals | None


class Put(Struct, frozen=True, dict=True):
    """Write a whole item, replacing what lay there, if `when` holds (None: always)."""

    table: Table
    item: Item
    when: Condition = None

    @cached_property
    def key(self) -> Key:
        """Where the item goes."""
        return self.table.key_of(self.item)


class Delete(Struct, frozen=True):
    """Remove the item at a key if `when` holds (None: always; removing nothing is no fault)."""

    key: Key
    when: Condition = None


Write: TypeAlias = Put | Delete


class Page(Struct, frozen=True):
    """Some items of one partition in the order of their sort key; `more` says that others follow."""

    items: tuple[Item, ...]
    more: bool


class Conflict(Exception):
    """The condition did not hold and nothing was written."""


class StoreUnavailable(Exception):
    """The store did not answer, or refused for now. Nothing was read; for a write: nothing was written."""


class StoreReplaced(StoreUnavailable):
    """The store is older than this process has seen it, or another one: it was restored from a backup."""


class WritesRefused(StoreUnavailable):
    """Nothing may be written for now, while reads go on: the store is being moved. Nothing was written."""


class OutcomeUnknown(StoreUnavailable):
    """A write's answer was lost: it may have happened, or may happen still. `idempotent_commit.py` finds out."""


class Store(Protocol):
    """A storage engine. It may be called by any thread and by several processes at once."""

    def get(self, key: Key) -> Item | None:
        """Return the item as of now, with every write that was answered before; None when there is none.

        Raises StoreUnavailable.
        """

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """Return up to `limit` items of a partition by sort key, beginning beyond `after`. Raises StoreUnavailable."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Write a whole item, durably once this returns, replacing what lay there, if `when` holds (None: always).

        Raises Conflict: the condition did not hold; StoreUnavailable: nothing was written; OutcomeUnknown.
        """

    def delete(self, key: Key, when: Condition = None) -> None:
        """Remove the item at a key, durably, if `when` holds (None: always; removing nothing is no fault).

        Raises as `put`.
        """

    def close(self) -> None:
        """Let go of what this process holds; a later call may open it again."""
