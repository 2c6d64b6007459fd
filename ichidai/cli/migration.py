"""Bringing a store of an earlier release to this release's schema, with the servers stopped.

The key ring's item is changed first: from then on no server of either release serves the store, until the end is
written there. What lies between may be repeated: an item that is upgraded already is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias

from msgspec.structs import replace

from common.account.book import MOST_SESSIONS, Book
from common.account.draft import Draft
from common.account.history import ClientInfo, HistoryRecord, Reason, history_put
from common.account.outbox import MOST_EVENTS
from common.account.rows import NUMBER
from common.clock import system_clock
from common.keys.store_schema import marked
from common.retry import RetryBudget
from common.storage.enumeration import EnumerableStore
from common.storage.idempotent_commit import write_known
from common.storage.port import Absent, Conflict, Equals, Item, Key, Put, Store, Table
from common.storage.tables import DEVICES, FACTORS, KEY_RING, NAMES, SESSIONS, USERS
from registration.account_model import Account
from registration.factor_model import Factor
from registration.look_alikes import look_of

RING = KEY_RING.key("ring")

Upgrade: TypeAlias = Callable[[Mapping[str, Any]], Item | None]
"""Returns an item as this release writes it; None for one that is so already."""


def _book(item: Mapping[str, Any]) -> Item | None:
    """Its version rises, so that a write of a server that was stopped in the middle cannot arrive afterwards."""
    if "admissions" in item:
        return None
    book, records = shortened(Book.from_item(item), system_clock())
    return replace(book, version=book.version + 1, change_no=book.change_no + len(records)).to_item()


def shortened(book: Book, now: datetime) -> tuple[Book, Sequence[HistoryRecord]]:
    """Return a book with no more sessions than one may have, and what the history is told: the earliest have left."""
    ending = [(session, Reason.OVER_LIMIT, now) for session in book.in_order()[:-MOST_SESSIONS]]
    draft = Draft(book).with_endings(ending)
    parts = [draft.events[first : first + MOST_EVENTS] for first in range(0, len(draft.events), MOST_EVENTS)]
    records = [HistoryRecord(book.change_no + n, events, ClientInfo()) for n, events in enumerate(parts, 1)]
    return draft.book, records


def _factor(item: Mapping[str, Any]) -> Item | None:
    return None if NUMBER in item else Factor.from_item(item).to_item()


def _device(item: Mapping[str, Any]) -> Item | None:
    return None if NUMBER in item else {**item, "uuid": item["user_uuid"], NUMBER: 0}


def _user(item: Mapping[str, Any]) -> Item | None:
    return None if NUMBER in item else {**item, NUMBER: 0}


UPGRADES: Mapping[Table, tuple[Upgrade, str]] = {
    SESSIONS: (_book, "version"),
    FACTORS: (_factor, "last_step"),
    DEVICES: (_device, "device_id"),
    USERS: (_user, "epoch"),
}
"""What is to be upgraded, and the attribute that must still be as it was read."""


def begin(store: Store) -> None:
    """Take the store out of service. Raises StoreUnavailable; Conflict: another migration is at work."""
    _mark(store, migrating=True)


def finish(store: Store) -> None:
    """Put it into service under this schema. Raises as `begin`."""
    _mark(store, migrating=False)


def upgrade_all(store: EnumerableStore) -> Iterator[tuple[str, int]]:
    """Upgrade table by table, and tell of each how many items were. Raises StoreUnavailable."""
    for table, (upgrade, guard) in UPGRADES.items():
        done = 0
        for page in store.pages(table):
            done += sum(_upgraded(store, table.key_of(item), upgrade, guard) for item in page)
        yield table.name, done
    accounts = (Account.from_item(item) for page in store.pages(USERS) for item in page)
    yield NAMES.name, sum(_claimed_look(store, account) for account in accounts)


def _upgraded(store: Store, key: Key, upgrade: Upgrade, guard: str) -> bool:
    """Upgrade one item, read anew: what a page tells may be old."""
    item = store.get(key)
    new = None if item is None else upgrade(item)
    if item is None or new is None:
        return False
    if key.table is SESSIONS:
        _tell_endings(store, Book.from_item(item))
    write_known(store, Put(key.table, new, Equals(guard, item[guard])), RetryBudget())
    return True


def _tell_endings(store: Store, book: Book) -> None:
    """Lay down the endings of the sessions that a book loses; those that were before this was cut short lie there."""
    for record in shortened(book, system_clock())[1]:
        with suppress(Conflict):
            write_known(store, history_put(book.user_uuid, record), RetryBudget())


def _claimed_look(store: Store, account: Account) -> bool:
    """Let a name claim its look, unless another name that looks so has it: both stay as they are."""
    try:
        claim = look_of(account.username).claim_for(account.uuid)
        write_known(store, Put(NAMES, claim.to_item(), Absent()), RetryBudget())
    except Conflict:
        return False
    return True


def _mark(store: Store, *, migrating: bool) -> None:
    item = store.get(RING)
    if item is None:
        raise Conflict
    when = Equals("version", item["version"]) if "version" in item else Equals("digest", item["digest"])
    write_known(store, Put(KEY_RING, marked(item, migrating=migrating), when), RetryBudget())
