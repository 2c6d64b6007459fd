"""The storage port: what an engine must do, and nothing that DynamoDB could not do.

Three verbs: `get` (strongly consistent), `query` (one partition, ordered, paged), `commit` (1 to 10 conditional puts
and deletes, all or nothing). There is no scan, no index and no join. What every engine can hold stands in `bounds.py`:
keys of 1 to 1,024 bytes, whole numbers of 64 bits, no floats; a read at an impossible key finds nothing.
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

MOST_WRITES = 10
"""The most writes of one commit: DynamoDB Local's bound on TransactWriteItems that we have seen."""


class Table(Struct, frozen=True):
    """A table: its DynamoDB name, its key attributes, and whether `expires_at` (ms since 1970) lets items be purged.

    Purging is housekeeping: an engine may do it late or never, so readers compare expiry themselves.
    """

    name: str
    partition: str
    sort: str | None = None
    sort_is_number: bool = False
    expires: bool = False

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
    """A condition did not hold and nothing was written. `failed` holds the positions of the writes that failed."""

    def __init__(self, failed: tuple[int, ...]) -> None:
        super().__init__(f"conditions of writes {failed} did not hold")
        self.failed = failed


class StoreUnavailable(Exception):
    """The store did not answer, or refused for now. Nothing was read; for a commit: nothing was written."""


class OutcomeUnknown(StoreUnavailable):
    """A commit's answer was lost: it may have happened. Only the same commit with the same request id may follow."""


class Store(Protocol):
    """A storage engine. It may be called by any thread and by several processes at once."""

    def get(self, key: Key) -> Item | None:
        """Return the item as of now, with every commit that was answered before; None when there is none.

        Raises StoreUnavailable.
        """

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """Return up to `limit` items of a partition by sort key, beginning beyond `after`. Raises StoreUnavailable."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Do all writes or none, durably once this returns.

        `request_id` (1 to 36 characters) names this content: repeating the same commit with it within 10 minutes
        succeeds without doing it twice; a Conflict does not use it up. Raises Conflict, StoreUnavailable,
        OutcomeUnknown; ValueError for 0 or more than 10 writes, one item twice, or an id that named other content.
        """

    def close(self) -> None:
        """Let go of what this process holds; a later call may open it again."""


def check_commit(writes: Sequence[Write], request_id: str) -> None:
    """Raise ValueError unless the port's bounds on a commit hold; every engine calls this first."""
    if not 1 <= len(writes) <= MOST_WRITES:
        msg = f"a commit takes 1 to {MOST_WRITES} writes, not {len(writes)}"
        raise ValueError(msg)
    if len({write.key for write in writes}) != len(writes):
        msg = "a commit may not touch one item twice"
        raise ValueError(msg)
    if not 1 <= len(request_id) <= 36:  # noqa: PLR2004 - the bound is DynamoDB's, for ClientRequestToken
        msg = "a request id has 1 to 36 characters"
        raise ValueError(msg)
