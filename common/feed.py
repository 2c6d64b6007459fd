"""The feed: which sessions ended lately, for the event streams.

A change that ends sessions adds one item to it, in its own commit: none is missing, and none tells what did not happen.
Items lie in buckets of a minute of the writer's clock, each spread over shards, so that no partition is everybody's.
A reader asks again and again for all that was written lately: a commit may come late and clocks differ. The feed is
for being quick; whoever misses something learns it from the book.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from common.clock import from_millis, to_millis
from common.history import Entry, Event, Kind, Reason
from common.storage.port import Item, Put, Store
from common.storage.tables import FEED

SHARDS = 4
"""How many partitions share a minute. DynamoDB bears about 1,000 write units a second in each."""

REACH = timedelta(seconds=15)
"""How far back, and ahead, a reader looks: clocks this far apart and commits this late are told at once."""

_BUCKET_MS = 60_000
_KEPT = timedelta(minutes=10)
_PAGE = 1000


class Ending(Struct, frozen=True):
    """A session that ended. `by`: the device that brought it about, `by_name` its name where no row can tell it."""

    user_uuid: str
    session_id: str
    reason: Reason
    at: datetime
    by: str | None = None
    by_name: str | None = None


def endings_in(user_uuid: str, events: Sequence[Event]) -> tuple[Ending, ...]:
    """Return the endings among the events of one change."""
    names = {event.device_id: event.device_name for event in events if event.kind is Kind.LOGIN}
    return tuple(
        Ending(user_uuid, event.session_id, event.reason, event.at, event.by, names.get(event.by))
        for event in events
        if event.kind is Kind.SESSION_ENDED and event.session_id and event.reason
    )


def ending_among(user_uuid: str, entries: Iterable[Entry], session_id: str) -> Ending | None:
    """Return a session's end, if the history's entries tell of it."""
    endings = (ending for entry in entries for ending in endings_in(user_uuid, entry.events))
    return next((ending for ending in endings if ending.session_id == session_id), None)


def feed_put(endings: Sequence[Ending], change_no: int, now: datetime) -> Put:
    """Return the write that tells of a change's endings: one item, however many they are. `now` is its own time."""
    millis, user_uuid = to_millis(now), endings[0].user_uuid
    item: Item = {
        "bucket": _bucket(millis // _BUCKET_MS, zlib.crc32(user_uuid.encode()) % SHARDS),
        "id": f"{_since(millis)}#{user_uuid}#{change_no}",
        "user_uuid": user_uuid,
        "endings": [_to_item(ending) for ending in endings],
        "expires_at": to_millis(now + _KEPT),
    }
    return Put(FEED, item)


def read_endings(store: Store, now: datetime) -> Iterator[Ending]:
    """Give every ending written within reach of `now`, most of them as often as it is asked. StoreUnavailable."""
    first, last = to_millis(now - REACH), to_millis(now + REACH)
    for minute in range(first // _BUCKET_MS, last // _BUCKET_MS + 1):
        for shard in range(SHARDS):
            for item in _items(store, _bucket(minute, shard), _since(first)):
                yield from (_from_item(item["user_uuid"], fields) for fields in item["endings"])


def _items(store: Store, bucket: str, after: str) -> Iterator[Mapping[str, Any]]:
    while True:
        page = store.query(FEED, bucket, after=after, limit=_PAGE)
        yield from page.items
        if not page.more:
            return
        after = str(page.items[-1]["id"])


def _bucket(minute: int, shard: int) -> str:
    return f"{minute}#{shard}"


def _since(millis: int) -> str:
    """Write a time so that texts sort as times do."""
    return f"{millis:015d}"


def _to_item(ending: Ending) -> dict[str, Any]:
    by = {"by": ending.by, "by_name": ending.by_name}
    fields = {"session_id": ending.session_id, "reason": str(ending.reason), "at": to_millis(ending.at)}
    return {**fields, **{name: text for name, text in by.items() if text is not None}}


def _from_item(user_uuid: str, fields: Mapping[str, Any]) -> Ending:
    return Ending(
        user_uuid=user_uuid,
        session_id=fields["session_id"],
        reason=Reason(fields["reason"]),
        at=from_millis(fields["at"]),
        by=fields.get("by"),
        by_name=fields.get("by_name"),
    )
