"""The outbox: what changes of an account recorded and what is not known to lie in the history yet.

The book carries it, so that a change and its record are one item; readers of the history read the outbox with it
(`read_records`). Names inside are short: every request reads the book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.account.history import (
    Event,
    EventKind,
    HistoryRecord,
    read_laid_down,
    record_from_item,
    record_to_item,
)
from common.storage.port import Store
from common.storage.tables import SESSIONS

MOST_RECORDS = 8
MOST_EVENTS = 32
"""An outbox with so many records, or so many events, is full: it is laid down before anything else is recorded."""

RESERVED_BYTES = 4096
"""How much of a book's largest size is for changes that only end and remove, or disable or close the account."""

_RESERVE = 2
"""How many times as much it takes of such changes: no history that is down may hold them up."""

_REMOVING = frozenset(
    {
        EventKind.SESSION_ENDED,
        EventKind.DEVICE_REMOVED,
        EventKind.CERTIFICATE_REVOKED,
        EventKind.ACCOUNT_DISABLED,
        EventKind.ACCOUNT_CLOSED,
    }
)

_SHORT = {
    "change_no": "c",
    "events": "e",
    "ip": "i",
    "user_agent": "u",
    "kind": "k",
    "at": "t",
    "device_id": "d",
    "session_id": "s",
    "reason": "r",
    "device_name": "n",
    "by": "b",
}
_LONG = {short: name for name, short in _SHORT.items()}


def has_capacity(records: Sequence[HistoryRecord], coming: Sequence[Event], size: int) -> bool:
    """Say whether what is coming may be recorded before any of the records is laid down.

    `size`: how many bytes the book then has.
    """
    removes = bool(coming) and all(event.kind in _REMOVING for event in coming)
    times, most = (_RESERVE, SESSIONS.largest) if removes else (1, SESSIONS.largest - RESERVED_BYTES)
    events = sum(len(record.events) for record in records)
    is_full = len(records) >= MOST_RECORDS * times or events >= MOST_EVENTS * times
    return size <= most and not (coming and is_full)


def read_records(store: Store, user_uuid: str, *, before: int | None, limit: int) -> Sequence[HistoryRecord]:
    """Return up to `limit` records with a number below `before` (None: all), newest first. Raises StoreUnavailable.

    The book is read first: what leaves its outbox meanwhile lies in the history by then.
    """
    book: Any = store.get(SESSIONS.key(user_uuid))
    outbox = () if book is None else outbox_from_items(book.get("outbox", ()))
    found = {record.change_no: record for record in outbox if before is None or record.change_no < before}
    laid_down = read_laid_down(store, user_uuid, before=before, limit=limit)
    found |= {record.change_no: record for record in laid_down}
    return [found[number] for number in sorted(found, reverse=True)[:limit]]


def outbox_to_items(records: Sequence[HistoryRecord]) -> list[dict[str, Any]]:
    """Write the records as the book carries them: as the history has them, under shorter names."""
    return [_renamed(record_to_item(record), _SHORT) for record in records]


def outbox_from_items(items: Sequence[Mapping[str, Any]]) -> tuple[HistoryRecord, ...]:
    """Read what `outbox_to_items` wrote."""
    return tuple(record_from_item(_renamed(item, _LONG)) for item in items)


def _renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a record and its events under other names; what has none keeps its own."""
    renamed = {names.get(name, name): value for name, value in record.items()}
    events = names.get("events", "events")
    return renamed | {events: [{names.get(n, n): value for n, value in event.items()} for event in renamed[events]]}
