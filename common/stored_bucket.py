"""Leaky buckets as they lie in ThrottleTable: one item each. The rules are `common.rate_limit`'s."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from common.clock import Clock, from_millis, to_millis
from common.ids import new_id
from common.rate_limit import NOTHING, Exhausted, Level, Quota, latest, leak, spend
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Equals, Put, Store
from common.storage.tables import THROTTLE

_MILLISECOND = timedelta(milliseconds=1)


class StoredBuckets:
    """Counts tries by name. Every method raises StoreUnavailable. `contended`: what is told when too many write one."""

    def __init__(self, store: Store, clock: Clock, contended: str) -> None:
        self._store = store
        self._clock = clock
        self._contended = contended

    def spend(self, name: str, quota: Quota) -> Exhausted | None:
        """Count a try; nothing is counted when none is left. Raises Refusal(BUSY)."""

        def spent() -> tuple[Exhausted | None, Put | None]:
            item: Any = self._store.get(THROTTLE.key(name))
            now = self._clock()
            after = spend(_level(item, now), quota)
            if isinstance(after, Exhausted):
                return after, None
            since = now if item is None else latest(from_millis(item["since"]), now)
            counted = {
                "level": after // _MILLISECOND,
                "since": to_millis(since),
                "expires_at": to_millis(since + after),
            }
            when = Absent() if item is None else Equals("version", item["version"])
            return None, Put(THROTTLE, {**(item or {}), "bucket": name, "version": new_id(), **counted}, when)

        return write_optimistically(self._store, spent, contended=self._contended)

    def look(self, name: str, quota: Quota) -> Exhausted | None:
        """Say whether no try is left, and count none."""
        after = spend(_level(self._store.get(THROTTLE.key(name)), self._clock()), quota)
        return after if isinstance(after, Exhausted) else None


def seconds_until(exhausted: Exhausted) -> int:
    """Return the whole seconds until a try is back, as `Retry-After` says them."""
    return max(1, math.ceil(exhausted.wait.total_seconds()))


def _level(item: Any, now: datetime) -> Level:
    return NOTHING if item is None else leak(item["level"] * _MILLISECOND, from_millis(item["since"]), now)
