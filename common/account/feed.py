"""The feed: which sessions ended lately or are asked something, for the event streams.

A change that ends sessions adds one item to it when it is laid down: a hint of each session, no more. So does an
approval that begins. Who has a stream of a session that is hinted at asks the account's book what happened, so a hint
may be wrong and may come twice.
Items lie in buckets of a minute of the writer's clock, each spread over shards, so that no partition takes all writes.
A reader goes on where it was, and reads the last seconds again, for a write may come late and clocks differ; now and
then it reads all that lies within reach. The feed makes notices quick; a reader that misses an item learns it from the
book, and when to look there from `heartbeat.py`. See `docs/decisions/0061-the-feed-gives-hints.md`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from common.account.history import Event, EventKind, HistoryRecord, OperatorAct, Reason
from common.clock import Clock, to_millis
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.paging import all_items
from common.storage.port import Put, Store, StoreUnavailable
from common.storage.tables import FEED

SHARDS = 4
"""How many partitions share a minute. DynamoDB bears about 1,000 write units a second in each."""

OVERLAP = timedelta(seconds=2)
"""How much every look reads again: clocks, which follow the store's, are not further apart."""

REACH = timedelta(seconds=15)
"""How far back, and ahead, a reader looks at its first look and every `_SWEPT_EVERY`."""

_SWEPT_EVERY = timedelta(seconds=10)
_IN_TIME = REACH - _SWEPT_EVERY - OVERLAP
"""How long after its own time an item may be written so that every reader finds it."""

_FURTHEST = timedelta(minutes=1)
_BUCKET_MS = 60_000
_KEPT = timedelta(minutes=10)


class Ending(Struct, frozen=True):
    """A session that ended. `by`: the device that brought it about, `by_name` its name where no row can tell it.

    `act`: what an operator did that ended it.
    """

    user_uuid: str
    session_id: str
    reason: Reason | str
    at: datetime
    by: str | None = None
    by_name: str | None = None
    act: OperatorAct | str | None = None


def endings_in(user_uuid: str, events: Sequence[Event]) -> tuple[Ending, ...]:
    """Return the endings among the events of one change."""
    names = {event.device_id: event.device_name for event in events if event.kind is EventKind.LOGIN}
    return tuple(
        Ending(user_uuid, event.session_id, event.reason, event.at, event.by, names.get(event.by), event.act)
        for event in events
        if event.kind is EventKind.SESSION_ENDED and event.session_id and event.reason
    )


def ending_among(user_uuid: str, records: Iterable[HistoryRecord], session_id: str) -> Ending | None:
    """Return a session's end, if the history's entries tell of it."""
    endings = (ending for record in records for ending in endings_in(user_uuid, record.events))
    return next((ending for ending in endings if ending.session_id == session_id), None)


def hint_of(session_id: str) -> str:
    """Return what the feed says of a session: the first 48 bits of its id."""
    return session_id[:13]


def feed_put(endings: Sequence[Ending], change_no: int, now: datetime) -> Put:
    """Return the write that tells of a change's endings: one item, however many they are. `now` is its own time."""
    return hints_put(endings[0].user_uuid, [hint_of(ending.session_id) for ending in endings], str(change_no), now)


def tell_endings(store: Store, clock: Clock, endings: Sequence[Ending], change_no: int) -> None:
    """Tell of a change's endings. Raises StoreUnavailable: also where that took so long that readers may have passed.

    It may be done again.
    """
    now = clock()
    write_known(store, feed_put(endings, change_no, now), RetryBudget())
    if clock() - now > _IN_TIME:
        raise StoreUnavailable("the feed was written so late that readers may have missed it")


def hints_put(user_uuid: str, hints: Sequence[str], what: str, now: datetime) -> Put:
    """Return the write that hints at sessions of a user; `what` tells it from others of this moment."""
    millis = to_millis(now)
    return Put(
        FEED,
        {
            "bucket": _bucket(millis // _BUCKET_MS, zlib.crc32(user_uuid.encode()) % SHARDS),
            "id": f"{_within(millis)}#{user_uuid[:8]}#{what}",
            "s": list(hints),
            "expires_at": to_millis(now + _KEPT),
        },
    )


class FeedReader:
    """Reads the feed from where it was. One thread at a time asks it.

    `has_gap`: the last look came so long after the one before it that it left something out.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked: datetime | None = None
        self._swept: datetime | None = None
        self.has_gap = False

    def look(self, now: datetime) -> frozenset[str]:
        """Return hints of the sessions that ended since the last look, and of some before. Raises StoreUnavailable.

        After one that failed the next one begins where that would have begun.
        """
        is_sweep = self._swept is None or not timedelta(0) <= now - self._swept < _SWEPT_EVERY
        around = REACH if is_sweep else OVERLAP
        behind, furthest = min(self._looked or now, now) - around, now - _FURTHEST
        found = _hints(self._store, to_millis(max(behind, furthest)), to_millis(now + around))
        self.has_gap = behind < furthest
        self._looked, self._swept = now, now if is_sweep else self._swept
        return found


def _hints(store: Store, first: int, last: int) -> frozenset[str]:
    """Return the hints between two times, in milliseconds since 1970; in the last minute also later ones."""
    minutes = range(first // _BUCKET_MS, last // _BUCKET_MS + 1)
    items = (
        item
        for minute in minutes
        for shard in range(SHARDS)
        for item in all_items(
            store, FEED, _bucket(minute, shard), after=_within(first) if minute == minutes[0] else None
        )
    )
    return frozenset(hint for item in items for hint in item.get("s", ()))


def _bucket(minute: int, shard: int) -> str:
    return f"{minute}#{shard}"


def _within(millis: int) -> str:
    """Write where a time lies in its minute, so that texts sort as times do."""
    return f"{millis % _BUCKET_MS:05d}"
